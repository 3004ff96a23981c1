"""What is printed while a run is under way: columns hold, groups have their own time, and nothing is said twice."""

import asyncio
import io
import re

import pytest

from fairway.cli import progress
from fairway.cli.progress import Progress
from fairway.spec.event import AttemptEnded, AttemptStarted, Body, Event, StepCalled, StepEnded
from fairway.spec.run import Phase, StepResult, StepSpec, Usage


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    return clock


def tell(told: Progress, step: str, body: Body) -> None:
    told.event(Event(body=body, run="r", step=step))


def call(told: Progress, name: str, label: str = "") -> None:
    tell(told, name, StepCalled(StepSpec(name=name, task=name.partition("-")[0], inputs={}, label=label)))


def end(told: Progress, name: str, wall: float = 1.0) -> None:
    result = StepResult(run="r", step=name, attempt=1, usage=Usage(wall=wall))
    tell(told, name, AttemptEnded(1, result))
    tell(told, name, StepEnded(Phase.SUCCEEDED))


def test_the_time_of_a_group_is_that_of_its_own_steps(clock: Time) -> None:
    out = io.StringIO()
    told = Progress(out)
    for number in range(20):
        call(told, f"quick-{number}", f"i={number}")
    call(told, "long")
    for number in range(20):
        tell(told, f"quick-{number}", AttemptStarted(1))
        clock.now += 0.1
        end(told, f"quick-{number}", 0.1)
    tell(told, "long", AttemptStarted(1))
    clock.now += 500
    end(told, "long", 500)
    told.finish()
    assert re.findall(r"quick ×20 +done +(.+)", out.getvalue()) == ["2.0 s"]
    assert re.findall(r"long +done +(.+)", out.getvalue()) == ["8 min 20 s"]


def test_the_line_of_a_group_comes_when_its_steps_have_ended(
    clock: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_TICK", 0.01)
    out = io.StringIO()

    async def run() -> None:
        told = Progress(out)
        for number in range(20):
            call(told, f"quick-{number}", f"i={number}")
        call(told, "long")
        for number in range(20):
            tell(told, f"quick-{number}", AttemptStarted(1))
            end(told, f"quick-{number}", 0.1)
        tell(told, "long", AttemptStarted(1))
        assert "×20" not in out.getvalue()
        clock.now += 2.0
        async with asyncio.timeout(60):
            while "×20" not in out.getvalue():
                await asyncio.sleep(0.01)
        clock.now += 2.0
        await asyncio.sleep(0.05)
        told.finish()

    asyncio.run(run())
    assert out.getvalue().count("\n") == 1


def test_a_loop_of_two_tasks_prints_few_lines(clock: Time) -> None:
    out = io.StringIO()
    told = Progress(out)
    for number in range(1, 500):
        for task in ("a", "b"):
            call(told, f"{task}-{number}", f"i={number}")
            tell(told, f"{task}-{number}", AttemptStarted(1))
            clock.now += 5.0
            told._release_what_is_over(progress._QUIET)
            end(told, f"{task}-{number}", 5.0)
    told.finish()
    assert out.getvalue().count("\n") < 50


def test_columns_hold_with_several_parameters(clock: Time) -> None:
    out = io.StringIO()
    told = Progress(out)
    labels = [
        "depth=3 rate=0.125",
        "depth=10 rate=0.5",
        "depth=3 rate=0.000125 loss=squared_error weights=balanced",
    ]
    for number, label in enumerate(labels):
        call(told, f"train-{number}", label)
    for number in range(3):
        end(told, f"train-{number}")
    lines = out.getvalue().splitlines()
    assert len({line.index(" done ") for line in lines}) == 1
    assert max(map(len, lines)) < 80
    assert "…" in lines[2]


def test_the_live_line_tells_how_long_steps_run_and_what_they_wait_for(clock: Time) -> None:
    out = Screen()
    told = Progress(out)
    call(told, "train", "depth=2")
    call(told, "judge")
    tell(told, "train", AttemptStarted(1))
    clock.now += 3.4
    told.waits("judge", "run k7m2, which uses 2 of 2 cores")
    assert out.getvalue().endswith(
        "0/2 steps   train depth=2 3.4 s   judge waits for run k7m2, which uses 2 of 2 cores"
    )
    clock.now += 1.0
    told.waits("", "")
    assert out.getvalue().endswith("0/2 steps   train depth=2 4.4 s")


def test_without_a_terminal_waiting_is_told_once(clock: Time) -> None:
    out = io.StringIO()
    told = Progress(out)
    call(told, "judge")
    for number in range(5):
        told.waits("judge", f"run k{number}, which uses 2 of 2 cores")
        told.waits("", "")
    assert out.getvalue() == "  judge                    waits for run k0, which uses 2 of 2 cores\n"

"""The clock of the machine is set a day forwards and backwards while runs are at work: nothing is early, late or lost."""

import time
from collections.abc import Callable

from places import Place, kill, wait_for

from fairway.spec.run import Phase, Reason

JUMPS = """
import os, time
real = time.time
def jumping():
    try:
        with open(os.path.join(os.environ["HOME"], "..", "jump")) as file:
            return real() + float(file.read() or 0)
    except (OSError, ValueError):
        return real()
time.time = jumping
"""
"""The wall clock of every process is off by what a file says at that moment; monotonic clocks do not jump, as on a machine."""

TEXT = """
@fw.task(timeout="200s")
def tick(i: int) -> int:
    note("ticks", i)
    time.sleep(0.1)
    while i > 6 and not os.path.exists("go"): time.sleep(0.02)
    return i

@fw.task(retries=1)
def second(i: int) -> int:
    note("seconds", i)
    assert os.path.exists("forgiving") or open("forgiving", "w").close()
    return i

@fw.task(timeout="1s")
def slow() -> int:
    note("ticks", "slow")
    time.sleep(1000)
    return 0

@fw.pipeline
def main(which: str = "good") -> int:
    if which == "slow":
        return fw.value(slow())
    return fw.value(second(1)) + sum(tick.map(range(12)))
"""

DAY = 86_400


def set_clock(place: Place, seconds: int) -> None:
    """Set the clock of all processes of a place forwards or backwards."""
    new = place.folder / "jump.new"
    new.write_text(str(seconds))
    new.rename(place.folder / "jump")


def wrongs(here: Place) -> list[str]:
    """What must not be on record of a run whose clock jumped, as sentences."""
    status = here.status()
    found = [] if status.phase is Phase.SUCCEEDED else [f"the run is {status.phase}"]
    attempts = [one for step in status.steps for one in step.attempts]
    found += [
        f"an attempt failed by {one.failure}: the engine was killed, and the task has an error of its own, no more"
        for one in attempts
        if one.failure and one.failure.reason not in (Reason.USER, Reason.HOST)
    ]
    found += [f"an attempt took {one.usage.wall} s" for one in attempts if one.usage.wall >= 600]
    numbers = [event.seq for event in here.stores.metadata.events()]
    if numbers != sorted(numbers):
        found.append("the events are out of order")
    return [*found, *here.verified().problems]


def test_runs_do_not_notice_that_the_clock_jumps(
    place: Callable[..., Place], full: bool, measured: Callable[..., None]
) -> None:
    rounds = 20 if full else 1
    jumps, wrong = 0, list[str]()
    for number in range(rounds):
        here = place(TEXT, planted=JUMPS)
        for attempt in range(2):
            words = ("run", "project.py") if not attempt else ("resume", here.runs()[0])
            engine = here.start(*words, "--quiet")
            before = len(here.notes("ticks"))
            while engine.poll() is None:
                jumps += 1
                set_clock(here, DAY if (jumps + number) % 2 else -DAY)
                time.sleep(0.05)
                if not attempt and len(here.notes("ticks")) >= before + 4:
                    kill(engine.pid)
                    engine.wait()
                    (here.folder / "go").touch()
            assert engine.returncode in ((-9,) if not attempt else (0,)), (here.folder / "said").read_text()
        wrong += wrongs(here)
    assert wrong == []
    measured(
        "T16",
        "The wall clock jumps a day forwards and backwards under runs that are killed and resumed",
        goal="no early timeout, no lost run, order of the log and durations intact",
        runs=rounds,
        jumps=jumps,
        wrong=len(wrong),
    )


def test_a_timeout_is_neither_early_nor_late_when_the_clock_jumps(place: Callable[..., Place]) -> None:
    here = place(TEXT, planted=JUMPS)
    engine = here.start("run", "project.py", "--which", "slow", "--quiet")
    assert wait_for(lambda: here.notes("ticks"))
    set_clock(here, -DAY)
    assert engine.wait(240) == 1
    attempt = here.status().steps[0].attempts[0]
    assert attempt.failure is not None
    assert attempt.failure.reason is Reason.TIMEOUT
    assert 0.9 < attempt.usage.wall < 600


BY_THE_CLOCK = (
    JUMPS
    + """
time.monotonic = time.time
"""
)


def test_the_check_sees_timeouts_by_the_wall_clock(place: Callable[..., Place]) -> None:
    """With every clock jumping backwards a step's timeout is a day late."""
    here = place(TEXT, planted=BY_THE_CLOCK)
    engine = here.start("run", "project.py", "--which", "slow", "--quiet")
    assert wait_for(lambda: here.notes("ticks"))
    set_clock(here, -DAY)
    time.sleep(2.5)
    assert engine.poll() is None

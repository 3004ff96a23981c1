"""Runs at once on one machine: together they use it once, whoever is killed and whoever starts whom."""

import json
import os
import signal
from collections.abc import Callable

import pytest
from places import Place, wait_for

CORES = len(os.sched_getaffinity(0))

TEXT = """
@fw.task
def work(who: int, i: int, seconds: float) -> int:
    note("stamps", f"{time.monotonic()} 1")
    time.sleep(seconds)
    note("stamps", f"{time.monotonic()} -1")
    return i

@fw.pipeline
def main(who: int = 0, steps: int = 4, seconds: float = 0.2) -> list[int]:
    return [fw.value(one) for one in [work(who, i, seconds) for i in range(steps)]]
"""

NESTED = """
import pathlib

@fw.task
def leaf(depth: int, seconds: float) -> int:
    note("stamps", f"{time.monotonic()} 1")
    time.sleep(seconds)
    note("stamps", f"{time.monotonic()} -1")
    return 1

@fw.task
def by_command(depth: int) -> int:
    words = [sys.executable, "-m", "fairway", "run", __file__ + ":inner", "--depth", str(depth - 1), "--quiet"]
    return 1 - subprocess.run(words).returncode

@fw.task
def by_call(depth: int) -> int:
    return fw.run(inner, depth=depth - 1).result

@fw.task(cpu=CPU)
def starts(depth: int) -> int:
    return (by_command if depth % 2 else by_call).function(depth)

@fw.pipeline
def inner(depth: int = 0) -> int:
    return starts(depth) if depth else leaf(depth, 0.1)

@fw.pipeline
def outer(depth: int = 3, wide: int = 4) -> int:
    return sum([starts(depth) for _ in range(wide)])
"""


def most(place: Place) -> int:
    """The largest number of steps that were at work at the same time."""
    at_work, seen = 0, 0
    for _, change in sorted(tuple(map(float, line.split())) for line in place.notes("stamps")):
        at_work += int(change)
        seen = max(seen, at_work)
    return seen


def test_two_runs_use_the_machine_once(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    runs = [here.start("run", "project.py", "--who", str(who), "--steps", "8") for who in range(2)]
    assert [run.wait(240) for run in runs] == [0, 0]
    assert most(here) <= CORES
    assert len(here.notes("stamps")) == 32


def test_two_steps_that_need_most_of_the_memory_run_one_after_the_other(place: Callable[..., Place]) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 6 // 10
    here = place(TEXT.replace("@fw.task", f"@fw.task(cpu=0.1, memory={memory})"))
    runs = [here.start("run", "project.py", "--who", str(who), "--steps", "2") for who in range(2)]
    assert [run.wait(240) for run in runs] == [0, 0]
    assert most(here) == 1


def test_a_run_that_starts_beside_a_long_one_gets_its_share_soon(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    long = here.start("run", "project.py", "--steps", "1000", "--seconds", "0.3")
    assert wait_for(lambda: len(here.notes("stamps")) > 4)
    here.fairway("run", "project.py", "--who", "1", "--steps", "2", "--quiet")
    assert long.poll() is None
    assert len(here.notes("stamps")) < 400
    assert most(here) <= CORES


def test_a_killed_engine_holds_nothing(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    first = here.start("run", "project.py", "--steps", str(CORES), "--seconds", "1000")
    assert wait_for(lambda: len(here.notes("stamps")) == CORES)
    second = here.start("run", "project.py", "--who", "1", "--steps", "1", "--seconds", "0.1")
    assert wait_for(lambda: len(here.runs()) == 2)
    name = next(run for run in here.runs() if here.status(run).spec.shown["who"] == "1")
    assert wait_for(lambda: "waits for run" in here.fairway("show", name).stdout)
    assert f"{CORES} of {CORES} cores" in here.fairway("show", name).stdout
    shown = json.loads(here.fairway("show", name, "--json").stdout)
    assert "waits for run" in shown["steps"][0]["why"]
    assert second.poll() is None

    os.kill(first.pid, signal.SIGKILL)
    assert second.wait(240) == 0


def test_twenty_runs_at_once_never_use_more_than_there_is(place: Callable[..., Place]) -> None:
    here = place(TEXT.replace("@fw.task", "@fw.task(cpu=0.5)"))
    runs = [
        here.start("run", "project.py", "--who", str(who), "--steps", "6", "--seconds", "0.05")
        for who in range(20)
    ]
    assert [run.wait(250) for run in runs] == [0] * 20
    assert most(here) <= 2 * CORES
    assert len(here.notes("stamps")) == 240


@pytest.mark.parametrize("cpu", [1, CORES, 0])
def test_runs_that_steps_start_do_not_wait_for_the_steps_that_wait_for_them(
    place: Callable[..., Place], cpu: int
) -> None:
    """Three deep, by command and by call, and as many at once as there are cores, or more."""
    here = place(NESTED.replace("CPU", str(cpu)))
    here.fairway("run", "project.py:outer", "--depth", "2", "--wide", "3", "--quiet", seconds=200)
    assert len(here.notes("stamps")) == 6
    assert most(here) <= CORES


def test_where_the_machine_cannot_be_shared_a_line_says_so(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    folder = here.folder / "runtime"
    folder.mkdir()
    (folder / "fairway").symlink_to(here.folder)
    here.environment["XDG_RUNTIME_DIR"] = str(folder)
    said = here.fairway("run", "project.py", "--steps", "1").stderr
    assert said.count("other runs are not seen") == 1


def test_a_step_that_waits_for_another_run_says_so_once(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    first = here.start("run", "project.py", "--steps", str(CORES), "--seconds", "1000")
    assert wait_for(lambda: len(here.notes("stamps")) == CORES)
    second = here.start("run", "project.py", "--who", "1", "--steps", "1")
    assert wait_for(lambda: "waits for run" in "".join(here.notes("said")))
    os.kill(first.pid, signal.SIGKILL)
    assert second.wait(240) == 0
    said = [line for line in here.notes("said") if "waits for" in line]
    assert len(said) == 1
    assert said[0].endswith(f"which uses {CORES} of {CORES} cores")

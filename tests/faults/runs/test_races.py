"""Two at once where there may be one: attempts that commit the same record, engines at one run, cancel, gc, builds."""

import asyncio
import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from places import Place, kill, wait_for

from fairway.local import environments
from fairway.spec.artifact import Artifact
from fairway.spec.project import EnvironmentSpec
from fairway.spec.run import Phase, StepResult
from fairway.stores.results import FileResults

RACERS = 4
FORK = multiprocessing.get_context("fork")

TEXT = """
@fw.task
def tick(i: int) -> str:
    note("ticks", i)
    time.sleep(0.02)
    return os.urandom(8).hex()

@fw.task
def array(i: int) -> bytes:
    time.sleep(0.02)
    return os.urandom(100_000)

@fw.pipeline
def main(which: str = "tick", count: int = 6) -> int:
    note("pipelines", os.getpid())
    found = [fw.value(one) for one in globals()[which].map(range(count))]
    return len(found)
"""


def racing(work: Callable[[int, int], object], rounds: int, racers: int = RACERS) -> list[list[object]]:
    """What each of several processes got from `work(who, round)`, begun by all at the same moment, round by round."""
    barrier = FORK.Barrier(racers)
    pipes = [FORK.Pipe(duplex=False) for _ in range(racers)]

    def race(who: int, gate: Barrier) -> None:
        found: list[object] = []
        for number in range(rounds):
            gate.wait(240)
            found.append(work(who, number))
        pipes[who][1].send(found)

    children = [FORK.Process(target=race, args=(who, barrier)) for who in range(racers)]
    for child in children:
        child.start()
    by_racer = [pipe[0].recv() if pipe[0].poll(240) else [] for pipe in pipes]
    for child in children:
        child.join(120)
        child.kill()
    assert [len(found) for found in by_racer] == [rounds] * racers
    return [list(found) for found in zip(*by_racer, strict=True)]


def doubled(results: FileResults, rounds: int) -> list[str]:
    """Attempts with more or fewer than one accepted result, of two attempts that several processes each carry out."""

    def late(who: int, number: int) -> bool:
        made = Artifact(format="json", digest=f"by {who}", size=1)
        return results.commit(StepResult(run="r", step=f"s{number}", attempt=1 + who % 2, outputs=(made,)))

    found: list[str] = []
    for number, firsts in enumerate(racing(late, rounds)):
        for attempt in (1, 2):
            won = [who for who, first in enumerate(firsts) if first and 1 + who % 2 == attempt]
            record = results.read("r", f"s{number}", attempt)
            kept = record.outputs[0].digest if record is not None else "nothing"
            if [f"by {who}" for who in won] != [kept]:
                found.append(f"s{number}.{attempt}: {won} were accepted, kept is {kept}")
    return found


def test_of_late_and_double_attempts_one_result_each_is_accepted(
    tmp_path: Path, full: bool, measured: Callable[..., None]
) -> None:
    rounds = 1_000 if full else 60
    found = doubled(FileResults(tmp_path), rounds)
    assert found == []
    measured(
        "T3",
        "Processes that commit the result of the same attempt at the same moment, two attempts of a step at a time",
        goal="exactly one result accepted of each attempt, and that one is read",
        races=rounds,
        processes=RACERS,
        attempts=2 * rounds,
        doubled=len(found),
    )


def test_the_race_sees_a_store_that_looks_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(self: FileResults, result: StepResult) -> bool:
        path = tmp_path / f"{result.step}.{result.attempt}"
        if path.exists():
            return False
        time.sleep(0.02)
        path.write_text(result.outputs[0].digest)
        return True

    monkeypatch.setattr(FileResults, "commit", commit)
    assert doubled(FileResults(tmp_path), 20)


def wrongs(place: Place, run: str) -> list[str]:
    """What must not be on record of a run, however many worked at it."""
    events = list(place.stores.metadata.events(run=run))
    kinds = Counter(type(event.body).__name__ for event in events)
    status = place.status(run)
    ends = Counter(
        event.step
        for event in events
        if type(event.body).__name__ == "StepEnded" and event.body.phase is Phase.SUCCEEDED
    )
    found = [f"{step} ended {count} times" for step, count in ends.items() if count > 1]
    if status.phase.ended and type(events[-1].body).__name__ != "RunEnded":
        found.append(f"{type(events[-1].body).__name__} after the end")
    if kinds["RunStarted"] != 1:
        found.append(f"started {kinds['RunStarted']} times")
    return found + list(place.verified().problems)


def interrupted(place: Place) -> str:
    """A run whose engine was killed; its name."""
    known = set(place.runs())
    noted = len(place.notes("ticks"))
    engine = place.start("run", "project.py", "--quiet")
    assert wait_for(lambda: len(place.notes("ticks")) > noted, pause=0.002)
    kill(engine.pid)
    engine.wait()
    return (set(place.runs()) - known).pop()


def two_resume(place: Place, rng: random.Random) -> str:
    """Two engines take up the same run, the second a little later."""
    name = interrupted(place)
    first = place.start("resume", name)
    time.sleep(rng.random() * 0.6)
    second = place.start("resume", name)
    codes = {first.wait(240), second.wait(240)}
    assert codes <= {0, 2}, codes
    assert 0 in codes
    assert place.status(name).phase is Phase.SUCCEEDED
    return name


def resume_while_running(place: Place, rng: random.Random) -> str:
    """Somebody resumes a run that is not interrupted at all."""
    known = set(place.runs())
    engine = place.start("run", "project.py", "--quiet")
    assert wait_for(lambda: set(place.runs()) - known, pause=0.002)
    name = (set(place.runs()) - known).pop()
    time.sleep(rng.random() * 0.2)
    other = place.start("resume", name)
    assert (engine.wait(240), other.wait(240)) in ((0, 0), (0, 2))
    assert place.status(name).phase is Phase.SUCCEEDED
    return name


def cancel_while_finishing(place: Place, rng: random.Random) -> str:
    """A cancel that comes about when the run ends: it ends either way, and the exit code says which."""
    known = set(place.runs())
    engine = place.start("run", "project.py", "--quiet")
    assert wait_for(lambda: set(place.runs()) - known, pause=0.002)
    name = (set(place.runs()) - known).pop()
    time.sleep(rng.random() * 0.15)
    asked = place.start("cancel", name).wait(240)
    code, phase = engine.wait(240), place.status(name).phase
    assert (code, phase) in ((0, Phase.SUCCEEDED), (130, Phase.CANCELLED)), (code, phase)
    assert asked in ((0, 2) if code == 0 else (0,))
    return name


def cancel_while_resuming(place: Place, rng: random.Random) -> str:
    """A cancel of an interrupted run that is just being taken up: never is a run at work that is over on record."""
    name = interrupted(place)
    engine = place.start("resume", name, "--quiet")
    time.sleep(rng.random() * 0.5)
    asked = place.start("cancel", name).wait(240)
    code, phase = engine.wait(240), place.status(name).phase
    assert (code, phase) in ((0, Phase.SUCCEEDED), (130, Phase.CANCELLED)), (code, phase)
    assert asked in (0, 2)
    return name


def gc_while_running(place: Place, rng: random.Random) -> str:
    """Sweeping takes nothing that a run at work has just made and not noted yet."""
    known = set(place.runs())
    engine = place.start("run", "project.py", "--which", "array", "--quiet")
    while engine.poll() is None:
        time.sleep(rng.random() * 0.05)
        assert place.start("gc").wait(240) == 0
    assert engine.returncode == 0
    name = (set(place.runs()) - known).pop()
    for step in place.status(name).steps:
        assert len(place.stores.load(step.outputs[0])) == 100_000  # type: ignore[arg-type]
    return name


RACES = [two_resume, resume_while_running, cancel_while_finishing, cancel_while_resuming, gc_while_running]


def test_commands_that_race_for_a_run_leave_it_whole(
    place: Callable[..., Place], full: bool, measured: Callable[..., None]
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    rounds = 25 if full else 1
    here = place(TEXT)
    found: list[str] = []
    for _ in range(rounds):
        for race in RACES:
            found += [f"{race.__name__}: {why}" for why in wrongs(here, race(here, rng))]
    assert found == []
    measured(
        "T3-commands",
        "Two engines at one run, resume while running, cancel while finishing and while resuming, gc while running",
        goal="one engine at a time, each step ends once, nothing after the end, nothing made is swept",
        races=rounds * len(RACES),
        wrong=len(found),
    )


SAME_NAMES = """
import glob, os, time
import fairway.engine.names as names
drawn = iter(("k7m2", "p3x8", "r5r5", "t2t2") * 5)
def new_name(is_taken):
    name = next(name for name in drawn if not is_taken(name))
    open(f"drew-{os.getpid()}", "w").close()
    while len(glob.glob("drew-*")) < 4: time.sleep(0.01)
    return name
names.new_name = new_name
"""
"""All four have drawn their first name before the first of them goes on."""


def test_runs_that_draw_the_same_name_at_the_same_moment_get_names_of_their_own(
    place: Callable[..., Place],
) -> None:
    here = place(TEXT, planted=SAME_NAMES)
    engines = [here.start("run", "project.py", "--quiet") for _ in range(4)]
    codes = [engine.wait(240) for engine in engines]
    assert codes == [0] * 4, here.notes("said")
    assert here.runs() == ["k7m2", "p3x8", "r5r5", "t2t2"]


NO_LEASE = """
from fairway.local import locking
locking.take = lambda fd, shared=False: True
locking.take_within = lambda fd, seconds: True
"""


def test_the_check_sees_engines_without_a_lease(place: Callable[..., Place]) -> None:
    here = place(TEXT.replace("0.02", "0.6"), planted=NO_LEASE)
    name = interrupted(here)
    for engine in [here.start("resume", name) for _ in range(2)]:
        engine.wait(240)
    assert wrongs(here, name)


INSTALLER = """#!/bin/sh
for last; do :; done
if [ "$1" = venv ]; then
    echo build >> "$BUILDS"
    mkdir "$last" || exit 1
    sleep 0.1
    mkdir "$last/bin" || exit 1
    touch "$last/pyvenv.cfg"
fi
"""


def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int) -> tuple[list[list[object]], int]:
    """What went wrong for each that wanted an environment, round by round, and how many were built.

    The installer here only makes folders; that two would meet in one shows as an error of theirs.
    """
    tools, built_so_far = tmp_path / "tools", tmp_path / "builds"
    tools.mkdir()
    (tools / "uv").write_text(INSTALLER)
    (tools / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("BUILDS", str(built_so_far))

    def build(who: int, number: int) -> str:
        wanted = EnvironmentSpec(requirements=(f"package=={number}",))
        try:
            built = asyncio.run(environments.ensure(wanted, tmp_path / "cache", lambda text: None))
        except Exception as error:
            return str(error)
        return "" if (built.package / "fairway").exists() else "not whole"

    return racing(build, rounds), len(built_so_far.read_text().splitlines())


def test_an_environment_that_many_want_at_once_is_built_once(
    tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch, measured: Callable[..., None]
) -> None:
    rounds = 200 if full else 8
    said, built = builds(tmp_path, monkeypatch, rounds)
    wrong = [why for one in said for why in one if why]
    assert wrong == []
    assert built == rounds
    measured(
        "T3-builds",
        "Processes that want the same environment at the same moment",
        goal="it is built once and whole for all",
        races=rounds,
        processes=RACERS,
        wrong=len(wrong),
    )


def test_the_race_sees_builders_that_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments.fcntl, "flock", lambda *words: None)
    said, built = builds(tmp_path, monkeypatch, 5)
    assert built > 5
    assert any(any(one) for one in said)

"""A closed terminal, Ctrl-C, two engines at one run, a store that fails, a pipeline that cannot be repeated."""

import fcntl
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pytest
from places import Place, kill, wait_for

from fairway.spec.run import Phase, Reason

TEXT = """
@fw.task
def tick(i: int) -> int:
    note("ticks", i)
    time.sleep(0.1)
    while i >= 8 and not os.path.exists("go"): time.sleep(0.02)
    return i

@fw.task
def polite(i: int) -> int:
    try:
        note("ticks", i)
        time.sleep(600)
    finally:
        time.sleep(0.2)
        note("tidied", i)
    return i

@fw.task
def deaf(i: int) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("ticks", i)
    time.sleep(600)
    return i

@fw.pipeline
def main(which: str = "tick", count: int = 12) -> int:
    return sum(globals()[which].map(range(count)))
"""


def let_go(here: Place) -> None:
    """Let the last steps end, which wait until what they are to meet has happened."""
    (here.folder / "go").touch()


def test_a_hangup_changes_nothing(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    engine = here.start("run", "project.py")
    assert wait_for(lambda: len(here.notes("ticks")) >= 2)
    os.killpg(engine.pid, signal.SIGHUP)
    let_go(here)
    assert engine.wait(timeout=240) == 0
    assert here.status().phase is Phase.SUCCEEDED


def test_a_closed_terminal_changes_nothing(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in here.environment.items() if name != "CI"}
    engine = subprocess.Popen(
        [sys.executable, "-m", "fairway", "run", "project.py"],
        cwd=here.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    assert wait_for(lambda: len(here.notes("ticks")) >= 2)
    os.close(ours)
    let_go(here)
    assert engine.wait(timeout=240) == 0
    assert here.status().phase is Phase.SUCCEEDED
    assert sorted(map(int, here.notes("ticks"))) == list(range(12))


def test_one_ctrl_c_lets_steps_tidy_up(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    engine = here.start("run", "project.py", "--which", "polite")
    assert wait_for(lambda: here.notes("ticks"))
    kill(engine.pid, signal.SIGINT)
    assert engine.wait(timeout=240) == 130
    assert sorted(here.notes("tidied")) == sorted(here.notes("ticks"))
    status = here.status()
    assert status.phase is Phase.CANCELLED
    assert {step.phase for step in status.steps} == {Phase.CANCELLED}
    assert not here.alive()


def test_a_request_to_end_cancels_as_ctrl_c_does_and_a_later_engine_goes_on(
    place: Callable[..., Place],
) -> None:
    """What an init system, a container or `fairway cancel` sends."""
    here = place(TEXT)
    engine = here.start("run", "project.py", "--count", "16")
    assert wait_for(lambda: len(here.notes("ticks")) >= 3)
    kill(engine.pid, signal.SIGTERM)
    assert engine.wait(timeout=240) == 130
    status = here.status()
    assert status.phase is Phase.CANCELLED
    done = {step.spec.name for step in status.steps if step.phase is Phase.SUCCEEDED}
    assert done
    assert not here.alive()

    let_go(here)
    here.fairway("resume", here.runs()[0])

    status = here.status()
    assert status.phase is Phase.SUCCEEDED
    assert all(len(step.attempts) == 1 for step in status.steps if step.spec.name in done)


def test_a_second_ctrl_c_ends_what_does_not_listen(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    engine = here.start("run", "project.py", "--which", "deaf")
    assert wait_for(lambda: here.notes("ticks"))
    kill(engine.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        engine.wait(timeout=1)
    kill(engine.pid, signal.SIGINT)
    assert engine.wait(timeout=8) == 130
    assert here.status().phase is Phase.CANCELLED
    assert wait_for(lambda: not here.alive())


def test_a_cancelled_run_can_be_taken_up_again(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    engine = here.start("run", "project.py")
    assert wait_for(lambda: len(here.notes("ticks")) >= 4)
    kill(engine.pid, signal.SIGINT)
    assert engine.wait(timeout=240) == 130
    let_go(here)
    here.fairway("resume", here.runs()[0])
    assert here.status().phase is Phase.SUCCEEDED


def test_two_engines_cannot_work_at_one_run(place: Callable[..., Place]) -> None:
    here = place(TEXT)
    engine = here.start("run", "project.py", "--count", "16")
    assert wait_for(lambda: here.notes("ticks"))
    engine.kill()
    engine.wait()
    name = here.runs()[0]

    # Neither can end before it is let go, so whichever comes second meets the first.
    both = [here.start("resume", name, quiet=False) for _ in range(2)]
    assert wait_for(lambda: any(one.poll() is not None for one in both), seconds=240)
    let_go(here)
    words = [one.communicate(timeout=240)[1] for one in both]

    assert sorted(one.returncode for one in both) == [0, 2], words
    refused = words[0] if both[0].returncode == 2 else words[1]
    assert f"run {name} is being worked on by process" in refused
    assert "hint:" in refused
    assert here.status().phase is Phase.SUCCEEDED
    assert here.verified().problems == ()


def test_a_store_that_cannot_be_written_stops_the_run_and_it_goes_on_later(
    place: Callable[..., Place],
) -> None:
    """The engine may write no further byte: every write to its database fails from then on."""
    here = place(TEXT)
    engine = here.start("run", "project.py", "--count", "30", quiet=False)
    assert wait_for(lambda: len(here.notes("ticks")) >= 4)
    resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (1, 1))
    _, said = engine.communicate(timeout=240)
    assert engine.returncode == 1
    assert "Traceback" not in said
    assert "error: " in said
    assert "hint: " in said
    assert wait_for(lambda: not here.alive())
    before = len(here.notes("ticks"))

    let_go(here)
    here.fairway("resume", here.runs()[0])

    assert here.status().phase is Phase.SUCCEEDED
    assert here.verified().problems == ()
    again = len(here.notes("ticks")) - 30
    assert before < 30
    assert again <= 8, "what was done is not done again"


WAVERING = """
@fw.task
def tick(i: int) -> int:
    while i < 6 and not os.path.exists("go"): time.sleep(0.02)
    return i

@fw.pipeline
def main() -> int:
    note("drivers", os.getpid())
    first = fw.value(tick(6 + random.SystemRandom().randrange(10**6)))
    return first + sum(tick.map(range(6)))
"""


def test_a_repeated_pipeline_that_takes_another_path_fails_clearly(place: Callable[..., Place]) -> None:
    here = place(WAVERING)
    engine = here.start("run", "project.py", quiet=False)
    assert wait_for(lambda: here.runs() and len(here.status().steps) > 2)
    kill(int(here.notes("drivers")[0]))
    let_go(here)
    _, said = engine.communicate(timeout=240)
    assert engine.returncode == 1
    assert "the pipeline was repeated and called tick with other arguments" in said
    assert "inside a task" in said
    status = here.status()
    assert status.phase is Phase.FAILED
    assert status.failure is not None
    assert status.failure.reason is Reason.USER


def test_a_pipeline_that_is_killed_again_and_again_ends(place: Callable[..., Place]) -> None:
    here = place(WAVERING.replace("6 + random.SystemRandom().randrange(10**6)", "3"))
    engine = here.start("run", "project.py", quiet=False)
    for death in range(3):
        assert wait_for(lambda: len(here.notes("drivers")) == death + 1)  # noqa: B023
        time.sleep(0.1)
        kill(int(here.notes("drivers")[-1]))
    let_go(here)
    _, said = engine.communicate(timeout=240)
    assert engine.returncode == 1
    assert "SIGKILL" in said
    assert here.status().phase is Phase.FAILED

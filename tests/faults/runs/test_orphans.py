"""Whatever is killed, what it had started is gone soon after: children, grandchildren, and daemons that hid."""

import random
from collections.abc import Callable

import pytest
from places import Place, descendants, kill, wait_for

LEVELS = ("engine", "host", "driver", "step")
GONE = 2.0
"""Seconds that a process has to be gone in."""

PATIENCE = 30.0
"""Seconds that it has on a machine that is busy with other things."""


TEXT = '''
def nest():
    """Leave behind what is hard to find: a child, a deaf one, a daemon of its own session, and one forked in the step."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen(["sleep", "600"])
    subprocess.Popen([sys.executable, "-S", "-E", "-c", deaf])
    subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600"], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        time.sleep(600)
        os._exit(0)

@fw.task
def busy(i: int) -> int:
    nest()
    note("steps", os.getpid())
    time.sleep(600)
    return i

@fw.pipeline
def main() -> int:
    nest()
    note("drivers", os.getpid())
    return sum(busy.map(range(2)))
'''

NESTED = 1 + 1 + 3 + 1
"""How many processes `nest` leaves."""


def nest_of(place: Place, engine: int, level: str) -> tuple[int, set[int]]:
    """Start from a full house: the process to kill, and all processes that must be gone then."""
    ready = 1 + 1 + (1 + 2) * (1 + NESTED)
    assert wait_for(lambda: len(place.notes("steps")) >= 2 and len(place.alive()) >= ready)
    everyone = place.alive()
    host = place.host(engine)
    if level == "engine":
        return engine, everyone
    if level == "host":
        return host, everyone - {engine}
    victim = int(place.notes("drivers" if level == "driver" else "steps")[0])
    gone = descendants(victim)
    assert len(gone) > NESTED, "daemons stay with the step that started them"
    return victim, gone


def survivors(place: Place, gone: set[int], patience: float) -> set[int]:
    """Those of the processes that live on although they had time to end."""
    wait_for(lambda: not gone & place.alive(), patience)
    return gone & place.alive()


def attack(place: Place, level: str, patience: float) -> set[int]:
    """Kill one level of a run in full swing; who is left of those that should be gone."""
    engine = place.start("run", "project.py")
    victim, gone = nest_of(place, engine.pid, level)
    kill(victim)
    left = survivors(place, gone, patience)
    kill(engine.pid)
    engine.wait()
    return left | survivors(place, place.alive(), patience)


def test_nothing_is_left_two_seconds_after_a_kill_at_any_level(
    place: Callable[..., Place], full: bool, measured: Callable[..., None]
) -> None:
    rng = random.Random(17)
    rounds, left = 200 if full else 4, set[int]()
    for number in range(rounds):
        here = place(TEXT)
        level = LEVELS[number % len(LEVELS)] if number < len(LEVELS) else rng.choice(LEVELS)
        left |= attack(here, level, GONE if full else PATIENCE)
        assert not left, level
        here.end()
    measured(
        "T17",
        "Kill -9 of engine, host, driver or step that have children, deaf ones, daemons and sessions of their own",
        goal="0 processes left after 2 s",
        kills=rounds,
        left=len(left),
    )


STEP_ENDS = """
@fw.task
def leaves(i: int) -> int:
    subprocess.Popen(["sleep", "600"])
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    return i

@fw.task
def watches(i: int) -> int:
    time.sleep(1000)
    return i

@fw.pipeline
def main() -> int:
    fw.value(leaves(1))
    return watches(2) + 0
"""


def test_a_step_that_returns_leaves_nobody_behind(place: Callable[..., Place]) -> None:
    here = place(STEP_ENDS)
    engine = here.start("run", "project.py")
    assert wait_for(lambda: "watches" in (here.folder / "said").read_text() or len(here.runs()) == 1)
    assert wait_for(lambda: any(step.spec.name == "watches" for step in here.status().steps))
    sleepers = lambda: [pid for pid in here.alive() if _name(pid) == "sleep"]  # noqa: E731
    assert wait_for(lambda: not sleepers(), PATIENCE)
    kill(engine.pid)
    engine.wait()


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


HOST_FORGETS = """
import fairway.runner.lifeline as lifeline
import fairway.runner.processes as processes
lifeline.die_with_parent = lambda *words: None
processes.kill_strays = lambda known: None
"""

ENGINE_FORGETS = """
import fairway.local.reaping as ending
ending._end_marked = lambda mark: None
"""


@pytest.mark.parametrize(
    ("level", "planted"), [("engine", HOST_FORGETS), ("host", ENGINE_FORGETS)], ids=["engine", "host"]
)
def test_the_count_of_survivors_sees_who_forgets_its_own(
    place: Callable[..., Place], level: str, planted: str
) -> None:
    assert attack(place(TEXT, planted=planted), level, GONE)

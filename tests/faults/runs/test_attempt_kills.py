"""Steps, hosts and drivers killed at random: every run ends as it must, and only the user's faults spend retries."""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from places import Place, kill, wait_for

from fairway.spec.run import Phase, Reason, RunStatus

IN_FLIGHT = 4
RETRIES = 2
WIDTH = 6
BOUNDS = {"driver": 2, "host": 10}
"""So many deaths of its pipeline's process and of its hosts a run survives; the next would end it."""

TEXT = """
@fw.task(retries=2, cpu=0.5)
def work(who: int, i: int) -> int:
    note(f"steps-{who}", f"work {os.getpid()}")
    time.sleep(0.05 + 0.1 * random.Random(i).random())
    return i * i

@fw.task(cpu=0.5)
def fragile(who: int, total: int) -> int:
    note(f"steps-{who}", f"fragile {os.getpid()}")
    time.sleep(0.1)
    return total + 1

@fw.pipeline
def main(who: int = 0) -> int:
    note(f"drivers-{who}", os.getpid())
    squares = [work(who, i) for i in range(6)]
    total = sum(squares)
    return fw.value(fragile(who, total)) + sum(work(who, i) for i in range(3))
"""

RESULT = sum(i * i for i in range(WIDTH)) + 1 + sum(i * i for i in range(3))


class Victim:
    """One run and the kills that it got."""

    def __init__(self, place: Place, who: int, rng: random.Random) -> None:
        self.place = place
        self.who = who
        self.rng = rng
        self.kills = Counter[str]()
        self.engine: subprocess.Popen[str] = place.start("run", "project.py", "--who", str(who), "--quiet")

    def hit(self) -> bool:
        """Kill one of its processes if there is one to kill now."""
        kind = self.rng.choice(["step", "step", "step", "host", "driver"])
        if kind in BOUNDS and self.kills[kind] >= BOUNDS[kind]:
            return False
        pid = self._process(kind)
        if not pid:
            return False
        kill(pid)
        self.kills[kind] += 1
        return True

    def _process(self, kind: str) -> int:
        host = self.place.host(self.engine.pid)
        if kind == "host" or not host:
            # One that has not imported the project yet cannot be lost in the middle of something.
            return host if self.place.notes(f"drivers-{self.who}") else 0
        notes = self.place.notes(f"{kind}s-{self.who}")
        if kind == "step":
            notes = [line.split()[1] for line in notes]
        living = [int(note) for note in notes if _parent(int(note)) == host]
        return self.rng.choice(living) if living else 0


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def wrongs(status: RunStatus, kills: Counter[str], exit_code: int) -> list[str]:
    """What must not be in the record of a run that got these kills, as sentences."""
    found: list[str] = []
    spent: Counter[str] = Counter()
    for step in status.steps:
        reasons = Counter(attempt.failure.reason for attempt in step.attempts if attempt.failure is not None)
        crashes, losses = reasons.pop(Reason.CRASH, 0), reasons.pop(Reason.HOST, 0)
        spent["step"] += crashes
        if reasons:
            found.append(f"{step.spec.name} failed by {dict(reasons)}")
        if losses and not kills["host"]:
            found.append(f"{step.spec.name} lost a host that nobody killed")
        if losses > kills["host"]:
            found.append(f"{step.spec.name} lost {losses} hosts")
        failed = step.phase is Phase.FAILED
        if failed != (crashes > step.spec.retries):
            found.append(f"{step.spec.name} is {step.phase} after {crashes} crashes and {losses} losses")
        if failed and (step.failure is None or step.failure.reason is not Reason.CRASH):
            found.append(f"{step.spec.name} failed by {step.failure}")
        if step.phase is Phase.SUCCEEDED and len(step.attempts) != 1 + crashes + losses:
            found.append(
                f"{step.spec.name}: {len(step.attempts)} attempts, {crashes} crashes, {losses} losses"
            )
    if spent["step"] > kills["step"]:
        found.append(f"{spent['step']} crashes by {kills['step']} kills")
    failed = [step for step in status.steps if step.phase is Phase.FAILED]
    if (status.phase is Phase.FAILED) != bool(failed) or (exit_code == 1) != bool(failed):
        found.append(f"the run is {status.phase}, exit {exit_code}, {status.failure}")
    return found


def test_kills_end_no_run_but_by_the_users_faults(
    place: Callable[..., Place], full: bool, measured: Callable[..., None]
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    wanted = 500 if full else 12
    here = place(TEXT)
    flying: list[Victim] = []
    over: list[Victim] = []
    until = time.monotonic() + 500
    while time.monotonic() < until:
        kills = sum(sum(one.kills.values()) for one in flying + over)
        while len(flying) < IN_FLIGHT and kills < wanted:
            flying.append(Victim(here, len(over) + len(flying), rng))
        if not flying:
            break
        time.sleep(rng.random() * 0.08)
        if kills < wanted:
            rng.choice(flying).hit()
        for one in [one for one in flying if one.engine.poll() is not None]:
            flying.remove(one)
            over.append(one)
    assert not flying, "runs that do not end"

    by_who = {status.spec.shown["who"]: status for status in map(here.status, here.runs())}
    total: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    for one in over:
        status = by_who[str(one.who)]
        wrong += [f"{one.who}: {why}" for why in wrongs(status, one.kills, one.engine.returncode)]
        if status.phase is Phase.SUCCEEDED:
            result = status.result and here.stores.load(status.result)
            wrong += [] if result == RESULT else [f"{one.who}: its result is {result}"]
        total += one.kills
        ends[str(status.phase)] += 1
    assert wrong == []
    assert min(total["step"], total["host"], total["driver"]) > 0 or not full
    measured(
        "T4",
        "Kill -9 of random steps, hosts and drivers of runs in flight",
        goal="every run ends with the right class, only deaths of steps spend retries, results as without kills",
        kills=sum(total.values()),
        steps=total["step"],
        hosts=total["host"],
        drivers=total["driver"],
        runs=len(over),
        succeeded=ends["Succeeded"],
        failed_after_more_kills_than_retries=ends["Failed"],
        wrong=len(wrong),
    )


LOST_HOSTS_COUNT = """
import fairway.plan.run as plan
from fairway.spec.run import Reason
plan._COUNTED = (*plan._COUNTED, Reason.HOST)
def again(self, step, reason):
    step.faults += 1
    return step.faults <= step.spec.retries
plan.RunState._again = again
"""

ONE_HOST = """
@fw.task
def slow(i: int) -> int:
    note("steps-0", f"slow {os.getpid()}")
    while not os.path.exists("go"): time.sleep(0.02)
    return i

@fw.pipeline
def main() -> int:
    note("drivers-0", os.getpid())
    return fw.value(slow(3))
"""


def lose_a_host(here: Place) -> tuple[RunStatus, int]:
    """A run of one step without retries whose host is killed under it."""
    engine = here.start("run", "project.py")
    assert wait_for(lambda: here.notes("steps-0"))
    step = int(here.notes("steps-0")[0].split()[1])
    kill(here.host(engine.pid))
    # It outlives its host for a moment, in which it is not to end well.
    assert wait_for(lambda: step not in here.alive())
    (here.folder / "go").touch()
    engine.wait(timeout=240)
    return here.status(), engine.returncode


def test_a_lost_host_spends_no_retries(place: Callable[..., Place]) -> None:
    status, code = lose_a_host(place(ONE_HOST))
    assert wrongs(status, Counter(host=1), code) == []
    assert (status.phase, code) == (Phase.SUCCEEDED, 0)
    assert [attempt.failure.reason for attempt in status.steps[0].attempts if attempt.failure] == [
        Reason.HOST
    ]


def test_the_check_sees_lost_hosts_that_spend_retries(place: Callable[..., Place]) -> None:
    status, code = lose_a_host(place(ONE_HOST, planted=LOST_HOSTS_COUNT))
    assert wrongs(status, Counter(host=1), code) != []

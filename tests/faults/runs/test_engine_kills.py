"""Engines killed at random moments under twenty runs in flight: nothing acknowledged is lost, nothing has two results."""

import random
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable

from places import Place, wait_for

from fairway.local import leases
from fairway.spec.run import Phase

IN_FLIGHT = 20
STEPS = 8

TEXT = '''
@fw.task(retries=2)
def work(who: int, i: int, longest: float, before: str) -> str:
    """Cannot be repeated: a second execution gives another token."""
    token = os.urandom(8).hex()
    time.sleep(random.Random(token).random() * longest)
    return token

@fw.task(cache=True)
def shared(i: int) -> int:
    return i * i

@fw.pipeline
def main(who: int = 0, longest: float = 0.05, steps: int = 8) -> list[str]:
    """Whatever it is told, it writes down at once: that is acknowledged."""
    tokens = []
    for i in range(steps):
        wide = [work(who, i, longest, ""), work(who, i, longest, tokens[-1] if tokens else "x")]
        assert fw.value(shared(i % 3)) == (i % 3) ** 2
        for j, one in enumerate(wide):
            token = fw.value(one)
            note(f"acknowledged-{who}", f"{i}.{j} {token}")
            tokens.append(token)
    note(f"returned-{who}", " ".join(tokens))
    return tokens
'''


class Storm:
    """So many runs are kept in flight while their engines are killed; their steps take `longest` seconds at most.

    Steps must take so long that more engines are at work than start, or there is nobody to kill.
    """

    def __init__(
        self, place: Place, rng: random.Random, wanted: int = IN_FLIGHT, longest: float = 0.05
    ) -> None:
        self.place = place
        self.rng = rng
        self.wanted = wanted
        self.longest = longest
        self.engines: dict[int, subprocess.Popen[str]] = {}
        self.names: dict[int, str] = {}
        self.seen: set[int] = set()
        self.started = 0
        self.kills = 0
        self.begun_again = 0

    def rage(self, kills: int) -> None:
        """Kill so often, then let every run come to its end."""
        patience = 100
        while self.kills < kills:
            self._fill(self.wanted)
            time.sleep(self.rng.random() * 0.1)
            working = self._at_work()
            # On a busy machine so many may never be at work at once.
            if len(working) < (self.wanted // 2 if patience > 0 else 1):
                patience -= 1
                continue
            patience = 100
            who = self.rng.choice(working)
            self.engines[who].kill()
            self.engines[who].wait()
            self.kills += self.engines[who].returncode == -9
            self._over(who, self.engines[who])
        until = time.monotonic() + 240
        while self.engines and time.monotonic() < until:
            self._fill(0)
            time.sleep(0.02)
        assert not self.engines, "runs that do not end"

    def _at_work(self) -> list[int]:
        """Whose engine holds a run now, and is not just starting."""
        self._name_runs()
        root = self.place.folder / ".fairway"
        return [
            who
            for who, engine in self.engines.items()
            if who in self.names and leases._holder(root, root / "runs" / self.names[who]) == engine.pid
        ]

    def _fill(self, wanted: int) -> None:
        for who, engine in list(self.engines.items()):
            if engine.poll() is not None:
                self._over(who, engine)
        while len(self.engines) < wanted:
            self.started += 1
            self._start(self.started)

    def _over(self, who: int, engine: subprocess.Popen[str]) -> None:
        del self.engines[who]
        if engine.returncode == -9:
            self._start(who)
        else:
            assert engine.returncode == 0, (self.place.folder / "said").read_text("utf-8")[-3000:]

    def _start(self, who: int) -> None:
        name = self._find(who) if who in self.seen else ""
        self.seen.add(who)
        self.begun_again += bool(name)
        new = ("run", "project.py", "--who", str(who), "--longest", str(self.longest))
        self.engines[who] = self.place.start(*(("resume", name) if name else new), "--quiet")

    def _find(self, who: int) -> str:
        """The run of a killed engine; empty when it was killed before there was one."""
        self._name_runs()
        return self.names.get(who, "")

    def _name_runs(self) -> None:
        metadata = self.place.stores.metadata
        for name in set(metadata.run_names()) - set(self.names.values()):
            self.names[int(metadata.run(name).spec.shown["who"])] = name


def wrongs(storm: Storm) -> list[str]:
    """What must not be, as sentences."""
    found: list[str] = []
    place = storm.place
    metadata = place.stores.metadata
    ended = Counter[str]()
    for name in metadata.run_names():
        status = metadata.run(name)
        who = status.spec.shown["who"]
        ended[who] += 1
        if status.phase is not Phase.SUCCEEDED:
            found.append(f"run {name} ended {status.phase}: {status.failure}")
        found += [
            f"{name}/{step.spec.name} ended {step.phase}"
            for step in status.steps
            if step.phase is not Phase.SUCCEEDED
        ]
        told: dict[str, set[str]] = defaultdict(set)
        for line in place.notes(f"acknowledged-{who}"):
            step, _, token = line.partition(" ")
            told[step].add(token)
        found += [
            f"{name}: step {step} gave {len(tokens)} results"
            for step, tokens in told.items()
            if len(tokens) > 1
        ]
        if len(told) != 2 * STEPS:
            found.append(f"{name}: {len(told)} steps were acknowledged")
        if len(set(place.notes(f"returned-{who}"))) != 1:
            found.append(f"{name}: its pipeline returned different things")
        results = Counter(
            event.step for event in metadata.events(run=name) if type(event.body).__name__ == "StepEnded"
        )
        found += [f"{name}/{step} ended {count} times" for step, count in results.items() if count > 1]
    found += [f"{who} has {count} runs that ended" for who, count in ended.items() if count > 1]
    found += place.verified().problems
    return found


def test_runs_survive_kills_of_their_engines(
    place: Callable[..., Place], full: bool, measured: Callable[..., None]
) -> None:
    kills, wanted, longest = (1000, IN_FLIGHT, 2.0) if full else (8, 6, 0.4)
    seed = random.randrange(2**32)
    print("seed", seed)
    storm = Storm(place(TEXT), random.Random(seed), wanted, longest)
    begun = time.monotonic()

    storm.rage(kills)

    found = wrongs(storm)
    doubled = [why for why in found if why.endswith((" results", " times"))]
    assert found == []
    assert storm.kills == kills
    assert storm.begun_again == kills, "every run that was killed went on"
    events = storm.place.verified().events
    measured(
        "T1",
        f"Kill -9 of engines at random moments under {wanted} runs in flight, then resume",
        goal="all runs end, 0 acknowledged results lost, 0 steps with two results, database and hash chain whole",
        kills=storm.kills,
        resumed=storm.begun_again,
        runs=storm.started,
        events=events,
        lost=len(found) - len(doubled),
        doubled=len(doubled),
        seconds=round(time.monotonic() - begun),
    )


FORGETFUL = """
import fairway.plan.run as plan
kept = plan.RunState.__init__
def forget(self, capacity, recorded=None):
    kept(self, capacity, {} if recorded is None else {
        name: plan.Recorded(one.spec, one.attempts, None, settled=False) for name, one in recorded.items()
    })
plan.RunState.__init__ = forget
"""


def test_the_storm_sees_an_engine_that_forgets_settled_steps(place: Callable[..., Place]) -> None:
    here = place(TEXT, planted=FORGETFUL)
    storm = Storm(here, random.Random(1), longest=0.4)
    storm._fill(1)
    assert wait_for(lambda: len(here.notes("acknowledged-1")) > 4)
    engine = storm.engines[1]
    engine.kill()
    engine.wait()
    storm.rage(0)
    assert any("results" in said for said in wrongs(storm))

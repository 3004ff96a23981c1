"""T1, the platform's part: killed at any moment of a deployment, it loses no deployment it has acknowledged.

Meanwhile runs are in flight in the same store; they take no notice.
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from arena import Arena, Load, wait_for

from fairway.local.workers import is_alive
from fairway.spec.errors import FairwayError
from fairway.spec.run import Phase
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata

TICKS = """
import time
import fairway as fw

@fw.task
def tick(i: int, seconds: float) -> int:
    time.sleep(seconds)
    return i

@fw.pipeline
def ticks(seconds: float = 0.2) -> int:
    return sum(fw.value(tick(i, seconds)) for i in range(10))
"""
FORGETS = """
import sys
if "fairway.control" in sys.orig_argv:
    from fairway.engine.endpoints import EndpointEngine

    kept = EndpointEngine._point

    async def point(self, name, number, reason, port=0):
        if number == 1:
            await kept(self, name, number, reason, port)

    EndpointEngine._point = point
"""


@dataclass
class Seen:
    """What came of the kills."""

    acknowledged: int = 0
    refused: int = 0
    adopted: int = 0
    lost: list[str] = field(default_factory=list)


class Runs:
    """So many runs are kept in flight, each of ten steps that take `seconds`, until this is left and all have ended."""

    def __init__(self, arena: Arena, wanted: int, seconds: float) -> None:
        self._arena = arena
        self._words = ("run", arena.file("ticks.py", TICKS), "--seconds", str(seconds), "--quiet")
        self._wanted = wanted
        self._engines: list[subprocess.Popen[bytes]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep)
        self.codes: list[int] = []

    def __enter__(self) -> "Runs":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.codes += [engine.wait(240) for engine in self._engines]

    def _keep(self) -> None:
        while not self._over.wait(0.1):
            self.codes += [engine.returncode for engine in self._engines if engine.poll() is not None]
            self._engines = [engine for engine in self._engines if engine.returncode is None]
            if len(self._engines) < self._wanted:
                self._engines.append(self._arena.start(*self._words))

    def wrongs(self) -> list[str]:
        """What must not be on record of them, as sentences."""
        with SqliteMetadata(Layout(self._arena.root)) as metadata:
            ours = [run for run in metadata.runs(100_000) if run.pipeline == "ticks"]
            found = [f"{run.name} is {run.phase}" for run in ours if run.phase is not Phase.SUCCEEDED]
            if len(ours) != len(self.codes):
                found.append(f"{len(self.codes)} were started, {len(ours)} are on record")
            return [*found, *(f"exit {code}" for code in self.codes if code), *metadata.verify().problems]


def kill_during_deployments(
    arena: Arena, kills: int, enough: Callable[[Seen], bool] = lambda seen: False
) -> tuple[Seen, Load]:
    """Kill the platform at a random moment of a deployment, start another, and compare with what was acknowledged.

    So often, or until `enough` of what was seen.
    """
    arena.up()
    begun = time.monotonic()
    first = arena.deploy("churn:1", replicas=1)
    shortest = longest = 2.5 * (time.monotonic() - begun)
    seen = Seen()
    known = first.status.wanted
    with Load(first.status.port, rate=40, clients=2, fresh=True) as load:
        for number in range(kills):
            pid = arena.up()
            killer = threading.Timer(random.uniform(0.0, longest), os.kill, (pid, signal.SIGKILL))
            killer.start()
            wanted = f"churn:{1 + number % 2}"
            before_that = seen.acknowledged
            try:
                while True:
                    known = arena.deploy(wanted, replicas=1).status.wanted
                    seen.acknowledged += 1
            except (FairwayError, AssertionError):
                seen.refused += 1
            # Deployments may take longer than the first one did: three of four rounds are to have one.
            longest = max(shortest, longest * (1.3 if seen.acknowledged == before_that else 0.92))
            killer.join()
            assert wait_for(lambda: not is_alive(pid))  # noqa: B023 - before, it may still hold its lock
            before = set(arena.workers())
            arena.up()
            seen.adopted += bool(before & set(arena.workers()))
            now = arena.status()
            if now.wanted < known:
                seen.lost.append(f"revision {known} was acknowledged, {now.wanted} is wanted")
            known = now.wanted
            if enough(seen):
                break
            if number % 5 == 0 or number == kills - 1:
                assert wait_for(arena.settled), arena.status()
        answered = load.answered
        assert wait_for(lambda: load.answered > answered or bool(load.lost))
    return seen, load


def test_no_acknowledged_deployment_is_lost_when_the_platform_is_killed(
    full: bool, arena: Callable[..., Arena], measured: Callable[..., None]
) -> None:
    kills, in_flight, seconds = (1000, 20, 3.0) if full else (4, 3, 0.2)
    made = arena()
    with Runs(made, in_flight, seconds) as runs:
        seen, load = kill_during_deployments(made, kills)
    wrongs = runs.wrongs()
    assert wrongs == []
    assert len(runs.codes) >= in_flight
    assert seen.lost == []
    assert seen.acknowledged > kills // 4 or not full
    assert load.lost == []
    assert load.answered > 10 * kills
    assert seen.adopted == kills, "workers go on under the next platform"
    measured(
        "T1-platform", f"Kill -9 of the platform during deployments, with {in_flight} runs in flight",
        goal="0 acknowledged deployments, requests and runs lost, database and hash chain whole",
        kills=kills, acknowledged=seen.acknowledged, lost=len(seen.lost),
        requests_meanwhile=load.answered, requests_lost=len(load.lost),
        runs=len(runs.codes), runs_lost=len(wrongs),
    )  # fmt: skip


def test_the_harness_sees_a_platform_that_acknowledges_what_it_has_not_kept(
    arena: Callable[..., Arena],
) -> None:
    seen, _ = kill_during_deployments(arena(FORGETS), 30, lambda seen: bool(seen.lost))
    assert seen.lost

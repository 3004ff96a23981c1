"""T1, the platform's part: killed at any moment of a deployment, it loses no deployment it has acknowledged."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from arena import Arena, Load, wait_for

from fairway.spec.errors import FairwayError

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


def kill_during_deployments(arena: Arena, kills: int) -> tuple[Seen, Load]:
    """Kill the platform at a random moment of a deployment, start another, and compare with what was acknowledged."""
    arena.up()
    first = arena.deploy("churn:1", workers=1)
    seen = Seen()
    known = first.status.wanted
    with Load(first.status.port, rate=40, clients=2, fresh=True) as load:
        for number in range(kills):
            pid = arena.up()
            killer = threading.Timer(random.uniform(0.0, 1.2), os.kill, (pid, signal.SIGKILL))
            killer.start()
            wanted = f"churn:{1 + number % 2}"
            try:
                while True:
                    known = arena.deploy(wanted, workers=1).status.wanted
                    seen.acknowledged += 1
            except (FairwayError, AssertionError):
                seen.refused += 1
            killer.join()
            assert wait_for(lambda: pid not in arena.platform())  # noqa: B023
            before = set(arena.workers())
            arena.up()
            seen.adopted += bool(before & set(arena.workers()))
            now = arena.status()
            if now.wanted < known:
                seen.lost.append(f"revision {known} was acknowledged, {now.wanted} is wanted")
            known = now.wanted
            if number % 5 == 0 or number == kills - 1:
                assert wait_for(arena.settled), arena.status()
        time.sleep(0.2)
    return seen, load


def test_no_acknowledged_deployment_is_lost_when_the_platform_is_killed(
    full: bool, arena: Callable[..., Arena], measured: Callable[..., None]
) -> None:
    kills = 200 if full else 4
    made = arena()
    seen, load = kill_during_deployments(made, kills)
    assert seen.lost == []
    assert load.lost == []
    assert load.answered > 10 * kills
    assert seen.adopted == kills, "workers go on under the next platform"
    assert "chain" not in made.fairway("doctor").stderr
    measured(
        "T1-platform", "Kills of the platform process during deployments", goal="0 acknowledged lost",
        kills=kills, acknowledged=seen.acknowledged, lost=len(seen.lost),
        requests_meanwhile=load.answered, requests_lost=len(load.lost),
    )  # fmt: skip


def test_the_harness_sees_a_platform_that_acknowledges_what_it_has_not_kept(
    arena: Callable[..., Arena],
) -> None:
    seen, _ = kill_during_deployments(arena(FORGETS), 4)
    assert seen.lost

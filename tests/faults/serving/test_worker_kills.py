"""T4, the workers' part: a killed worker takes with it what it was answering, nothing else, and is replaced."""

import os
import random
import signal
import time
from collections.abc import Callable

import pytest
from arena import ONE, Arena, Killed, Load, killed, wait_for

SLOW = """
import asyncio
import fairway as fw

@fw.endpoint(replicas=2)
async def slow(x: float) -> float:
    await asyncio.sleep(0.05)
    return x
"""
BLIND = """
import sys
if "fairway.control" in sys.orig_argv:
    from fairway.engine.endpoints import EndpointEngine

    async def reconcile(self):
        return []

    EndpointEngine.reconcile = reconcile
"""


def kill_workers(arena: Arena, kills: int, patience: float = 120.0) -> tuple[Load, list[Killed], int]:
    """Kill one of two workers, again and again; the load, the kills, and how many were not replaced."""
    arena.up()
    arena.fairway("deploy", arena.file("slow.py", SLOW))
    killings: list[Killed] = []
    missing = 0
    with Load(arena.status("slow").port, rate=60, clients=8, fresh=True, body=ONE) as load:
        for _ in range(kills):
            time.sleep(random.uniform(0.1, 0.4))
            victim = random.choice(arena.workers("slow"))
            killings.append(killed(victim))

            def replaced(victim: int = victim) -> bool:
                return victim not in arena.workers("slow") and arena.status("slow").ready == 2

            if not wait_for(replaced, patience):
                missing += 1
                break
    return load, killings, missing


def test_a_killed_worker_takes_only_what_it_was_answering(
    full: bool, arena: Callable[..., Arena], measured: Callable[..., None]
) -> None:
    kills = 100 if full else 4
    load, killings, missing = kill_workers(arena(), kills)
    assert missing == 0
    innocent = [lost for lost in load.lost if not any(one.was_answering(lost) for one in killings)]
    assert innocent == [], "a request that began after a kill, or was over before, is not lost"
    assert len(load.lost) <= 8 * kills
    assert load.answered > 20 * kills
    measured(
        "T4-workers", "Kills of workers under light traffic of clients that never ask again",
        goal="only what the killed worker was answering is lost, every worker replaced",
        kills=kills, replaced=kills - missing, requests=load.answered + len(load.lost), in_flight_lost=len(load.lost),
        other_lost=len(innocent),
    )  # fmt: skip


def test_the_harness_sees_a_platform_that_replaces_nobody(arena: Callable[..., Arena]) -> None:
    _, _, missing = kill_workers(arena(BLIND), 1, patience=3.0)
    assert missing == 1


def test_a_worker_that_hangs_is_replaced(full: bool, arena: Callable[..., Arena]) -> None:
    if not full:
        pytest.skip("half a minute must pass; tests/unit/local/test_deployer.py does it with a shorter one")
    made = arena()
    made.up()
    port = made.deploy(replicas=2).status.port
    hung = made.workers()[0]
    os.kill(hung, signal.SIGSTOP)
    with Load(port, rate=20, clients=2, fresh=True) as load:
        assert wait_for(lambda: hung not in made.workers() and made.status().ready == 2, 90)
    assert load.lost == []

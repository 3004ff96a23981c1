"""T19: nobody loses a request while revisions and workers are replaced, also when a worker is killed between answers."""

import os
import random
import signal
import time
from collections.abc import Callable
from itertools import cycle

from arena import Arena, Killed, Load, Lost, killed, wait_for

RATE = 350
CUTS = """
import asyncio, sys
if "fairway.server" in sys.orig_argv:
    from fairway.server.worker import Worker

    async def emptied(self, server):
        state = server.server_state
        while state.connections:
            if state.tasks:
                for connection in list(state.connections):
                    connection.transport.abort()
            await asyncio.sleep(0)

    Worker._emptied = emptied
"""


class Swaps:
    """The ways to replace what serves, and when workers were killed."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self.kills: list[Killed] = []

    def ways(self) -> list[Callable[[], object]]:
        """One after the other, all of them."""
        return [
            lambda: self._arena.deploy("churn:2"),
            self._arena.rollback,
            lambda: self._end_a_worker(signal.SIGTERM),
            lambda: self._arena.deploy("churn:2", replicas=1),
            lambda: self._arena.deploy("churn:1", replicas=2),
            lambda: self._end_a_worker(signal.SIGKILL),
        ]

    def _end_a_worker(self, number: int) -> None:
        left = random.choice(self._arena.workers())
        if number == signal.SIGKILL:
            self.kills.append(killed(left))
        else:
            os.kill(left, number)
        assert wait_for(lambda: left not in self._arena.workers())
        assert wait_for(lambda: self._arena.settled())

    def answering(self, lost: Lost) -> bool:
        """Whether a killed worker was at that request when it died; no other may be lost."""
        return any(one.was_answering(lost) for one in self.kills)


def under_load(arena: Arena, count: int, requests: int, rate: float = RATE) -> tuple[Load, Swaps]:
    """So many swaps, spread over at least so many requests."""
    arena.up()
    port = arena.deploy("churn:1").status.port
    swaps = Swaps(arena)
    with Load(port, rate) as load:
        begun = time.monotonic()
        for number, swap in zip(range(count), cycle(swaps.ways()), strict=False):
            due = begun + number / count * requests / rate
            time.sleep(max(0.2, due - time.monotonic()))
            swap()
        while load.answered < requests:
            time.sleep(0.1)
    assert len(load.seen) == 2, "both versions answered"
    return load, swaps


def test_no_request_is_lost_over_deploys_rollbacks_and_workers_replaced_and_killed(
    full: bool, arena: Callable[..., Arena], measured: Callable[..., None]
) -> None:
    count, requests = (60, 100_000) if full else (6, 2_400)
    load, swaps = under_load(arena(), count, requests)
    lost = [one for one in load.lost if not swaps.answering(one)]
    dying = len(load.lost) - len(lost)
    assert lost == []
    assert dying <= len(swaps.kills) * load.clients
    measured(
        "T19", "Deploys, rollbacks, scale-downs, workers replaced and killed -9 under keep-alive load",
        goal="0 lost of 100,000, but what a worker killed by -9 was just answering",
        swaps=count, kills=len(swaps.kills), requests=load.answered, rate=RATE, lost=len(lost),
        being_answered_by_the_killed=dying,
    )  # fmt: skip


def test_the_harness_sees_a_worker_that_cuts_its_connections(arena: Callable[..., Arena]) -> None:
    load, swaps = under_load(arena(CUTS), 3, 1_200)
    assert [one for one in load.lost if not swaps.answering(one)]

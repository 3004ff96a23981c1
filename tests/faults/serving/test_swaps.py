"""T19: nobody loses a request while revisions and workers are replaced."""

import os
import random
import signal
import time
from collections.abc import Callable
from itertools import cycle

from arena import Arena, Load, wait_for

RATE = 350
CUTS = """
import sys
if "fairway.server" in sys.orig_argv:
    from fairway.server.worker import Worker

    async def emptied(self, server):
        for connection in list(server.server_state.connections):
            connection.transport.abort()

    Worker._emptied = emptied
"""


def swaps(arena: Arena) -> list[Callable[[], object]]:
    """The ways to replace what serves, politely."""

    def replace_a_worker() -> None:
        left = random.choice(arena.workers())
        os.kill(left, signal.SIGTERM)
        assert wait_for(lambda: left not in arena.workers())
        assert wait_for(lambda: arena.settled())

    return [
        lambda: arena.deploy("churn:2"),
        arena.rollback,
        replace_a_worker,
        lambda: arena.deploy("churn:2", workers=1),
        lambda: arena.deploy("churn:1", workers=2),
    ]


def under_load(arena: Arena, count: int, requests: int, rate: float = RATE) -> Load:
    """So many swaps, spread over at least so many requests."""
    arena.up()
    port = arena.deploy("churn:1").status.port
    with Load(port, rate) as load:
        begun = time.monotonic()
        for number, swap in zip(range(count), cycle(swaps(arena)), strict=False):
            due = begun + number / count * requests / rate
            time.sleep(max(0.2, due - time.monotonic()))
            swap()
        while load.answered < requests:
            time.sleep(0.1)
    assert len(load.seen) == 2, "both versions answered"
    return load


def test_no_request_is_lost_over_deploys_rollbacks_and_replaced_workers(
    full: bool, arena: Callable[..., Arena], measured: Callable[..., None]
) -> None:
    count, requests = (50, 100_000) if full else (5, 2_000)
    load = under_load(arena(), count, requests)
    assert load.lost == []
    measured(
        "T19", "Deploys, rollbacks and replaced workers under keep-alive load", goal="0 lost of 100,000",
        swaps=count, requests=load.answered, rate=RATE, lost=len(load.lost),
    )  # fmt: skip


def test_the_harness_sees_a_worker_that_cuts_its_connections(arena: Callable[..., Arena]) -> None:
    load = under_load(arena(CUTS), 2, 800)
    assert load.lost

"""T22: clients that leave before their headers, in the middle of a body, and before the answer."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable

from arena import Arena, descriptors, once, request, wait_for

PATIENT = """
import asyncio
import fairway as fw

@fw.endpoint
async def patient(x: float) -> float:
    if x < 0:
        return float(len(asyncio.all_tasks()))
    await asyncio.sleep(x)
    return x
"""
KEEPS = """
import sys
if "fairway.server" in sys.orig_argv:
    from fairway.server.protocol import BoundedProtocol

    BoundedProtocol._when_left = lambda self, call, *arguments: None
"""
TOGETHER = 200
FREED = 1.0
"""Seconds in which a slot is to be free again."""

PATIENCE = 20.0
"""Seconds for it on a machine that is busy with other things; a slot that is not given back is held for 30."""

NOISE = 2
"""Descriptors and tasks of whoever asks for their number."""


def parts(port: int) -> list[bytes]:
    """What each kind of client sends before it leaves."""
    whole = request("/", b"30.0").replace(b"{host}", b"127.0.0.1:%d" % port)
    head, _, body = whole.partition(b"\r\n\r\n")
    cut = head.replace(b"content-length: 4", b"content-length: 400") + b"\r\n\r\n" + body
    return [b"", whole[:9], head[:60], cut, whole]


async def _leave(port: int, sent: bytes, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    del reader
    writer.write(sent)
    await writer.drain()
    await asyncio.sleep(0.02)
    if number % 2:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort() if number % 4 == 1 else writer.close()


def leave(port: int, clients: int) -> None:
    """That many clients at once, of all kinds, half of them without a word of farewell."""
    kinds = parts(port)

    async def everyone() -> None:
        await asyncio.gather(*(_leave(port, kinds[one % len(kinds)], one) for one in range(clients)))

    asyncio.run(everyone())


def leavers(arena: Arena, clients: int, patience: float = PATIENCE) -> dict[str, float]:
    """What is left in the worker after so many clients left, and how long a slot was held at most."""
    arena.up()
    arena.fairway("deploy", arena.file("patient.py", PATIENT), "--replicas", "1")
    port = arena.status("patient").port
    (worker,) = arena.workers("patient")
    leave(port, 20)
    wait_for(lambda: arena.asked(worker)["in_flight"] == 0, patience)
    tasks = float(once(port, b"-1.0").body)
    # The first answers open the files of the metrics, a moment later.
    assert wait_for(lambda: any(arena.root.glob("endpoints/patient/r*/metrics/histogram_*.db")))
    files = settled(lambda: descriptors(worker))
    slowest = 0.0
    for _ in range(clients // TOGETHER):
        leave(port, TOGETHER)
        gone = time.monotonic()
        if not wait_for(lambda: arena.asked(worker)["in_flight"] == 0, patience):
            slowest = float("inf")
            break
        slowest = max(slowest, time.monotonic() - gone)
    wait_for(lambda: float(once(port, b"-1.0").body) <= tasks + NOISE, patience)
    left = float(once(port, b"-1.0").body) - tasks
    # Those who asked leave something too, for a moment: descriptors are counted last.
    wait_for(lambda: descriptors(worker) <= files + NOISE, patience)
    return {"slowest": slowest, "tasks": left, "files": descriptors(worker) - files}


def settled(count: Callable[[], int]) -> int:
    """A number, once it stays the same for a moment."""
    before, now = -1, count()
    while before != now:
        time.sleep(0.2)
        before, now = now, count()
    return now


def test_a_client_that_leaves_frees_its_slot_and_leaves_nothing(
    full: bool, arena: Callable[..., Arena], measured: Callable[..., None]
) -> None:
    clients = 10_000 if full else 800
    left = leavers(arena(), clients)
    assert left["slowest"] <= (FREED if full else PATIENCE), left
    assert left["tasks"] <= NOISE, left
    assert left["files"] <= NOISE, left
    measured(
        "T22", "Clients that leave before headers, in a body, before the answer",
        goal="slots free in 1 s, no task or descriptor left",
        clients=clients, slowest_slot_seconds=round(left["slowest"], 3), tasks_left=int(left["tasks"]),
        descriptors_left=int(left["files"]),
    )  # fmt: skip


def test_the_harness_sees_a_server_that_does_not_notice(arena: Callable[..., Arena]) -> None:
    left = leavers(arena(KEEPS), TOGETHER, 2 * FREED)
    assert left["slowest"] > FREED
    assert left["tasks"] > NOISE

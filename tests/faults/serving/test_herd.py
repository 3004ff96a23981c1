"""T20: a thousand clients at once against an endpoint that is still starting, and against a busy one."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable

import msgspec
from arena import ONE, Answer, Arena, exchange, request, resident, wait_for

from fairway.spec.endpoint import DeployRequest, ServerLimits
from fairway.spec.quantities import Bounds

SECONDS = 120.0
STARTS = """
import asyncio, time
import fairway as fw

time.sleep({seconds})

@fw.endpoint
async def busy(x: float) -> float:
    await asyncio.sleep(0.1)
    return x
"""
ANGRY = """
import sys
if "fairway.server" in sys.orig_argv:
    from fairway.server import answers
    answers.too_many = lambda message="": answers.Refusal(503, "overloaded")
"""


async def _one(port: int, wire: bytes) -> Answer | str:
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return await exchange(reader, writer, wire, SECONDS)
        finally:
            writer.close()
    except TimeoutError:
        return "hung"
    except (OSError, EOFError) as error:
        return repr(error)


def herd(port: int, clients: int) -> list[Answer | str]:
    """That many clients at once, each with one request on a connection of its own."""
    wire = request("/", ONE, close=True).replace(b"{host}", b"127.0.0.1:%d" % port)

    async def everyone() -> list[Answer | str]:
        return await asyncio.gather(*(_one(port, wire) for _ in range(clients)))

    return asyncio.run(everyone())


def verdicts(answers: list[Answer | str]) -> Counter[str]:
    """Count of each kind of answer; "429" only with a time after which to ask again."""
    return Counter(
        answer
        if isinstance(answer, str)
        else "429 without Retry-After"
        if answer.status == 429 and b"retry-after" not in answer.head
        else str(answer.status)
        for answer in answers
    )


def starting(
    arena: Arena, port: int, clients: int, seconds: float = 2.0
) -> tuple[Counter[str], Counter[str], int]:
    """What the herd gets while the endpoint starts, which takes so long; then what it gets; by how much memory grew."""
    arena.up()
    arena.fairway("deploy", arena.file("busy.py", STARTS.format(seconds=seconds)))
    served = arena.status("busy").revision
    assert served is not None
    asyncio.run(arena.api().undeploy("busy"))
    limits = ServerLimits(queue=64)
    wanted = DeployRequest(
        name="busy", function="busy", source=served.source, module=served.module, replicas=Bounds(), port=port, limits=limits
    )  # fmt: skip
    deploying = threading.Thread(target=lambda: asyncio.run(arena.api().deploy(wanted)))
    deploying.start()
    assert wait_for(lambda: len(arena.workers("busy")) == 1)
    assert deploying.is_alive()
    first = verdicts(herd(port, clients))
    deploying.join()
    (worker,) = arena.workers("busy")
    before = resident(worker)
    again: Counter[str] = Counter()
    for _ in range(10):
        again += verdicts(herd(port, clients))
    return first, again, resident(worker) - before


def test_a_herd_is_answered_or_told_when_to_come_back(
    full: bool, arena: Callable[..., Arena], free_port: Callable[[], int], measured: Callable[..., None]
) -> None:
    clients, seconds = (1_000, 5.0) if full else (150, 2.0)
    first, again, grown = starting(arena(), free_port(), clients, seconds)
    assert set(first) <= {"200", "429"}, first
    assert first["200"] > 0
    assert set(again) <= {"200", "429"}, again
    assert again["429"] > 0, "more than the queue takes"
    assert grown <= 50 * 2**20
    measured(
        "T20", "Clients at once against a starting endpoint, then ten times against a busy one",
        goal="each 200 or 429 with Retry-After, none hangs, no 5xx, memory bounded",
        clients=clients, seconds_to_start=seconds, while_starting=msgspec.json.encode(first).decode(), bursts=10,
        in_bursts=msgspec.json.encode(again).decode(), grown_mib=round(grown / 2**20, 1),
    )  # fmt: skip


def test_the_harness_sees_a_server_that_answers_overload_with_an_error(
    arena: Callable[..., Arena], free_port: Callable[[], int]
) -> None:
    first, again, _ = starting(arena(ANGRY), free_port(), 150)
    assert not set(first + again) <= {"200", "429"}

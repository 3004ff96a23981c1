"""A herd of clients at an endpoint that is just starting. Each is answered, or told when to come again."""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
from teams import Team, until

SLOW = """
import time

import fairway as fw

time.sleep(3)


@fw.endpoint
def herd(x: float) -> float:
    time.sleep(0.02)
    return x * {factor}
"""
HERD = 500
PATIENCE = 120.0


class Herd:
    """Clients that all want an answer as soon as anybody takes a connection. None of them asks twice.

    Args:
        address: the address of a Service, with port 80.
        host: the name in the header Host.
    """

    def __init__(self, address: str, host: str) -> None:
        self.answers: Counter[str] = Counter()
        self.waits: list[int] = []
        self.slowest = 0.0
        self._address = address
        head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self._request = f"{head}Content-Length: 1\r\n\r\n2".encode()

    def ask(self) -> None:
        """Let all clients ask, and return when the last one has been answered."""
        asyncio.run(self._ask())

    async def _ask(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(HERD)))

    async def _one(self) -> None:
        reader, writer = await self._connected()
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(self._request)
                answer = await reader.read()
        except (OSError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
            return
        finally:
            writer.close()
        self.slowest = max(self.slowest, time.monotonic() - began)
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        status = lines[0].split()[1] if lines[0] else "nothing"
        self.answers[f"200 {body.decode()}" if status == "200" else status] += 1
        if status == "429":
            self.waits += [int(line.split(":")[1]) for line in lines if line.startswith("retry-after:")]

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect as soon as a pod is ready. Until then the cluster itself refuses connections."""
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(2):
                    return await asyncio.open_connection(self._address, 80)
            assert time.monotonic() < end, "nobody took a connection"
            await asyncio.sleep(0.05)


@pytest.mark.timeout(600, func_only=True)
def test_a_herd_at_a_starting_endpoint_is_answered_or_told_when_to_come_again(
    team: Team, full: bool, measured: Callable[..., None]
) -> None:
    seen: Counter[str] = Counter()
    slowest = 0.0
    host = f"herd.{team.kubectl.namespace}.svc"
    # The first herd meets an endpoint that nobody served before, each further one a revision that takes over.
    for number in range(4 if full else 2):
        deploying = threading.Thread(target=team.serve, args=("herd", SLOW.format(factor=number + 1)))
        deploying.start()
        until(lambda: team.kubectl("get", "service", "herd", "-o", "name", check=False) != "")
        herd = Herd(team.address("herd"), host)
        herd.ask()
        deploying.join()
        assert sum(herd.answers.values()) == HERD
        wrong = {answer for answer in herd.answers if not answer.startswith("200 ") and answer != "429"}
        assert not wrong, herd.answers
        assert len(herd.waits) == herd.answers["429"]
        assert all(wait >= 1 for wait in herd.waits)
        assert sum(herd.answers.values()) - herd.answers["429"] > 100, herd.answers
        seen.update({answer[:3]: count for answer, count in herd.answers.items()})
        slowest = max(slowest, herd.slowest)
    team.undeploy("herd")
    measured(
        "E5",
        f"A herd of {HERD} clients at an endpoint that is starting",
        goal="each is answered 200, or 429 with Retry-After",
        requests=sum(seen.values()),
        answered_200=seen["200"],
        answered_429=seen["429"],
        other=0,
        seconds_of_the_slowest=round(slowest, 1),
    )

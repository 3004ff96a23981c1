"""A load generator for HTTP/1.1: so many connections, each with one request under way, as fast as they are answered.

Runs as a process of its own, on a core of its own: `python serving_load.py PLAN.json` prints what it saw as JSON. It parses
only what it must (status and Content-Length), so that it is quicker than any server it measures. Knows no server.
"""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import cast

import uvloop


class Client(asyncio.Protocol):
    """One connection that asks the same thing again and again."""

    def __init__(self, request: bytes, seen: "Seen") -> None:
        self._request = request
        self._seen = seen
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """A part of an answer; when it is whole, ask again."""
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = buffer
            return
        at = buffer.find(b"content-length: ", 0, end)
        if at < 0:
            at = buffer.lower().find(b"content-length: ", 0, end)
        whole = end + 4 + int(buffer[at + 16 : buffer.index(b"\r", at)])
        if len(buffer) < whole:
            self._buffer = buffer
            return
        self._buffer = b""
        self._seen.answer(buffer, time.perf_counter() - self._sent)
        if not self._seen.over:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """The server closed the connection."""
        self._seen.closed += 1

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.close()

    def _ask(self) -> None:
        assert self._transport is not None
        self._sent = time.perf_counter()
        self._transport.write(self._request)


class Seen:
    """What all connections saw since the warm-up."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.bad = 0
        self.total = 0
        self.closed = 0
        self.over = False
        self.last = b""

    def answer(self, answer: bytes, seconds: float) -> None:
        """One whole answer came."""
        if answer[9:12] == b"200":
            self.times.append(seconds)
        else:
            self.bad += 1
        self.last = answer
        self.total += 1


async def load(plan: dict[str, object]) -> dict[str, object]:
    """Warm up, measure, and tell: requests a second, quantiles in ms, answers that were not 200."""
    head, body = str(plan["head"]), Path(str(plan["body"])).read_bytes()
    request = head.replace("\n", "\r\n").encode() + b"content-length: %d\r\n\r\n" % len(body) + body
    seen = Seen()
    loop = asyncio.get_running_loop()
    place = (str(plan.get("address", "127.0.0.1")), int(str(plan["port"])))
    made = [
        (await loop.create_connection(lambda: Client(request, seen), *place))[1]
        for _ in range(int(str(plan["connections"])))
    ]
    await asyncio.sleep(float(str(plan["warm"])))
    seen.times.clear()
    begun, spent = time.perf_counter(), time.process_time()
    await asyncio.sleep(float(str(plan["seconds"])))
    took, busy = time.perf_counter() - begun, time.process_time() - spent
    times = sorted(seen.times)
    seen.over = True
    closed = seen.closed
    for client in made:
        client.close()
    if not times:
        raise SystemExit(f"no answer was 200; the last one: {seen.last[:500]!r}")
    return {
        "per_second": len(times) / took,
        "p50_ms": 1e3 * times[len(times) // 2],
        "p99_ms": 1e3 * times[int(len(times) * 0.99)],
        "total": seen.total,
        "bad": seen.bad,
        "closed": closed,
        "busy": busy / took,
    }


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        print(json.dumps(uvloop.run(load(json.loads(Path(sys.argv[1]).read_bytes())))))

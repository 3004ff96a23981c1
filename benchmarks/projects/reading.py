"""Reads one event stream over many connections: `reading.py PORT PATH TOKEN CONNECTIONS`.

Prints a line once every connection is answered, and reads until its standard input ends. Then it prints what it saw as JSON. It
looks at nothing that it reads, so that it costs the machine as little as possible.
"""

import asyncio
import json
import sys
from typing import cast


class Reader(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, answered: asyncio.Queue[bytes]) -> None:
        self._request = request
        self._answered = answered
        self.bytes = self.parts = 0
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count a part of the stream."""
        if not self.parts:
            self._answered.put_nowait(data[9:12])
        self.parts += 1
        self.bytes += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the server has ended the stream."""
        self.is_open = False


async def read(port: int, path: str, token: str, count: int) -> dict[str, int]:
    """Read until standard input ends."""
    answered: asyncio.Queue[bytes] = asyncio.Queue()
    request = (
        f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    )
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: Reader(request, answered), "127.0.0.1", port))[1]
        for _ in range(count)
    ]
    statuses = [await answered.get() for _ in made]
    print(sum(status == b"200" for status in statuses), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    return {
        "bytes": sum(one.bytes for one in made),
        "parts": sum(one.parts for one in made),
        "open": sum(one.is_open for one in made),
    }


if __name__ == "__main__":
    port, path, token, count = sys.argv[1:]
    print(json.dumps(asyncio.run(read(int(port), path, token, int(count)))))

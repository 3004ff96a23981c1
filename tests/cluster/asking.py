"""Clients that ask an endpoint at a steady rate, whatever it answers, and note each answer."""

import asyncio
import threading
import time
from dataclasses import dataclass, field

_PATIENCE = 10.0


@dataclass
class Answers:
    """The answers to the requests of a client."""

    sent: int = 0
    lost: list[str] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


class Load:
    """A client in a thread that sends `rate` requests a second from `with` until its end. It never repeats one.

    Args:
        address: the address of a Service, with port 80.
        host: the name in the header Host.
        keep: true to keep connections open and use them again, as long as the server does not close them.
    """

    def __init__(self, address: str, host: str, body: bytes, *, keep: bool, rate: float = 25.0) -> None:
        self.answers = Answers()
        self._address = address
        end = "" if keep else "Connection: close\r\n"
        head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{end}Content-Length: {len(body)}"
        self._request = head.encode() + b"\r\n\r\n" + body
        self._keep = keep
        self._rate = rate
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)

    def __enter__(self) -> Answers:
        self._thread.start()
        return self.answers

    def __exit__(self, *failure: object) -> None:
        self._ending.set()
        self._thread.join(_PATIENCE * 3)

    async def _work(self) -> None:
        began, tasks = time.monotonic(), set[asyncio.Task[None]]()
        while not self._ending.is_set():
            task = asyncio.create_task(self._ask())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            self.answers.sent += 1
            await asyncio.sleep(max(0.0, began + self.answers.sent / self._rate - time.monotonic()))
        await asyncio.gather(*tasks)

    async def _ask(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                self.answers.bodies.append(await self._exchange())
        except (OSError, asyncio.IncompleteReadError, TimeoutError, AssertionError) as error:
            self.answers.lost.append(f"{type(error).__name__} {error} after {time.monotonic() - began:.1f} s")
        if time.monotonic() - began > 1:
            self.answers.slow.append(time.monotonic() - began)

    async def _exchange(self) -> bytes:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._address, 80)
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert b" 200 " in head.split(b"\r\n")[0], head
        size = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await reader.readexactly(size)
        if self._keep and b"connection: close" not in head:
            self._idle.append((reader, writer))
        else:
            writer.close()
        return body

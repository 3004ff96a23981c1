"""Clients that ask an endpoint at a steady rate, whatever it answers, and note each answer."""

import asyncio
import threading
import time
from dataclasses import dataclass, field

_PATIENCE = 10.0
_MOST_OPEN = 64
"""Requests of one client without an answer. With more, the client would measure how busy the machine is."""


@dataclass
class Answers:
    """The answers to the requests of a client."""

    sent: int = 0
    lost: list[str] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


class Load:
    """A client in a thread that sends up to `rate` requests a second from `with` until its end. It never repeats one.

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
        due, tasks = time.monotonic(), set[asyncio.Task[None]]()
        while not self._ending.is_set():
            if len(tasks) >= _MOST_OPEN:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._ask())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            self.answers.sent += 1
            # What was not sent in time is not made up for.
            due = max(due + 1 / self._rate, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*tasks)

    async def _ask(self) -> None:
        began, at = time.monotonic(), time.strftime("%H:%M:%S")
        reached: list[str] = []
        try:
            async with asyncio.timeout(_PATIENCE):
                self.answers.bodies.append(await self._exchange(reached))
        except (OSError, asyncio.IncompleteReadError, TimeoutError, AssertionError) as error:
            how = f"{type(error).__name__} {error} {' '.join(reached) or 'not connected'}"
            self.answers.lost.append(f"{at} {how} after {time.monotonic() - began:.1f} s")
        if time.monotonic() - began > 1:
            self.answers.slow.append(time.monotonic() - began)

    async def _exchange(self, reached: list[str]) -> bytes:
        """Send a request and return the body of the answer. Note how far that came."""
        kept = self._kept()
        reader, writer = kept or await asyncio.open_connection(self._address, 80)
        reached.append("kept" if kept else "fresh")
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

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Return an idle connection that the server has not closed, as every client with a pool looks for one."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing() and reader.exception() is None:
                return reader, writer
            writer.close()
        return None

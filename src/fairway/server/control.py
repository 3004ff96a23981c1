"""The worker's Unix socket for whoever supervises it: status, drain, and the listening socket itself.

One JSON object per line, one line per answer. The socket can be reached by its owner only.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

import msgspec

_LINE = 4096


class Command(msgspec.Struct):
    """What is asked."""

    do: str


class Control:
    """Answers commands until it is closed.

    Args:
        path: where the socket is made; an old one of that name is replaced.
        listening: the descriptor that "socket" passes on.
        status: gives the answer to "status".
        drain: begins to drain.
    """

    def __init__(
        self, path: str, listening: int, status: Callable[[], dict[str, object]], drain: Callable[[], None]
    ) -> None:
        self._path = path
        self._listening = listening
        self._status = status
        self._drain = drain
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to answer."""
        Path(self._path).unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server.bind(self._path)
        finally:
            os.umask(before)
        self._server.listen(16)
        self._server.setblocking(False)
        self._start(self._accept())

    def close(self) -> None:
        """Take the socket away."""
        for task in self._tasks:
            task.cancel()
        self._server.close()
        Path(self._path).unlink(missing_ok=True)

    def let_go(self) -> None:
        """In a forked process: close what is the worker's, and leave the socket's name alone."""
        if self._server.fileno() >= 0:
            os.close(self._server.detach())

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._server)
            self._start(self._converse(connection))

    async def _converse(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        buffer = b""
        with connection, suppress(OSError):
            connection.setblocking(False)
            while len(buffer) <= _LINE:
                data = await loop.sock_recv(connection, _LINE)
                if not data:
                    return
                buffer += data
                while b"\n" in buffer:
                    line, _, buffer = buffer.partition(b"\n")
                    self._obey(connection, line)

    def _obey(self, connection: socket.socket, line: bytes) -> None:
        try:
            command = msgspec.json.decode(line, type=Command)
        except (msgspec.DecodeError, RecursionError):
            connection.send(b'{"error":"not a command"}\n')
            return
        if command.do == "drain":
            self._drain()
        answer = msgspec.json.encode(self._status()) + b"\n"
        if command.do == "socket":
            socket.send_fds(connection, [answer], [self._listening])
        else:
            connection.send(answer)

"""The control socket of a worker: its supervisor asks for the status, a drain, or the listening socket.

It is a Unix socket. Each command and each answer is one JSON object on one line. Only the owner can reach it.
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
    """A command of the supervisor."""

    do: str


class Control:
    """A server for commands on a Unix socket.

    Args:
        path: path of the socket; an old socket at that path is replaced.
        listening: the descriptor that the command "socket" hands over.
        status: returns the answer to every command.
        drain: called for the command "drain".
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
        """Make the socket and begin to answer."""
        Path(self._path).unlink(missing_ok=True)
        # The mode must hold from the first moment: a later chmod would leave a gap in which others could connect.
        before = os.umask(0o177)
        try:
            self._server.bind(self._path)
        finally:
            os.umask(before)
        self._server.listen(16)
        self._server.setblocking(False)
        self._start(self._accept())

    def close(self) -> None:
        """Stop answering and remove the socket."""
        for task in self._tasks:
            task.cancel()
        self._server.close()
        Path(self._path).unlink(missing_ok=True)

    def let_go(self) -> None:
        """Close the descriptor in a forked process. The path stays, because it belongs to the worker."""
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
            self._start(self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
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
                    self._handle(connection, line)

    def _handle(self, connection: socket.socket, line: bytes) -> None:
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

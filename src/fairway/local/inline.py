"""The host in the main thread of this process, as the engine in another thread sees it.

Must not know how that thread carries out its orders.
"""

import asyncio
from collections.abc import Callable

from fairway.spec.imports import import_error
from fairway.spec.places import Back, Gone
from fairway.spec.project import ProjectSpec
from fairway.spec.wire import Bind, Bound, Described, FromHost, Quit, ToHost


class InlineHome:
    """A host that shares this process.

    Args:
        send: passes an order to the thread of the host.
        connect: tells that thread to import the project, and to pass its messages to the given function.
    """

    name = "here"

    def __init__(
        self, send: Callable[[ToHost], None], connect: Callable[[Callable[[FromHost], None]], None]
    ) -> None:
        self._send = send
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._described: asyncio.Future[Described] = self._loop.create_future()
        self._bound: asyncio.Future[Bound] = self._loop.create_future()
        self._hear: Callable[[InlineHome, FromHost | Gone | Back], None] | None = None

    async def describe(self) -> ProjectSpec:
        """Let the thread import the project, and return what it declares. Raises UsageError."""
        self._connect(lambda message: self._loop.call_soon_threadsafe(self._receive, message) and None)
        described = await self._described
        if described.project is None:
            self.send(Quit())
            raise import_error(described.failure)
        return described.project

    def send(self, message: ToHost) -> None:
        """Pass an order to the thread of the host."""
        self._send(message)

    def listen(self, hear: "Callable[[InlineHome, FromHost | Gone | Back], None]") -> None:
        """Pass messages to an engine from now on."""
        self._hear = hear

    async def bind(self, request: Bind) -> Bound:
        """Convert texts of the command line to values, in the thread of the host."""
        self._bound = self._loop.create_future()
        self.send(request)
        return await self._bound

    async def close(self) -> None:
        """Let the thread end, because there is no more work."""
        self.send(Quit())

    def _receive(self, message: FromHost) -> None:
        if isinstance(message, Described):
            self._described.set_result(message)
        elif isinstance(message, Bound):
            self._bound.set_result(message)
        elif self._hear is not None:
            self._hear(self, message)

"""The hosts of an engine on this machine: one for the project's own environment, and one for each other environment."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fairway.local import environments, machine
from fairway.local.launching import Launched, launch
from fairway.local.reaping import end
from fairway.local.sharing import Share
from fairway.spec.errors import HostLost
from fairway.spec.host import HostSetup
from fairway.spec.imports import import_error
from fairway.spec.places import Attempt, Back, Gone, Place
from fairway.spec.project import EnvironmentSpec, ProjectSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import Failure, Reason
from fairway.spec.wire import (
    Bind,
    Bound,
    Described,
    Exited,
    FromHost,
    Quit,
    Splitter,
    Started,
    ToHost,
    decode_from_host,
    frame,
)

_QUIT_SECONDS = 2.0
_READ = 1 << 16
_MACHINE = "machine"
"""Name of the pool of every place on this machine."""


class LocalHost(asyncio.Protocol):
    """A host process and its socket, for an engine."""

    def __init__(self, launched: Launched, name: str, printed: Callable[[bytes], None]) -> None:
        self.name = name
        self._launched = launched
        self._printed = printed
        self._output = launched.output
        self._spoke = False
        self.described: asyncio.Future[Described] = asyncio.get_running_loop().create_future()
        self.bound: asyncio.Future[Bound] | None = None
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self._hear: Callable[[LocalHost, FromHost | Gone | Back], None] | None = None
        self._reason = ""
        self._groups: dict[tuple[str, int], int] = {}
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self, hear: "Callable[[LocalHost, FromHost | Gone | Back], None] | None") -> None:
        """Begin to exchange messages. `hear` gets every message except the description and the answers to `bind`."""
        self._hear = hear
        loop = asyncio.get_running_loop()
        loop.add_reader(self._output, self._read_output)
        await loop.create_connection(lambda: self, sock=self._launched.connection)

    def listen(self, hear: "Callable[[LocalHost, FromHost | Gone | Back], None]") -> None:
        """Pass messages to another engine from now on. A host that has already ended is reported soon."""
        self._hear = hear
        if self._gone.done():
            asyncio.get_running_loop().call_soon(hear, self, self._as_gone())

    def send(self, message: ToHost) -> None:
        """Send a message."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(message))

    @property
    def is_gone(self) -> bool:
        """True if the host has ended."""
        return self._gone.done()

    async def bind(self, request: Bind) -> Bound:
        """Ask the host to convert texts of the command line to values."""
        if self.is_gone:
            raise self.lost()
        self.bound = asyncio.get_running_loop().create_future()
        self.send(request)
        return await self.bound

    async def close(self) -> None:
        """Let the host quit, and end it if it does not."""
        self.send(Quit())
        try:
            await asyncio.wait_for(asyncio.shield(self._gone), _QUIT_SECONDS)
        except TimeoutError:
            self.end()

    def end(self) -> None:
        """End the host now, with every process that it started."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def lost(self) -> HostLost:
        """Return the error for a host that ended while it was needed."""
        return HostLost(
            f"the process that imports the project did not live: {self._reason}",
            hint="see what the project does when it is imported: `python FILE`",
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the socket."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Read messages, or parts of them."""
        for content in self._splitter.feed(data):
            message = decode_from_host(content)
            if isinstance(message, Described):
                # Report earlier output first, so that it stays in front of the message.
                self._read_output()
                self._end_line()
                if not self.described.done():
                    self.described.set_result(message)
            elif isinstance(message, Bound):
                if self.bound is not None and not self.bound.done():
                    self.bound.set_result(message)
            else:
                self._keep_count(message)
                if self._hear is not None:
                    self._hear(self, message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report that the host is gone."""
        self._end()
        if not self._gone.done():
            self._gone.set_result(None)
        for future in (self.described, self.bound):
            if future is not None and not future.done():
                future.set_exception(self.lost())
        if self._hear is not None:
            self._hear(self, self._as_gone())

    def _as_gone(self) -> Gone:
        """Describe the loss of the host. A socket of this machine closes only with its process, so the loss is certain."""
        text = f"{Reason.HOST.text}: {self._reason}"
        return Gone(failure=Failure(reason=Reason.HOST, message=text), certain=True)

    def _keep_count(self, message: FromHost) -> None:
        if isinstance(message, Started):
            self._groups[message.step, message.attempt] = message.pid
        elif isinstance(message, Exited):
            self._groups.pop((message.step, message.attempt), None)

    def _end(self) -> None:
        """End the process, once only: its process id may belong to another process later."""
        if not self._reason:
            self._reason = end(self._launched, self._groups.values())
            self._read_output()
            self._close_output()

    def _read_output(self) -> None:
        """Read what the host itself has printed so far, and forward it."""
        try:
            while self._output >= 0:
                data = os.read(self._output, _READ)
                if not data:
                    self._close_output()
                    return
                self._spoke = True
                self._printed(data)
        except BlockingIOError:
            return

    def _close_output(self) -> None:
        if self._output >= 0:
            asyncio.get_running_loop().remove_reader(self._output)
            os.close(self._output)
            self._output = -1
            self._end_line()

    def _end_line(self) -> None:
        if self._spoke:
            self._spoke = False
            self._printed(b"")


class LocalExecutor:
    """The executor for one project on this machine.

    Args:
        note: called with a line of text when an environment is built.
        printed: called with the project's file and the own output of hosts, which is empty at the end of an import.
    """

    def __init__(
        self,
        setup: HostSetup,
        cache: Path,
        note: Callable[[str], None],
        printed: Callable[[str, bytes], None],
        share: Share | None = None,
    ) -> None:
        self._setup = setup
        self._printed = partial(printed, setup.code.file)
        self._cache = cache
        self._note = note
        self._count = 0
        share = share or Share()
        self._share = share
        self.leave, self.give_back = share.leave, share.give_back
        self.wait_for, self.stop_waiting, self.who_else = share.wait_for, share.stop_waiting, share.who_else

    def places(self, environment: EnvironmentSpec | None) -> tuple[Place, ...]:
        """Return one place for each environment. All of them are this machine."""
        if environment is None:
            return (Place(name="project", pool=_MACHINE),)
        return (Place(name=f"environment-{environment.key}", environment=environment, pool=_MACHINE),)

    def capacity(self) -> dict[str, Resources]:
        """Return the processors that this process may use, the physical memory, and the GPUs."""
        return {_MACHINE: machine.capacity()}

    def enter(self, run: str, changed: Callable[[str, Resources | None], None]) -> None:
        """Begin to share the machine. Its capacity never changes."""
        self._share.enter(run)

    def take(self, place: Place, wanted: Resources, step: str) -> Grant | None:
        """Take resources of the machine; None while other runs leave no room."""
        return self._share.take(wanted, step)

    async def observe(
        self, run: str, hear: "Callable[[LocalHost, FromHost | Gone | Back], None]"
    ) -> tuple[()]:
        """Return nothing, because hosts of this machine end with their engine."""
        return ()

    async def adopt(self, launched: Launched) -> tuple[LocalHost, ProjectSpec]:
        """Take over a host that was launched before the event loop. Raises FairwayError if it cannot import the project."""
        return await self._connected(launched, None)

    async def start(
        self,
        place: Place,
        hear: "Callable[[LocalHost, FromHost | Gone | Back], None]",
        attempt: Attempt | None = None,
    ) -> LocalHost:
        """Start a host for the project in the environment of a place. Raises FairwayError."""
        setup, environment = self._setup, place.environment
        if environment is None:
            launched = launch(setup)
        else:
            built = await environments.ensure(environment, self._cache, self._note)
            foreign = HostSetup(setup.store, setup.code, foreign=True)
            launched = launch(foreign, str(built.python), str(built.package))
        host, _ = await self._connected(launched, hear)
        return host

    async def _connected(
        self, launched: Launched, hear: "Callable[[LocalHost, FromHost | Gone | Back], None] | None"
    ) -> tuple[LocalHost, ProjectSpec]:
        self._count += 1
        host = LocalHost(launched, f"host-{self._count}", self._printed)
        try:
            await host.connect(hear)
            described = await host.described
        except BaseException:
            host.end()  # also after a cancel: the host may still be importing for a long time
            raise
        if described.project is None:
            await host.close()
            raise import_error(described.failure)
        if host.is_gone:
            raise host.lost()
        return host, described.project

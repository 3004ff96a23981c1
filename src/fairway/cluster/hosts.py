"""Hosts in pods, for an engine: the messages of the link become those that every host sends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from fairway.cluster.links import HostLink
from fairway.spec.errors import HostLost
from fairway.spec.link import Dismiss, Draining, HostEnded, Message, Note, Passed
from fairway.spec.places import Back, Gone
from fairway.spec.run import Failure, Reason
from fairway.spec.wire import (
    Bind,
    Bound,
    Cause,
    Described,
    Exited,
    FromHost,
    Log,
    Quit,
    Start,
    Stop,
    ToHost,
    decode_from_host,
    frame,
)

_CLOSE_SECONDS = 15.0
_UNSEEN_SECONDS = 30.0
"""Seconds without a connection after which nothing new begins on a host."""
_MOST_PRINTED = 1 << 16
"""Bytes of a host's own output that wait until it is known which attempt they belong to."""
_MOST_EARLY = 20_000
"""The messages of a host that wait for an engine until nobody waits for its attempts any more."""
_SETTLE_POLL = 0.2
_LEAST_RESERVE = 128 * 2**20
_RESERVE = 0.1

Attempts = tuple[tuple[str, int], ...]

Hear = Callable[["ClusterHost", FromHost | Gone | Back], None]


def usable(memory: int) -> int:
    """Return how much of a pod's memory is left for attempts. The host itself needs the rest."""
    return max(memory - max(_LEAST_RESERVE, int(memory * _RESERVE)), memory // 2)


class ClusterHost:
    """A host in a pod.

    Attributes:
        ended: the report of the host's end; None until there is one.
        was_met: True once the pod has connected. The cluster alone has the output of a pod that never did.
        printed: the output of the host itself that belongs to no attempt yet.

    Args:
        link: the session with the pod.
        explain: returns the failure that the end of a host means. It may wait for what the cluster says.
        remove: ends the pod with everything in it, and returns once it is gone or fenced.
    """

    def __init__(
        self,
        link: HostLink,
        explain: Callable[[HostEnded], Awaitable[Failure]],
        remove: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = link.name
        self.described: asyncio.Future[Described] = asyncio.get_running_loop().create_future()
        self.ended: HostEnded | None = None
        self.was_met = False
        self.printed = bytearray()
        self._link = link
        self._first: tuple[str, int] | None = None
        self._explain = explain
        self._remove = remove
        self._bound: asyncio.Future[Bound] | None = None
        self._hear: Hear | None = None
        self._early: list[FromHost] = []
        self._gone: Gone | None = None
        self._over = asyncio.Event()
        self._met = asyncio.Event()
        self._draining = self._unseen = False
        self._stopped: set[tuple[str, int]] = set()
        self._stopping: dict[tuple[str, int], asyncio.Event] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._silent_since = asyncio.get_running_loop().time()
        link.hear = self._receive
        link.connected = self._connected

    def listen(self, hear: Hear) -> None:
        """Pass messages to another engine from now on. What came before, and the end of the host, is reported soon."""
        self._hear = hear
        early, self._early = self._early, []
        for message in (*early, *([self._gone] if self._gone is not None else [])):
            asyncio.get_running_loop().call_soon(hear, self, message)

    def send(self, message: ToHost) -> None:
        """Send a message, now or when the pod can be reached again."""
        if self._gone is not None:
            return
        if isinstance(message, Quit):
            # The first process of the pod must know that this is wanted: it exits with status 0 for no other reason.
            self._link.send(Dismiss())
            return
        if isinstance(message, Stop):
            self._stopped.add((message.step, message.attempt))
        elif isinstance(message, Start) and not message.memory and self._link.facts.memory:
            message = msgspec.structs.replace(message, memory=usable(self._link.facts.memory))
        self._link.send(Passed(frame(message)[4:]))
        if isinstance(message, Start) and self._first is None:
            self._first = (message.step, message.attempt)
            self._tell_printed()

    def keep(self, data: bytes) -> None:
        """Keep output of the host itself, such as of an import, until it is known which attempt it belongs to."""
        if self._first is not None:
            self.printed += data
            self._tell_printed()
        elif len(self.printed) < _MOST_PRINTED:
            self.printed += data[: _MOST_PRINTED - len(self.printed)]

    def printed_as(self, step: str, attempt: int) -> Log | None:
        """Take what the host itself printed as output of an attempt. Return None if there is nothing."""
        data, self.printed = bytes(self.printed), bytearray()
        return Log(step=step, attempt=attempt, time=time.time(), data=data) if data else None

    def _tell_printed(self) -> None:
        assert self._first is not None
        message = self.printed_as(*self._first)
        if message is None:
            return
        if self._hear is None:
            self._early.append(message)
        else:
            # Later, because an engine that sends a message is not ready for one.
            asyncio.get_running_loop().call_soon(self._hear, self, message)

    async def bind(self, request: Bind) -> Bound:
        """Ask the host to convert texts of the command line to values."""
        if self._gone is not None:
            raise self.lost()
        self._bound = asyncio.get_running_loop().create_future()
        self.send(request)
        return await self._bound

    async def close(self) -> None:
        """Let the host quit, and end its pod if it does not."""
        if self._gone is None:
            self.send(Quit())
            try:
                await asyncio.wait_for(self._over.wait(), _CLOSE_SECONDS if self._link.is_connected else 0)
            except TimeoutError:
                await self._remove()
                self.lose(Failure(reason=Reason.HOST, message=f"{Reason.HOST.text}: it was ended"))

    def lose(self, failure: Failure) -> None:
        """Report that the host is certainly gone. Only the first report counts."""
        if self._gone is not None:
            return
        self._gone = Gone(failure=failure)
        self._stop_timer()
        self._over.set()
        self._met.set()
        for future in (self.described, self._bound):
            if future is not None and not future.done():
                future.set_exception(self.lost())
                future.exception()  # Nobody may wait for it, which is no error.
        if self._hear is not None:
            self._hear(self, self._gone)

    def lost(self) -> HostLost:
        """Return the error for a host that ended while it was needed."""
        why = self._gone.failure if self._gone is not None else None
        return HostLost(
            why.message if why is not None else Reason.HOST.text,
            hint=(why.hint if why is not None else "")
            or "see what the project does when it is imported: `python FILE`",
        )

    @property
    def failure(self) -> Failure | None:
        """The failure that the loss of the host means. None while it may live."""
        return self._gone.failure if self._gone is not None else None

    @property
    def memory(self) -> int:
        """The most memory that the pod may use. 0 if that is not known."""
        return self._link.facts.memory

    @property
    def is_gone(self) -> bool:
        """True if the host is certainly gone."""
        return self._gone is not None

    @property
    def silent(self) -> float:
        """Seconds since the pod was last connected. 0 while it is."""
        if self._link.is_connected:
            return 0.0
        return asyncio.get_running_loop().time() - self._silent_since

    async def attempts(self, seconds: float) -> tuple[Attempts, Attempts]:
        """Return the attempts of a pod that comes back: those that run, and the last ones that have ended.

        Without a pod, wait for some seconds. There are none if it does not come.
        """
        try:
            await asyncio.wait_for(self._met.wait(), seconds)
        except TimeoutError:
            return (), ()
        return self._link.running, self._link.ended

    async def stop(self, step: str, attempt: int, seconds: float) -> None:
        """End an attempt that is of no use, and return once it has ended, or after some seconds."""
        ended = self._stopping[step, attempt] = asyncio.Event()
        self.send(Stop(step=step, attempt=attempt))
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), seconds)

    async def settle(self, attempts: Attempts, seconds: float) -> None:
        """Return once these attempts have ended, or after some seconds. What they say waits for an engine."""
        wanted, end = set(attempts), time.monotonic() + seconds
        while not self.is_gone and time.monotonic() < end and len(self._early) < _MOST_EARLY:
            if wanted <= {(one.step, one.attempt) for one in self._early if isinstance(one, Exited)}:
                return
            await asyncio.sleep(_SETTLE_POLL)

    async def over(self) -> None:
        """Return once the host is certainly gone."""
        await self._over.wait()

    def _receive(self, message: Message) -> None:
        if self._gone is not None:
            return
        if isinstance(message, Passed):
            self._receive_from_host(decode_from_host(message.content))
        elif isinstance(message, Note):
            self.keep(message.data)
        elif isinstance(message, Draining):
            self._draining = True
            self._set_unseen()
        elif isinstance(message, HostEnded):
            self.ended = message
            self._ending = asyncio.get_running_loop().create_task(self._end(message))

    async def _end(self, report: HostEnded) -> None:
        self.lose(await self._explain(report))

    def _receive_from_host(self, message: FromHost) -> None:
        if isinstance(message, Described):
            if not self.described.done():
                self.described.set_result(message)
        elif isinstance(message, Bound):
            if self._bound is not None and not self._bound.done():
                self._bound.set_result(message)
        elif isinstance(message, Exited) and (message.step, message.attempt) in self._stopping:
            self._stopping.pop((message.step, message.attempt)).set()
        elif isinstance(message, Exited) and self._was_drained(message):
            # The loss of the host follows, and that repeats the attempt. The stop by itself would count as the run's own wish.
            return
        elif self._hear is not None:
            self._hear(self, message)
        else:
            self._early.append(message)

    def _was_drained(self, message: Exited) -> bool:
        """Tell whether an attempt was ended because its pod had to go, and not because the engine wanted it."""
        asked = (message.step, message.attempt) in self._stopped
        return self._draining and not asked and message.ended.cause is Cause.STOP

    def _connected(self, is_connected: bool) -> None:
        self._stop_timer()
        self._silent_since = asyncio.get_running_loop().time()
        if is_connected:
            self.was_met = True
            self._met.set()
        if self._gone is not None:
            return
        if not is_connected:
            self._timer = asyncio.get_running_loop().call_later(_UNSEEN_SECONDS, self._set_unseen)
        elif self._unseen and not self._draining:
            self._unseen = False
            if self._hear is not None:
                self._hear(self, Back())

    def _set_unseen(self) -> None:
        """Report that the host cannot be reached. Its attempts may still run."""
        if self._gone is None and not self._unseen:
            self._unseen = True
            text = f"{Reason.HOST.text}: nothing was heard from its pod for {_UNSEEN_SECONDS:.0f} s"
            if self._hear is not None:
                self._hear(self, Gone(failure=Failure(reason=Reason.HOST, message=text), certain=False))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

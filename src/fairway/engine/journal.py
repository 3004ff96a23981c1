"""The journal of one run: facts are gathered, written to the log in groups, and given up when the log fails.

Knows no decision. `record` does not wait for the disk. A caller that must wait uses `when_durable`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from fairway.engine.listening import Listener
from fairway.ports import Clock, MetadataStore
from fairway.spec.event import Body, Event

_BACKLOG = 256
"""Facts that may wait while others are written."""


class Journal:
    """The writer of a run's facts, in their order.

    Args:
        give_up: called on the event loop with the error when a fact cannot be kept. Nothing is written after that.
    """

    def __init__(
        self,
        metadata: MetadataStore,
        clock: Clock,
        listener: Listener,
        run: str,
        give_up: Callable[[BaseException], None],
    ) -> None:
        self._metadata = metadata
        self._clock = clock
        self._listener = listener
        self._run = run
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._unwritten: list[Event] = []
        self._writing: Future[int] | None = None
        self._waiting: list[Callable[[], None]] = []
        self._written: list[Callable[[], None]] = []
        self._closed = False

    def record(self, body: Body, step: str = "") -> None:
        """Note a fact. `write` then writes all facts together that follow from one message."""
        event = Event(body=body, run=self._run, step=step, time=self._clock.now())
        self._unwritten.append(event)
        self._listener.event(event)

    def when_durable(self, then: Callable[[], None]) -> None:
        """Call `then` once all facts recorded so far are on disk."""
        self._waiting.append(then)

    def write(self) -> None:
        """Begin to write the recorded facts. While a group is being written, they wait for the next one."""
        if self._closed or not self._unwritten:
            return
        try:
            if self._writing is not None:
                if not self._writing.done() and len(self._unwritten) < _BACKLOG:
                    return
                # With a full backlog this blocks the loop on purpose. It holds up the hosts' messages too, so that the number of
                # facts that a death could lose stays bounded on a slow disk. Running attempts need no log and go on.
                self._writing.result()
            self._submit()
        except Exception as error:
            self._fail(error)

    async def flush(self) -> None:
        """Write all facts and wait until they are durable. Raises StorageError."""
        if self._writing is not None:
            # The store keeps the order of submissions. Wait for the earlier group all the same, or its error would be lost.
            await asyncio.wrap_future(self._writing)
        self._submit()
        assert self._writing is not None
        await asyncio.wrap_future(self._writing)

    def close(self) -> None:
        """Stop writing."""
        self._closed = True

    def _submit(self) -> None:
        events, self._unwritten = self._unwritten, []
        self._written += self._waiting
        self._waiting.clear()
        self._writing = self._metadata.submit(events)
        self._writing.add_done_callback(self._after_write)

    def _after_write(self, future: "Future[int]") -> None:
        """Pass the result of a write on to the loop. This runs on the thread that writes."""
        if future.cancelled():
            return  # The one who waited for it was stopped, and the run with it.
        error = future.exception()
        with suppress(RuntimeError):  # The loop may be closed by now, because the run is over.
            if error is not None:
                self._loop.call_soon_threadsafe(self._fail, error)
            elif self._unwritten or self._written:
                self._loop.call_soon_threadsafe(self._go_on, future)

    def _go_on(self, future: "Future[int]") -> None:
        try:
            if future is self._writing:
                then, self._written = self._written, []
                for one in then:
                    one()
        except Exception as error:
            self._fail(error)
        self.write()

    def _fail(self, error: BaseException) -> None:
        if not self._closed:
            self._closed = True
            self._give_up(error)

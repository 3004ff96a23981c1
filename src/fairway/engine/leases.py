"""The leases of a process that alone works on the runs of a store. They are in memory, because nobody else could hold one.

A cancellation goes to the engine of the run, also to one that is only starting. It is acknowledged once it is on record,
because the next process knows nothing else of it. Must not know what an engine does.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager

from fairway.spec.errors import StorageError, UsageError

Cancel = Callable[..., None]

_HOLDER = "the control plane"
_RECORD_SECONDS = 30.0
"""Seconds that whoever cancels a run waits until the wish is on record."""


class RunLeases:
    """The leases of all runs that this process works on. It may be asked from any thread."""

    def __init__(self) -> None:
        self._desks: dict[str, Desk] = {}
        self._due: Counter[str] = Counter()

    def desk(self, run: str) -> "Desk":
        """Return the place at which one run will be worked on. Raises UsageError if there is one already."""
        desk = Desk(run, self)
        if self._desks.setdefault(run, desk) is not desk:
            raise UsageError(f"run {run} is being worked on", hint="wait for it, or `fairway cancel` it")
        return desk

    def runs(self) -> list[str]:
        """Return the runs that somebody works on, and those that have only a name yet."""
        return list(self._desks)

    def clear(self, desk: "Desk") -> None:
        """Forget a run that is not worked on any more."""
        if self._desks.get(desk.run) is desk:
            del self._desks[desk.run]

    @contextmanager
    def take(self, run: str) -> Generator[None, None, None]:
        """Hold the lease on a run for a block. Raises UsageError if somebody holds it."""
        desk = self.desk(run)
        try:
            yield
        finally:
            self.clear(desk)

    def expect(self, run: str) -> None:
        """Count a run as worked on until `expected` is called, because this process is about to take it up."""
        self._due[run] += 1

    def expected(self, run: str) -> None:
        """Note that a run was taken up, or that nobody needs to."""
        self._due[run] -= 1
        if not self._due[run]:
            del self._due[run]

    def holder(self, run: str) -> str:
        """Return who works on a run or is about to; empty if nobody is."""
        return _HOLDER if run in self._desks or run in self._due else ""

    def ask_to_stop(self, run: str) -> bool:
        """Ask the engine of a run to cancel it, and wait until that is on record. Return false if there is none.

        Not to be called on the loop of the engines.

        Raises:
            StorageError: the wish is not on record. It may be forgotten if this process ends now.
        """
        desk = self._desks.get(run)
        if desk is None or not desk.can_stop:
            return False
        try:
            desk.stop().result(_RECORD_SECONDS)
        except TimeoutError as error:
            raise StorageError(
                f"run {run} is told to stop, and that is not on record yet",
                hint="ask again in a few seconds: a disk or the run is slow",
            ) from error
        return True


class Desk:
    """The place of one run: it has the run's lease from its making on, and knows the engine once there is one."""

    def __init__(self, run: str, leases: RunLeases) -> None:
        self.run = run
        self._leases = leases
        self._cancel: Cancel | None = None
        self._note: Callable[[], Future[int]] | None = None
        self._asked = 0
        self._on_record: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def can_stop(self) -> bool:
        """True if an engine is at work or will be."""
        return self._loop is not None

    def expect(self, note: Callable[[], Future[int]] | None = None) -> None:
        """Take cancellations from now on, and keep them for an engine that is starting.

        Args:
            note: puts the wish to stop on record while there is no engine. None for a run that is not on record itself.
        """
        self._loop, self._note = asyncio.get_running_loop(), note

    @contextmanager
    def interrupts(self, cancel: Cancel) -> Generator[None, None, None]:
        """Pass cancellations to an engine for a block."""
        self.expect()
        self._cancel = cancel
        self._forward()
        try:
            yield
        except BaseException as error:
            self._settle(error)
            raise
        else:
            # The end of the run is on record, which counts as much as the wish.
            self._settle(None)
        finally:
            self._cancel = None

    @contextmanager
    def take(self, run: str) -> Generator[None, None, None]:
        """Hold the lease on the run of this desk for a block. Raises UsageError for another run."""
        if run != self.run:
            raise UsageError(f"run {run} is worked on elsewhere")
        try:
            yield
        finally:
            self._leases.clear(self)

    def holder(self, run: str) -> str:
        """Return who works on a run; empty if nobody does."""
        return self._leases.holder(run)

    def ask_to_stop(self, run: str) -> bool:
        """Ask the engine of a run to cancel it. Return false if there is none."""
        return self._leases.ask_to_stop(run)

    def stop(self) -> Future[None]:
        """Cancel the run. To be called from any thread. The second time, running attempts are ended at once.

        Return the future that is done once the wish, or the end of the run, is on record.
        """
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._ask)
        return self._on_record

    def _ask(self) -> None:
        if self._asked and not self._on_record.done():
            # Nobody was answered yet, so this is the same wish, sent again.
            return
        self._asked += 1
        if self._cancel is None and self._note is not None and self._asked == 1:
            self._note().add_done_callback(lambda noted: self._settle(noted.exception()))
        self._forward()

    def _forward(self) -> None:
        if self._cancel is None or not self._asked:
            return
        if self._asked == 1:
            self._cancel(noted=lambda: self._settle(None))
        else:
            self._cancel(noted=lambda: self._settle(None), grace=0.0)

    def _settle(self, error: BaseException | None) -> None:
        """Let those go on who wait until the wish is on record."""
        if self._on_record.done():
            return
        if error is None:
            self._on_record.set_result(None)
        else:
            self._on_record.set_exception(error)

"""The leases of a process that alone works on the runs of a store. They are in memory, because nobody else could hold one.

A cancellation goes to the engine of the run, also to one that is only starting. Must not know what an engine does.
"""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from fairway.spec.errors import UsageError

Cancel = Callable[..., None]

_HOLDER = "the control plane"


class RunLeases:
    """The leases of all runs that this process works on. It may be asked from any thread."""

    def __init__(self) -> None:
        self._desks: dict[str, Desk] = {}

    def desk(self, run: str) -> "Desk":
        """Return the place at which one run will be worked on. Raises UsageError if there is one already."""
        desk = Desk(run, self)
        if self._desks.setdefault(run, desk) is not desk:
            raise UsageError(f"run {run} is being worked on", hint="wait for it, or `fairway cancel` it")
        return desk

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

    def holder(self, run: str) -> str:
        """Return who works on a run; empty if nobody does."""
        return _HOLDER if run in self._desks else ""

    def ask_to_stop(self, run: str) -> bool:
        """Ask the engine of a run to cancel it. Return false if there is none."""
        desk = self._desks.get(run)
        if desk is None or not desk.can_stop:
            return False
        desk.stop()
        return True


class Desk:
    """The place of one run: it has the run's lease from its making on, and knows the engine once there is one."""

    def __init__(self, run: str, leases: RunLeases) -> None:
        self.run = run
        self._leases = leases
        self._cancel: Cancel | None = None
        self._asked = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def can_stop(self) -> bool:
        """True if an engine is at work or will be."""
        return self._loop is not None

    def expect(self) -> None:
        """Take cancellations from now on, and keep them for an engine that is starting."""
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def interrupts(self, cancel: Cancel) -> Generator[None, None, None]:
        """Pass cancellations to an engine for a block."""
        self.expect()
        self._cancel = cancel
        self._forward()
        try:
            yield
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

    def stop(self) -> None:
        """Cancel the run. To be called from any thread. The second time, running attempts are ended at once."""
        self._asked += 1
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._forward)

    def _forward(self) -> None:
        if self._cancel is None or not self._asked:
            return
        if self._asked == 1:
            self._cancel()
        else:
            self._cancel(grace=0.0)

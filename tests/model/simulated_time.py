"""An event loop whose clock jumps to the next thing that is due, so that hours of waiting take no time."""

import asyncio
from collections.abc import Callable
from typing import Any


class _NoDescriptors:
    """A selector without descriptors. Waiting for one only moves the clock."""

    def __init__(self, wait: Callable[[float | None], None]) -> None:
        self._wait = wait

    def select(self, timeout: float | None) -> list[tuple[object, int]]:
        self._wait(timeout)
        return []


class StandsStill(AssertionError):
    """Nothing will ever happen any more, and the work is not done."""


_MOST_TURNS = 20_000
"""Far more than any run needs that is not going round in circles."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop in simulated seconds that knows only callbacks, timers, futures and tasks.

    Args:
        now: what its clock says at first.
    """

    def __init__(self, now: float) -> None:
        super().__init__()
        self._now = now
        self._selector = _NoDescriptors(self._pass_time)
        self.turns = 0

    def time(self) -> float:
        """Return the simulated seconds."""
        return self._now

    def _pass_time(self, timeout: float | None) -> None:
        self.turns += 1
        if timeout is None or self.turns > _MOST_TURNS:
            self.turns = 0
            raise StandsStill("the work is not done, and nothing brings it on")
        self._now += timeout

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """Wake the loop: it never sleeps."""

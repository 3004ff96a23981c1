"""Room for a run's attempts at their places: it is asked for, kept while they run, and waited for."""

import asyncio
from collections.abc import Callable

from fairway.engine.listening import Listener
from fairway.plan.run import RunState
from fairway.ports import Clock, Executor
from fairway.spec.places import Place
from fairway.spec.quantities import Grant

_AGAIN = 0.02
_AGAIN_LATER = 0.05
_LATER = 5.0
_WORTH_SAYING = 1.0
"""Seconds of waiting for other runs before the run's followers hear of it."""


class Room:
    """The part of the places that one run has taken. `go_on` is called when a waiting step may find room."""

    def __init__(
        self, executor: Executor, state: RunState, clock: Clock, listener: Listener, go_on: Callable[[], None]
    ) -> None:
        self._executor = executor
        self._state = state
        self._clock = clock
        self._listener = listener
        self._go_on = go_on
        self._grants: dict[tuple[str, int], Grant] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._said = ("", "")

    def take(self, place: Place, step: str, attempt: int) -> bool:
        """Take the resources for an attempt at a place. If that is impossible, report so to the run's state."""
        grant = self._executor.take(place, self._state.steps[step].resources, step)
        if grant is None:
            self._state.no_room(step)
            return False
        self._grants[step, attempt] = grant
        return True

    def of(self, step: str, attempt: int) -> Grant | None:
        """Return the grant of an attempt; None once it was given back."""
        return self._grants.get((step, attempt))

    def free(self, step: str, attempt: int) -> None:
        """Give back the grant of an attempt that is over or will not begin."""
        grant = self._grants.pop((step, attempt), None)
        if grant is not None:
            self._executor.give_back(grant)

    def wait(self) -> None:
        """Enter the queue if a step found no room in the last decision, and ask again soon."""
        step = self._state.waiting
        if step is None:
            if self._since:
                self._stop_waiting()
            return
        now = self._clock.monotonic()
        self._since = self._since or now
        self._executor.wait_for(step.resources, step.name, self._state.waiting_beside(step))
        waited = now - self._since
        if waited >= _WORTH_SAYING:
            self._notify(step.name, self._executor.who_else() or "other runs")
        if self._timer is None:
            again = _AGAIN if waited < _LATER else _AGAIN_LATER
            self._timer = asyncio.get_running_loop().call_later(again, self._ask_again)

    def close(self) -> None:
        """Give everything back, because the run is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._grants.clear()
        self._executor.leave()

    def _ask_again(self) -> None:
        self._timer = None
        self._state.room()
        self._go_on()

    def _stop_waiting(self) -> None:
        self._since = 0.0
        self._executor.stop_waiting()
        self._notify("", "")

    def _notify(self, step: str, whom: str) -> None:
        if (step, whom) != self._said:
            self._said = (step, whom)
            self._listener.waits(step, whom)

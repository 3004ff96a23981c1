"""The number of pods that the steps of a run share: another one is made while the waiting steps are worth it."""

import time
from collections.abc import Sequence

import msgspec

from fairway.cluster import sizing
from fairway.cluster.bookings import Booking, Worker
from fairway.spec.quantities import Resources

_HELD_BACK_SECONDS = 30.0
"""Seconds for which no further pod of a kind is made, after the cluster had no room for one."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds for the pods of a run.

    Attributes:
        most: the most pods at a time.
        kept: the seconds for which a pod is kept after its last attempt. 0 ends it at once.
    """

    most: int = 64
    kept: float = 60.0


class Scale:
    """The decisions about the number and the size of pods, from what was measured in this run.

    Args:
        driver: the size of the driver's pod.

    Attributes:
        waiting: the number of steps that wait for room.
        pace: the measured durations.
    """

    def __init__(self, driver: Resources) -> None:
        self.waiting = 0
        self.pace = sizing.Pace()
        self._driver = driver
        self._small: set[str] = set()
        self._held_back: dict[str, float] = {}
        self._asked: dict[str, float] = {}

    def asked(self, step: str) -> None:
        """Note that a step found no room."""
        self._asked.setdefault(step, time.monotonic())

    def found(self, step: str) -> None:
        """Note that a step found room."""
        self._asked.pop(step, None)

    def hold_back(self, kind: str) -> None:
        """Note that the cluster has no room for as many pods of a kind."""
        self._held_back[kind] = time.monotonic() + _HELD_BACK_SECONDS

    def keep_small(self, kind: str) -> bool:
        """Make no more pods of a kind for several steps, because no node has room for one. Return False if that is known."""
        is_new = kind not in self._small
        self._small.add(kind)
        return is_new

    def room(self, booking: Booking) -> Resources:
        """Return the size of a pod for a step, and for others like it if more wait."""
        one = booking.is_apart or booking.is_suspect or booking.kind in self._small
        return sizing.room_for(booking.wanted, 1 if one else max(1, self.waiting), self._driver)

    def wants_another(self, booking: Booking, there: Sequence[Worker], beside: int) -> bool:
        """Tell whether a pod is worth making for a step that finds no room.

        Args:
            booking: the step.
            there: the pods that could take it.
            beside: the number of steps of this size that the driver carries out at once.
        """
        now = time.monotonic()
        if booking.is_suspect or not (beside or there):
            return True
        starting = [one for one in there if not one.is_ready]
        for one in starting:
            self.pace.is_starting(now - one.began)
        most = max(sizing.AT_ONCE, len(there) - len(starting))
        if booking.kind in self._held_back:
            # One at a time from here on: there was no room for as many.
            most = 1 if now > self._held_back[booking.kind] else 0
        if len(starting) >= most:
            return False
        if not beside and not self.pace.is_known(booking.kind):
            return True
        places = beside + sum(sizing.slots(booking.wanted, one.room, self._driver) for one in there)
        waited = now - self._asked.get(booking.step, now)
        return self.pace.is_worth_a_pod(booking.kind, max(self.waiting, 1), places, now) or (
            self.pace.is_stuck(booking.kind, waited, now)
        )

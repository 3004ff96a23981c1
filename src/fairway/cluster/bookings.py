"""Room in the pods that steps share: who has booked it, and what a pod has left. Knows no cluster."""

import asyncio
import time

from fairway.cluster import sizing
from fairway.cluster.hosts import ClusterHost
from fairway.cluster.seats import Hear, Seat
from fairway.spec.places import Place
from fairway.spec.quantities import Resources


class Booking:
    """Room for an attempt, in a pod that may still be starting.

    Args:
        place: the place of the attempt.
        kind: the kind of pod that can take it.
        wanted: the resources that the step asks for.
        step: the name of the step.

    Attributes:
        number: the number of the attempt, once it is known.
        is_suspect: True for a step that may have ended a pod, so that it runs beside no other.
        worker: the pod that it counts in.
        waiting: the future for the seat, once the attempt waits for one.
    """

    def __init__(self, place: Place, kind: str, wanted: Resources, step: str) -> None:
        self.place = place
        self.kind = kind
        self.wanted = wanted
        self.step = step
        self.number = 0
        self.is_suspect = False
        self.worker: Worker | None = None
        self.hear: Hear | None = None
        self.waiting: asyncio.Future[Seat] | None = None
        self.failure: BaseException | None = None

    @property
    def is_apart(self) -> bool:
        """True for an attempt that gets a pod of its own, which nobody uses again."""
        return self.place.reserved

    @property
    def is_waiting(self) -> bool:
        """True while the attempt waits for a seat."""
        return self.waiting is not None and not self.waiting.done()

    @property
    def is_pending(self) -> bool:
        """True while the attempt has neither a seat nor an error."""
        return self.failure is None and (self.waiting is None or not self.waiting.done())

    def fail(self, error: BaseException) -> None:
        """Give up the attempt, now or once it asks for its seat."""
        if self.waiting is None:
            self.failure = error
        elif not self.waiting.done():
            self.waiting.set_exception(error)
            self.waiting.exception()  # Nobody may wait for it any more, which is no error.


class Worker:
    """A pod that attempts of one kind share.

    Args:
        name: the name of its host.
        kind: the kind.
        room: the resources that it has for attempts.
        is_single: True if it is for one attempt only.

    Attributes:
        is_ready: True once its host has imported the project.
        is_closed: True if it takes no more attempts.
        is_out_of_reach: True while it is not known how it fares.
        taken: what each booking counts for.
        seats: the seats in it, with their bookings.
        count: the number of seats that there were.
    """

    def __init__(self, name: str, kind: str, room: Resources, *, is_single: bool) -> None:
        self.name = name
        self.kind = kind
        self.room = room
        self.is_single = is_single
        self.is_ready = self.is_closed = self.is_out_of_reach = False
        self.taken: dict[Booking, Resources] = {}
        self.seats: dict[Seat, Booking] = {}
        self.host: ClusterHost | None = None
        self.count = 0
        self.began = time.monotonic()
        self.timer: asyncio.TimerHandle | None = None
        self.booting: asyncio.Task[None] | None = None

    @property
    def running(self) -> list[Seat]:
        """The seats on which an attempt runs."""
        return [seat for seat in self.seats if seat.is_busy]

    def is_alone(self) -> bool:
        """Tell whether at most one attempt runs, so that what happens to the pod is its doing."""
        return len(self.running) <= 1

    def seat_of(self, step: str, attempt: int) -> Seat | None:
        """Return the seat on which an attempt runs."""
        return next((seat for seat in self.seats if (step, attempt) in seat.limits), None)

    def could_take(self, booking: Booking, driver: Resources) -> bool:
        """Tell whether a booking has room here once everything else is over."""
        if self.is_closed or self.is_out_of_reach:
            return False
        if booking.kind != self.kind or self.is_single is not booking.is_apart:
            return False
        return self.is_single or sizing.suits(booking.wanted, self.room, driver)

    def has_room(self, booking: Booking, driver: Resources) -> bool:
        """Tell whether a booking has room here now."""
        if not self.could_take(booking, driver):
            return False
        if self.is_single or booking.is_suspect or any(other.is_suspect for other in self.taken):
            return not self.taken
        return sizing.fits(sizing.share_of(booking.wanted, driver), self.taken.values(), self.room)

    def take(self, booking: Booking, driver: Resources) -> None:
        """Count a booking here."""
        self.taken[booking] = sizing.share_of(booking.wanted, driver)
        booking.worker = self
        self.keep()

    def give_up(self, booking: Booking) -> None:
        """Count a booking here no more."""
        self.taken.pop(booking, None)
        booking.worker = None

    def keep(self) -> None:
        """Stop the time after which an unused pod goes."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

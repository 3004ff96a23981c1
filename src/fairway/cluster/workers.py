"""The pods of a run that its steps share: they are made for what waits, used again, and kept for a while.

A step books room before it begins. The room may be in a pod that starts, but nobody is bound to that: whichever pod has room
first takes the step. A pod that cannot be is given up quietly while others of its kind live.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from fairway.cluster import pending, sizing
from fairway.cluster.blueprints import Blueprints
from fairway.cluster.bookings import Booking, Worker
from fairway.cluster.hosts import ClusterHost
from fairway.cluster.lives import PodLives, unwanted
from fairway.cluster.scaling import Bounds, Scale
from fairway.cluster.seats import Hear, Key, Seat, tell_printed
from fairway.spec.errors import HostLost
from fairway.spec.places import Attempt, Back, CannotPlace, Gone, Place
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import Failure, Reason
from fairway.spec.wire import Bound, Described, FromHost, Identified, Quit

_UNPLACED_SECONDS = 10.0
"""Seconds that a pod waits for a node before its steps go elsewhere, if they can."""


class _Elsewhere(Exception):
    """The error for a pod that is given up, because its steps can wait for other pods."""


class Workers:
    """The pods of a run that its steps share.

    Args:
        lives: makes and follows pods.
        blueprints: the blueprints of the run's pods.
        bounds: the bounds for their number and their time.
        driver_has_room: tells whether the driver has room for a step now.
        found_room: called soon after a step that waits may find room.

    Attributes:
        scale: decides how many pods there are, and of which size.
    """

    def __init__(
        self,
        lives: PodLives,
        blueprints: Blueprints,
        bounds: Bounds,
        driver_has_room: Callable[[Resources], bool],
        found_room: Callable[[], None],
    ) -> None:
        self.scale = Scale(blueprints.driver_size)
        self._lives = lives
        self._blueprints = blueprints
        self._driver = blueprints.driver_size
        self._bounds = bounds
        self._driver_has_room = driver_has_room
        self._found_room = found_room
        self._workers: dict[str, Worker] = {}
        self._bookings: dict[int, tuple[Grant, Booking]] = {}
        self._homeless: dict[Booking, None] = {}
        self._suspects: set[str] = set()
        self._telling = self._is_left = False

    def book(self, place: Place, wanted: Resources, step: str, beside: int) -> Grant | None:
        """Book room for an attempt. Return None if there is none and no pod is worth making.

        `beside` is the number of attempts of this size that the driver carries out at once.
        """
        booking = self._booking(place, wanted, step)
        if booking.is_apart:
            # The name of its pod has the number of the attempt, which is not known yet.
            if self._count() >= self._bounds.most:
                return None
        elif not self._settle(booking):
            if not self._is_worth_making(booking, beside):
                self.scale.asked(step)
                return None
            self._make(booking)
        self.scale.found(step)
        grant = Grant(resources=wanted)
        self._bookings[id(grant)] = (grant, booking)
        return grant

    async def start(self, place: Place, attempt: Attempt, hear: Hear) -> Seat:
        """Return the seat for an attempt, once there is one. Raises FairwayError."""
        _, booking = self._bookings.get(id(attempt.grant), (None, None))
        is_booked = booking is not None
        if booking is None:
            booking = self._booking(place, attempt.grant.resources, attempt.step)
            self._bookings[id(attempt.grant)] = (attempt.grant, booking)
        if booking.failure is not None:
            failure, booking.failure = booking.failure, None
            raise failure
        booking.number, booking.hear = attempt.number, hear
        booking.waiting = asyncio.get_running_loop().create_future()
        worker = booking.worker
        if worker is not None and worker.is_ready:
            self._seat(booking, worker)
        elif worker is not None:
            self._begin(worker, booking)
        elif not self._settle(booking):
            (self._house if is_booked else self._make)(booking)
        seat = await booking.waiting
        if seat.lost is not None:
            # Its pod went before the engine knew of it, so the engine could not hear that.
            raise HostLost(seat.lost.message, hint=seat.lost.hint)
        return seat

    def give_back(self, grant: Grant) -> None:
        """Take back what was booked, because its attempt is over. What runs there keeps its room until it has ended."""
        _, booking = self._bookings.pop(id(grant), (None, None))
        if booking is None:
            return
        self.scale.pace.ended(booking.kind, id(booking), time.monotonic())
        self._homeless.pop(booking, None)
        worker = booking.worker
        if worker is not None and booking not in worker.seats.values():
            worker.give_up(booking)
            if not worker.taken and not worker.is_ready and worker.booting is None:
                self._dismiss(worker)
            self._serve(worker)
        booking.fail(CannotPlace(unwanted("nobody waits for it any more")))

    async def adopt(self, name: str, kind: str, room: Resources, seconds: float) -> Worker | None:
        """Take over a pod of an earlier engine if it comes back with attempts. End it otherwise."""
        worker = Worker(name, kind, room, is_single=not kind)
        worker.host = self._lives.expect(name, self._blueprints.orders(), worker.is_alone)
        running, ended = await worker.host.attempts(seconds)
        # The pod may have lost its engine before that heard of an end, so the last ends count as well.
        keys = list(dict.fromkeys((*running, *ended)))
        if not keys or worker.host.is_gone:
            await self._lives.refuse(name)
            worker.host.lose(unwanted("its engine was replaced"))
            return None
        for step, number in keys:
            self._take_over(worker, step, number)
        worker.is_ready = True
        self._workers[name] = worker
        return worker

    def listen(self, worker: Worker, hear: Hear) -> list[tuple[Key, Seat]]:
        """Pass what a pod of an earlier engine says to this one. Return its attempts with their seats."""
        found: list[tuple[Key, Seat]] = []
        for seat in worker.seats:
            seat.listen(hear)
            found += [(key, seat) for key in seat.limits]
        assert worker.host is not None
        worker.host.listen(partial(self._receive, worker))
        return found

    def free_unused(self) -> bool:
        """End the pods that are kept without an attempt. Return False if there is none."""
        unused = [one for one in self._workers.values() if one.is_ready and not one.taken]
        for worker in unused:
            self._dismiss(worker)
        return bool(unused)

    def leave(self) -> None:
        """End all pods but those in which an attempt still runs that nobody gave up: the next engine finds it there."""
        self._is_left = True
        for worker in list(self._workers.values()):
            worker.keep()
            if all(seat.quitting for seat in worker.running):
                self._dismiss(worker)
            else:
                self._lives.let_go(worker.name)
        self._bookings.clear()
        self._homeless.clear()

    def _booking(self, place: Place, wanted: Resources, step: str) -> Booking:
        booking = Booking(place, self._blueprints.kind(place.environment, wanted), wanted, step)
        booking.is_suspect = step in self._suspects
        return booking

    def _count(self) -> int:
        apart = sum(booking.is_apart and booking.worker is None for _, booking in self._bookings.values())
        return len(self._workers) + apart

    def _of_kind(self, booking: Booking) -> list[Worker]:
        return [one for one in self._workers.values() if one.could_take(booking, self._driver)]

    def _settle(self, booking: Booking) -> bool:
        """Count a booking in a pod with room, the fullest one first, and in one that is ready before one that starts."""
        found = [one for one in self._workers.values() if one.has_room(booking, self._driver)]
        if not found:
            return False
        worker = max(found, key=lambda one: (one.is_ready, len(one.taken)))
        worker.take(booking, self._driver)
        if booking.is_waiting:
            if worker.is_ready:
                self._seat(booking, worker)
            else:
                self._begin(worker, booking)
        return True

    def _house(self, booking: Booking) -> None:
        """Make a pod for a booking if no pod will ever have room for it. Let it wait otherwise."""
        if booking.is_apart or (not self._of_kind(booking) and len(self._workers) < self._bounds.most):
            self._make(booking)
        else:
            self._homeless[booking] = None

    def _is_worth_making(self, booking: Booking, beside: int) -> bool:
        """Tell whether a pod is worth making for a step that finds no room."""
        if len(self._workers) >= self._bounds.most and not self.free_unused():
            return False
        return self.scale.wants_another(booking, self._of_kind(booking), beside)

    def _make(self, booking: Booking) -> None:
        """Make a pod for a booking, and for others like it if more wait."""
        apart = booking.is_apart
        room = self.scale.room(booking)
        name = self._blueprints.step(booking.step, booking.number) if apart else self._blueprints.worker()
        worker = self._workers[name] = Worker(name, booking.kind, room, is_single=apart)
        worker.take(booking, self._driver)
        if booking.is_waiting:
            self._begin(worker, booking)

    def _begin(self, worker: Worker, booking: Booking) -> None:
        """Make the pod of a worker, now that the first attempt for it is on record."""
        if worker.booting is None:
            worker.began = time.monotonic()
            worker.booting = asyncio.get_running_loop().create_task(self._boot(worker, booking))

    async def _boot(self, worker: Worker, first: Booking) -> None:
        host: ClusterHost | None = None
        try:
            only = first.step if worker.is_single else ""
            pod = await self._blueprints.pod(
                worker.name,
                first.place,
                worker.room,
                step=only,
                kind="" if worker.is_single else worker.kind,
            )
            orders = self._blueprints.orders(first.place)
            await self._lives.cleared(worker.name)
            host = worker.host = self._lives.expect(worker.name, orders, worker.is_alone)
            await self._lives.described(host, pod, partial(_who, worker), partial(self._doubt, worker))
        except asyncio.CancelledError:
            if host is not None:
                host.lose(unwanted("nobody waits for it any more"))
            raise
        except Exception as error:
            if host is not None:
                host.lose(unwanted(str(error) or "its steps went elsewhere"))
                tell_printed(host, first.hear, first.step, first.number)
            self._unborn(worker, error)
        else:
            self.scale.pace.started(time.monotonic() - worker.began)
            worker.is_ready = True
            host.listen(partial(self._receive, worker))
            for booking in list(worker.taken):
                if booking.is_waiting:
                    self._seat(booking, worker)
            self._serve(worker)

    def _doubt(self, worker: Worker, found: pending.Pending, waited: float) -> None:
        """Decide what becomes of a pod that the cluster has no room for now."""
        unplaced = found.unplaced and waited > _UNPLACED_SECONDS
        if not (unplaced or found.again) or self.free_unused():
            return
        if not worker.taken:
            raise _Elsewhere
        first = next(iter(worker.taken))
        several = not worker.is_single and sizing.slots(first.wanted, worker.room, self._driver) > 1
        if several and self.scale.keep_small(worker.kind):
            raise _Elsewhere
        if any(one.is_ready for one in self._of_kind(first)):
            self.scale.hold_back(worker.kind)
            raise _Elsewhere
        own = first.place.environment is None and not first.is_apart
        if unplaced and own and self._driver_has_room(first.wanted):
            worker.give_up(first)
            first.fail(CannotPlace(Failure(reason=Reason.UNPLACED, message=Reason.UNPLACED.text)))

    def _unborn(self, worker: Worker, error: Exception) -> None:
        """Find other pods for the steps that waited for one that does not come. Without any, the error is theirs."""
        self._workers.pop(worker.name, None)
        left = list(worker.taken)
        for booking in left:
            worker.give_up(booking)
        if isinstance(error, HostLost):
            # One of them counts the loss, and asks again.
            for booking in left[:1]:
                booking.fail(error)
            left = left[1:]
        elif not isinstance(error, _Elsewhere):
            for booking in left:
                if not any(one.is_ready for one in self._of_kind(booking)):
                    booking.fail(error)
                else:
                    self.scale.hold_back(worker.kind)
            left = [booking for booking in left if booking.is_pending]
        for booking in left:
            if not self._settle(booking):
                self._house(booking)
        self._rehouse()

    def _rehouse(self) -> None:
        """Find other pods for the steps that wait for one of a kind that there is no more."""
        for booking in [one for one in self._homeless if not self._of_kind(one)]:
            if len(self._workers) < self._bounds.most:
                del self._homeless[booking]
                self._make(booking)

    def _seat(self, booking: Booking, worker: Worker) -> None:
        assert worker.host is not None
        assert booking.hear is not None
        assert booking.waiting is not None
        worker.count += 1
        freed = partial(self._freed, worker)
        seat = Seat(f"{worker.name}/{worker.count}", worker.host, booking.hear, freed)
        worker.seats[seat] = booking
        self.scale.pace.began(booking.kind, id(booking), time.monotonic())
        booking.waiting.set_result(seat)

    def _take_over(self, worker: Worker, step: str, number: int) -> None:
        """Make the seat of an attempt that an earlier engine began. Its size is not known, so it takes all of the pod."""
        assert worker.host is not None
        place = Place(name=step, reserved=worker.is_single)
        booking = Booking(place, worker.kind, worker.room, step)
        worker.count += 1
        seat = Seat(f"{worker.name}/{worker.count}", worker.host, _nobody, partial(self._freed, worker))
        seat.adopt(step, number)
        worker.seats[seat] = booking
        worker.taken[booking] = worker.room
        booking.worker = worker

    def _freed(self, worker: Worker, seat: Seat) -> None:
        """Give the room of a seat to the next attempt."""
        booking = worker.seats.pop(seat, None)
        if booking is not None:
            worker.give_up(booking)
        self._serve(worker)

    def _serve(self, worker: Worker) -> None:
        """Give room in a pod to whoever waits for it, those first who wait longest."""
        if worker.name not in self._workers or not worker.is_ready:
            return
        while not worker.is_single and not worker.is_out_of_reach:
            booking = self._next(worker)
            if booking is None:
                break
            self._homeless.pop(booking, None)
            if booking.worker is not None:
                booking.worker.give_up(booking)
            worker.take(booking, self._driver)
            self._seat(booking, worker)
        self._offer_room()
        if worker.taken:
            return
        if worker.is_single or self._is_left or not self._bounds.kept:
            self._dismiss(worker)
        elif worker.timer is None:
            loop = asyncio.get_running_loop()
            worker.timer = loop.call_later(self._bounds.kept, self._dismiss, worker)

    def _next(self, worker: Worker) -> Booking | None:
        """Return a booking that waits without a pod, or for one that starts, and that a pod has room for."""
        starting = [one for one in self._workers.values() if not one.is_ready and one.kind == worker.kind]
        waiting = (*self._homeless, *(booking for one in starting for booking in one.taken))
        return next((one for one in waiting if one.is_waiting and worker.has_room(one, self._driver)), None)

    def _offer_room(self) -> None:
        """Let the engine ask again soon, and not while it handles a message."""
        if not self._telling and not self._is_left:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._room_offered)

    def _room_offered(self) -> None:
        self._telling = False
        if not self._is_left:
            self._found_room()

    def _dismiss(self, worker: Worker) -> None:
        """End a pod, whether it is ready or still starts."""
        worker.keep()
        worker.is_closed = True
        self._workers.pop(worker.name, None)
        if worker.is_ready and worker.host is not None:
            worker.host.send(Quit())
        elif worker.booting is not None:
            worker.booting.cancel()
        if not self._is_left:
            self._rehouse()

    def _receive(self, worker: Worker, host: ClusterHost, message: FromHost | Gone | Back) -> None:
        if isinstance(message, Described | Bound | Identified):
            return
        if isinstance(message, Gone | Back):
            worker.is_out_of_reach = isinstance(message, Gone)
            if isinstance(message, Gone) and message.certain:
                self._lose(worker, message)
                return
            for seat in list(worker.seats):
                seat.receive(message)
            self._serve(worker)
            self._rehouse()
            return
        seat = worker.seat_of(message.step, message.attempt)
        if seat is None:
            return
        booking = worker.seats[seat]
        if not seat.receive(message, alone=worker.is_alone()):
            self._suspects.add(booking.step)

    def _lose(self, worker: Worker, gone: Gone) -> None:
        """Give up the attempts of a pod that is gone, and no others."""
        self._workers.pop(worker.name, None)
        worker.keep()
        worker.is_closed = True
        if gone.failure.reason is Reason.HOST and not worker.is_alone():
            # One of them may have ended the pod. Each is alone the next time, so the next end has a cause.
            self._suspects.update(worker.seats[seat].step for seat in worker.running)
        left = [booking for booking in worker.taken if booking not in worker.seats.values()]
        for seat in list(worker.seats):
            seat.receive(gone)
        for booking in left:
            worker.give_up(booking)
            if booking.is_waiting and not self._settle(booking):
                self._house(booking)
        self._rehouse()
        self._offer_room()


def _who(worker: Worker) -> str:
    """Return the step that waits longest for a pod."""
    first = next(iter(worker.taken), None)
    return first.step if first is not None else "a pod"


def _nobody(seat: Seat, message: FromHost | Gone | Back) -> None:
    """Drop what an adopted attempt says before an engine listens. There is nothing: the host keeps it."""

"""The size and the number of the pods that a run's steps share. Pure decisions about numbers that were measured.

A pod is made for a step that waits if the steps before it would keep the present pods busy for longer than a new pod takes to
start. It is made for a handful of steps if as many wait, and as long as a pod of the driver's size has room for them.
"""

import math
from collections.abc import Iterable

import msgspec

from fairway.spec.quantities import Resources

HANDFUL = 8
"""The most steps for which a pod is made. What has room in a pod that is there may be more."""
AT_ONCE = 4
"""The most pods of a kind that start at a time, or as many as are ready: twice as many from start to start."""
LEAST_MEMORY = 192 * 2**20
"""The least memory of a pod. The interpreter and the host need it before the step needs any."""
_UNDECLARED = 256 * 2**20
"""Memory that counts as used by a step that declares none, beside others in a pod."""
_WORTH = 2.0
"""The ratio of the waiting steps' time to a pod's start above which another pod is worth it."""
_FIRST_START_SECONDS = 2.0
_SHARE_OF_LAST = 0.2
"""The weight of the last measurement in a mean."""


def kind_of(wanted: Resources) -> Resources:
    """Return what two steps must have in common to use the same pod: everything but the amounts of CPU and memory."""
    return msgspec.structs.replace(wanted, cpu=0.0, memory=0)


def room_for(wanted: Resources, most: int, driver: Resources) -> Resources:
    """Return the resources of a pod for as many steps as possible, at least one and at most `most`."""
    charge = share_of(wanted, driver)
    count = 1 if _is_sole(wanted) else max(1, min(most, HANDFUL, _times(charge, driver)))
    # A step that declares no memory has in a pod of its own what the driver has.
    memory = max(charge.memory * count, wanted.memory or driver.memory)
    return msgspec.structs.replace(wanted, cpu=wanted.cpu * count, memory=max(memory, LEAST_MEMORY))


def share_of(wanted: Resources, driver: Resources) -> Resources:
    """Return what a step counts for in a pod that others use as well."""
    memory = wanted.memory or min(_UNDECLARED, driver.memory)
    return msgspec.structs.replace(wanted, memory=memory)


def suits(wanted: Resources, room: Resources, driver: Resources) -> bool:
    """Tell whether an empty pod has as much as the pod that would be made for a step."""
    least = msgspec.structs.replace(wanted, memory=wanted.memory or driver.memory)
    return kind_of(wanted) == kind_of(room) and least.cpu <= room.cpu + 1e-9 and least.memory <= room.memory


def fits(charge: Resources, taken: Iterable[Resources], room: Resources) -> bool:
    """Tell whether a pod has room for a step beside others."""
    others = list(taken)
    if _is_sole(charge) and others:
        return False
    cpu, memory = sum(one.cpu for one in others), sum(one.memory for one in others)
    return charge.cpu + cpu <= room.cpu + 1e-9 and charge.memory + memory <= room.memory


def slots(wanted: Resources, room: Resources, driver: Resources) -> int:
    """Return how many steps of a size a pod has room for at once."""
    return 1 if _is_sole(wanted) else max(1, _times(share_of(wanted, driver), room))


def _is_sole(wanted: Resources) -> bool:
    """Tell whether a step shares its pod with no other at the same time: its GPUs and the bound of its disk are the pod's."""
    return bool(wanted.gpu or wanted.disk)


def _times(charge: Resources, room: Resources) -> int:
    by_cpu = math.floor(room.cpu / charge.cpu + 1e-9) if charge.cpu > 0 else HANDFUL
    by_memory = room.memory // charge.memory if charge.memory else HANDFUL
    return min(by_cpu, by_memory)


class Pace:
    """The measured durations of attempts, by kind, and the time that a pod takes to start."""

    def __init__(self) -> None:
        self.start = _FIRST_START_SECONDS
        self._means: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._running: dict[str, dict[int, float]] = {}

    def began(self, kind: str, key: int, now: float) -> None:
        """Note that an attempt begins. `key` tells it from the others that run."""
        self._running.setdefault(kind, {})[key] = now

    def ended(self, kind: str, key: int, now: float) -> None:
        """Note that an attempt is over. One that never began counts for nothing."""
        began = self._running.get(kind, {}).pop(key, None)
        if began is not None:
            self._ended[kind] = now
            self._means[kind] = _mixed(self._means.get(kind), now - began)

    def started(self, seconds: float) -> None:
        """Note how long a pod took to start."""
        self.start = _mixed(self.start, seconds)

    def is_starting(self, seconds: float) -> None:
        """Note that a pod has been starting for some seconds, and still is."""
        self.start = max(self.start, seconds)

    def is_known(self, kind: str) -> bool:
        """Tell whether an attempt of a kind has ended."""
        return kind in self._means

    def seconds(self, kind: str, now: float) -> float:
        """Return how long an attempt of a kind may take. All that run now may be much longer than those that have ended."""
        begun = self._running.get(kind)
        youngest = now - max(begun.values()) if begun else 0.0
        return max(self._means.get(kind, 0.0), youngest)

    def is_worth_a_pod(self, kind: str, waiting: int, places: int, now: float) -> bool:
        """Tell whether the waiting attempts of a kind would keep the present places busy for longer than a pod takes to start."""
        seconds = self.seconds(kind, now)
        if not self.is_known(kind):
            # Nobody knows how much longer those take that run.
            return seconds > self.start
        return seconds * waiting / max(places, 1) > self.start * _WORTH

    def is_stuck(self, kind: str, waited: float, now: float) -> bool:
        """Tell whether an attempt waits in vain: none of its kind has ended for longer than a pod takes to start."""
        return min(waited, now - self._ended.get(kind, 0.0)) > self.start * _WORTH


def _mixed(mean: float | None, last: float) -> float:
    return last if mean is None else mean + _SHARE_OF_LAST * (last - mean)

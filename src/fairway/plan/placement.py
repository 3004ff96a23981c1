"""Where a step runs: at the first of its places that can be reached and has room.

A pool is what several places have together. How much that is, is observed and may change while a run goes on; a pool
without a bound is one whose places come into being when they are asked for, such as a pod of its own for each attempt.
"""

from collections.abc import Callable, Mapping, Sequence

from fairway.plan.step import StepState
from fairway.spec.places import Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources

_TINY = 1e-9
_LIGHT_AT_ONCE = 256
"""Steps without a CPU are processes all the same: so many may run at once where there is a bound at all."""


def is_light(wanted: Resources) -> bool:
    """Tell whether a step needs no CPU."""
    return wanted.cpu <= _TINY


class Pool:
    """What the steps of this run use of a pool, and what others were seen to leave no room for."""

    __slots__ = ("_cpu", "_gpu", "_light", "_memory", "_refused", "_running", "bound", "first_refused")

    def __init__(self, bound: Resources | None) -> None:
        self.bound = bound
        self._cpu, self._memory, self._gpu = 0.0, 0, 0
        self._running = 0
        self._light = 0
        self._refused: list[Resources] = []
        self.first_refused: StepState | None = None

    def open(self, *, light: bool) -> bool:
        """Tell whether any step could begin: looking at each waiting one costs time."""
        if self.bound is None:
            return True
        return self._light < _LIGHT_AT_ONCE if light else self.bound.cpu - self._cpu > _TINY

    def fits(self, wanted: Resources) -> bool:
        """Tell whether a step may begin: there is room, and nothing that asks for as little was refused."""
        bound = self.bound
        if bound is not None and (
            wanted.cpu > bound.cpu - self._cpu + _TINY
            or wanted.memory > bound.memory - self._memory
            or wanted.gpu > bound.gpu - self._gpu
        ):
            return False
        return not any(refused.fits(wanted) for refused in self._refused)

    def take(self, wanted: Resources) -> None:
        """Count what a step uses from here on; an adopted one may use more than there is."""
        self._cpu += wanted.cpu
        self._memory += wanted.memory
        self._gpu += wanted.gpu
        self._running += 1
        self._light += is_light(wanted)

    def free(self, wanted: Resources) -> None:
        """A step uses nothing any more."""
        self._running -= 1
        self._light -= is_light(wanted)
        # Sums of fractions drift: with nothing running, nothing is used.
        self._cpu = self._cpu - wanted.cpu if self._running else 0.0
        self._memory -= wanted.memory
        self._gpu -= wanted.gpu

    def refuse(self, step: StepState) -> None:
        """Others leave no room for a step: begin nothing that needs as much before `ask_again`."""
        self._refused.append(step.resources)
        if self.first_refused is None or step.turn < self.first_refused.turn:
            self.first_refused = step

    def ask_again(self) -> None:
        """There may be room now for what was refused."""
        if self._refused:
            self._refused.clear()
            self.first_refused = None


class Placement:
    """Places and their pools.

    Args:
        offer: the places for an environment, the best one first; always the same ones for the same environment.
        capacity: what may be in use at once, by pool; a pool that is not named has no bound.
    """

    def __init__(
        self, offer: Callable[[EnvironmentSpec | None], Sequence[Place]], capacity: Mapping[str, Resources]
    ) -> None:
        self._offer = offer
        self._capacity = dict(capacity)
        self._offered: dict[EnvironmentSpec | None, tuple[Place, ...]] = {}
        self._by_name: dict[str, Place] = {}
        self._unreachable: set[str] = set()
        self.pools: dict[str, Pool] = {}

    def places(self, environment: EnvironmentSpec | None) -> tuple[Place, ...]:
        """The places for an environment, the best one first."""
        known = self._offered.get(environment)
        if known is None:
            known = self._offered[environment] = tuple(self._offer(environment))
            for place in known:
                self._by_name[place.name] = place
                if place.pool not in self.pools:
                    self.pools[place.pool] = Pool(self._capacity.get(place.pool))
        return known

    def place(self, name: str) -> Place | None:
        """The place of that name; None when it was not offered to any environment asked about so far."""
        return self._by_name.get(name)

    def lacking(self, wanted: Resources, places: Sequence[Place]) -> Resources | None:
        """What the last place has where `wanted` fits into none of them, even if nothing else runs; None where it fits."""
        bound: Resources | None = None
        for place in places:
            bound = self.pools[place.pool].bound
            if bound is None or wanted.fits(bound):
                return None
        return bound

    def choose(self, step: StepState) -> Place | None:
        """The first place of a step that can be reached and has room now."""
        for place in step.places:
            if self.pools[place.pool].fits(step.resources) and place.name not in self._unreachable:
                return place
        return None

    def unreachable(self, place: str) -> None:
        """The host of a place cannot be reached: begin nothing there."""
        self._unreachable.add(place)

    def reachable(self, place: str) -> None:
        """The host of a place can be reached again, or another one takes its place."""
        self._unreachable.discard(place)

    def changed(self, pool: str, bound: Resources | None) -> None:
        """A pool has another capacity now. What runs goes on, even if that is more than there is."""
        if bound is None:
            self._capacity.pop(pool, None)
        else:
            self._capacity[pool] = bound
        if pool in self.pools:
            self.pools[pool].bound = bound

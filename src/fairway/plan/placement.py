"""The placement of steps: a step runs at the first of its places that can be reached and has room.

A pool is the resources that several places share. Its size is observed and may change while a run goes on. A pool
without a bound has places that are made on request, such as a pod of its own for each attempt.
"""

from collections.abc import Callable, Mapping, Sequence

from fairway.plan.step import StepState
from fairway.spec.places import Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources

_TINY = 1e-9
_LIGHT_AT_ONCE = 256
"""The most steps without a CPU that may run at once in a pool with a bound. They are processes all the same."""


def is_light(wanted: Resources) -> bool:
    """Tell whether a step needs no CPU."""
    return wanted.cpu <= _TINY


class Pool:
    """The resources of a pool that the steps of this run use, and the requests that other runs left no room for."""

    __slots__ = ("_cpu", "_gpu", "_light", "_memory", "_refused", "_running", "bound", "first_refused")

    def __init__(self, bound: Resources | None) -> None:
        self.bound = bound
        self._cpu, self._memory, self._gpu = 0.0, 0, 0
        self._running = 0
        self._light = 0
        self._refused: list[Resources] = []
        self.first_refused: StepState | None = None

    def open(self, *, light: bool) -> bool:
        """Tell whether any step could begin. The answer saves a look at each waiting step."""
        if self.bound is None:
            return True
        return self._light < _LIGHT_AT_ONCE if light else self.bound.cpu - self._cpu > _TINY

    def fits(self, wanted: Resources) -> bool:
        """Tell whether a step may begin. There must be room, and no request as small may have been refused."""
        bound = self.bound
        if bound is not None and (
            wanted.cpu > bound.cpu - self._cpu + _TINY
            or wanted.memory > bound.memory - self._memory
            or wanted.gpu > bound.gpu - self._gpu
            or not wanted.suits(bound)
        ):
            return False
        return not any(refused.fits(wanted) for refused in self._refused)

    def take(self, wanted: Resources) -> None:
        """Count the resources that a step uses from here on. An adopted step may use more than there is."""
        self._cpu += wanted.cpu
        self._memory += wanted.memory
        self._gpu += wanted.gpu
        self._running += 1
        self._light += is_light(wanted)

    def free(self, wanted: Resources) -> None:
        """Count the resources of a step as free again."""
        self._running -= 1
        self._light -= is_light(wanted)
        # Sums of fractions drift. When nothing runs, nothing is used, so start at zero again.
        self._cpu = self._cpu - wanted.cpu if self._running else 0.0
        self._memory -= wanted.memory
        self._gpu -= wanted.gpu

    def refuse(self, step: StepState) -> None:
        """Note that other runs leave no room for a step. Begin nothing that needs as much before `ask_again`."""
        self._refused.append(step.resources)
        if self.first_refused is None or step.turn < self.first_refused.turn:
            self.first_refused = step

    def ask_again(self) -> None:
        """Forget the refused requests, because there may be room for them now."""
        if self._refused:
            self._refused.clear()
            self.first_refused = None


class Placement:
    """The places of a run and their pools.

    Args:
        offer: returns the places for an environment, the best one first. They never change for an environment.
        capacity: the resources that may be in use at once, by pool. A pool that is not named has no bound.
    """

    def __init__(
        self, offer: Callable[[EnvironmentSpec | None], Sequence[Place]], capacity: Mapping[str, Resources]
    ) -> None:
        self._offer = offer
        self._capacity = dict(capacity)
        self._largest: dict[str, Resources | None] = dict(capacity)
        """The most of each resource that a pool has ever had. A pool that shrank may grow again."""
        self._offered: dict[EnvironmentSpec | None, tuple[Place, ...]] = {}
        self._by_name: dict[str, Place] = {}
        self._unreachable: set[str] = set()
        self.pools: dict[str, Pool] = {}

    def places(self, environment: EnvironmentSpec | None) -> tuple[Place, ...]:
        """Return the places for an environment, the best one first."""
        known = self._offered.get(environment)
        if known is None:
            known = self._offered[environment] = tuple(self._offer(environment))
            for place in known:
                self._by_name[place.name] = place
                if place.pool not in self.pools:
                    self.pools[place.pool] = Pool(self._capacity.get(place.pool))
        return known

    def place(self, name: str) -> Place | None:
        """Return the place with a name. Return None when it was not offered to any environment so far."""
        return self._by_name.get(name)

    def lacking(self, wanted: Resources, places: Sequence[Place]) -> Resources | None:
        """Return what the last place had at most if `wanted` has never fitted into any, even an empty one; else None."""
        bound: Resources | None = None
        for place in places:
            bound = self._largest.get(place.pool)
            if bound is None or wanted.fits(bound):
                return None
        return bound

    def choose(self, step: StepState) -> Place | None:
        """Return the first place of a step that can be reached and has room now."""
        for place in step.places:
            if self.pools[place.pool].fits(step.resources) and place.name not in self._unreachable:
                return place
        return None

    def unreachable(self, place: str) -> None:
        """Note that the host of a place cannot be reached. Begin nothing there."""
        self._unreachable.add(place)

    def reachable(self, place: str) -> None:
        """Note that the host of a place can be reached again, or that another host replaces it."""
        self._unreachable.discard(place)

    def changed(self, pool: str, bound: Resources | None) -> None:
        """Change the capacity of a pool, or say that it may have room again. Running steps go on, whatever they use."""
        largest = self._largest.get(pool)
        self._largest[pool] = largest.joined(bound) if largest is not None and bound is not None else None
        if bound is None:
            self._capacity.pop(pool, None)
        else:
            self._capacity[pool] = bound
        if pool in self.pools:
            self.pools[pool].bound = bound
            self.pools[pool].ask_again()

"""The queue of ready steps. They begin in their order, as far as their places have room.

Two things limit a run: the resources of its places, which are known here, and the use by other runs, which is not. A
step that began where there was no room comes back by `no_room`. Nothing that needs as much begins there before
`ask_again`.
"""

from collections import deque

from fairway.plan.placement import Placement, Pool, is_light
from fairway.plan.step import StepState
from fairway.spec.places import Place

_OVERTAKEN = 64
"""The most steps that may overtake a step that does not fit yet."""


class _Line:
    """The ready steps that can use the same pools. Steps of different lines do not delay each other."""

    __slots__ = ("heavy", "light", "pools")

    def __init__(self, pools: tuple[Pool, ...]) -> None:
        self.pools = pools
        self.heavy: deque[StepState] = deque()
        self.light: deque[StepState] = deque()

    def of(self, step: StepState) -> deque[StepState]:
        return self.light if is_light(step.resources) else self.heavy

    def first(self) -> int:
        """Return the turn of the step that has waited longest."""
        return min(
            self.heavy[0].turn if self.heavy else 2**63,
            self.light[0].turn if self.light else 2**63,
        )


class Queue:
    """The ready steps, and the resources that the running ones use."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._lines: dict[tuple[str, ...], _Line] = {}
        self._line_of: dict[str, _Line] = {}
        self._count = 0

    def add(self, step: StepState) -> None:
        """Put a step behind all ready steps."""
        self._count += 1
        step.turn = self._count
        self._line(step).of(step).append(step)

    def begin(self) -> list[StepState]:
        """Take the steps that begin now out of the queue, each `at` its place, and count their resources."""
        begun: list[StepState] = []
        lines = list(self._lines.values())
        if len(lines) > 1:
            # Lines may share pools. The line whose step has waited longest gets the room.
            lines.sort(key=_Line.first)
        for line in lines:
            if line.heavy:
                self._scan(line, line.heavy, begun)
            if line.light:
                self._scan(line, line.light, begun)
        return begun

    def adopt(self, step: StepState, place: Place) -> None:
        """Count a step that runs already."""
        self._pool(place).take(step.resources)
        step.running, step.at = True, place

    def give_back(self, step: StepState) -> None:
        """Free the resources of a step that began."""
        self._free(step).ask_again()

    def no_room(self, step: StepState) -> None:
        """Put a step that began back into its place in the queue, because other runs leave no room for it."""
        self._free(step).refuse(step)
        queue = self._line(step).of(step)
        before = 0
        # A step goes back to the front, where few steps have a smaller turn, so a plain search is quick.
        while before < len(queue) and queue[before].turn < step.turn:
            before += 1
        queue.insert(before, step)

    def ask_again(self) -> None:
        """Forget the refused steps of all pools, because there may be room for them now."""
        for pool in self._placement.pools.values():
            pool.ask_again()

    @property
    def waiting(self) -> StepState | None:
        """The first step that other runs leave no room for. None when there is none."""
        first: StepState | None = None
        for pool in self._placement.pools.values():
            step = pool.first_refused
            if step is not None and not step.phase.ended and (first is None or step.turn < first.turn):
                first = step
        return first

    def beside(self, step: StepState) -> int:
        """Return how many steps wait for the same places as a step, that step included."""
        line = self._line(step)
        return len(line.heavy) + len(line.light)

    def _line(self, step: StepState) -> _Line:
        # A place belongs to one environment, so the first place identifies all of them. Its name is a quicker key.
        line = self._line_of.get(step.places[0].name)
        if line is None:
            names = tuple(dict.fromkeys(place.pool for place in step.places))
            if names not in self._lines:
                self._lines[names] = _Line(tuple(self._placement.pools[name] for name in names))
            line = self._line_of[step.places[0].name] = self._lines[names]
        return line

    def _scan(self, line: _Line, queue: deque[StepState], begun: list[StepState]) -> None:
        """Begin steps in the order in which they became ready. For a while, pass over those that do not fit."""
        light = queue is line.light
        passed: list[StepState] = []
        while queue and any(pool.open(light=light) for pool in line.pools):
            step = queue[0]
            if passed and step.turn - passed[0].turn > _OVERTAKEN:
                break
            queue.popleft()
            if step.phase.ended:
                continue
            place = self._placement.choose(step)
            if place is None:
                passed.append(step)
                continue
            self.adopt(step, place)
            begun.append(step)
        queue.extendleft(reversed(passed))

    def _pool(self, place: Place) -> Pool:
        return self._placement.pools[place.pool]

    def _free(self, step: StepState) -> Pool:
        assert step.at is not None
        pool = self._pool(step.at)
        pool.free(step.resources)
        step.running, step.at = False, None
        return pool

"""The steps of a run that are ready, and which of them begin: in their order, as far as their places have room.

Two things limit a run: what its places have, which is known here, and what other runs use of that, which is not. The
second is learned by asking: a step that was begun where there was no room comes back by `no_room`, and nothing that
needs as much is begun there before `ask_again`.
"""

from collections import deque

from fairway.plan.placement import Placement, Pool, is_light
from fairway.plan.step import StepState
from fairway.spec.places import Place

_OVERTAKEN = 64
"""A step that does not fit yet may be overtaken by the steps asked for after it, but only by so many."""


class _Line:
    """Ready steps that can use the same pools: only they stand in each other's way."""

    __slots__ = ("heavy", "light", "pools")

    def __init__(self, pools: tuple[Pool, ...]) -> None:
        self.pools = pools
        self.heavy: deque[StepState] = deque()
        self.light: deque[StepState] = deque()

    def of(self, step: StepState) -> deque[StepState]:
        return self.light if is_light(step.resources) else self.heavy

    def first(self) -> int:
        """The turn of the step that has waited longest."""
        return min(
            self.heavy[0].turn if self.heavy else 2**63,
            self.light[0].turn if self.light else 2**63,
        )


class Queue:
    """Ready steps, and what the running ones use."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._lines: dict[tuple[str, ...], _Line] = {}
        self._line_of: dict[str, _Line] = {}
        self._count = 0

    def add(self, step: StepState) -> None:
        """Put a step behind all that are ready."""
        self._count += 1
        step.turn = self._count
        self._line(step).of(step).append(step)

    def begin(self) -> list[StepState]:
        """Take the steps out that begin now, each `at` its place, and count what they use."""
        begun: list[StepState] = []
        lines = list(self._lines.values())
        if len(lines) > 1:
            # Pools may be shared between lines: who has waited longest gets the room.
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
        """A step that began uses nothing any more."""
        self._free(step).ask_again()

    def no_room(self, step: StepState) -> None:
        """A step that began must wait, because others use its place: put it back where it was."""
        self._free(step).refuse(step)
        queue = self._line(step).of(step)
        before = 0
        # Several may come back after one decision, each of them to the front: its neighbours are few.
        while before < len(queue) and queue[before].turn < step.turn:
            before += 1
        queue.insert(before, step)

    def ask_again(self) -> None:
        """There may be room now for what was refused before."""
        for pool in self._placement.pools.values():
            pool.ask_again()

    @property
    def waiting(self) -> StepState | None:
        """The first step that others leave no room for; None when there is none."""
        first: StepState | None = None
        for pool in self._placement.pools.values():
            step = pool.first_refused
            if step is not None and not step.phase.ended and (first is None or step.turn < first.turn):
                first = step
        return first

    def _line(self, step: StepState) -> _Line:
        # A place is of one environment, so the first one stands for all: its name is quicker to look up than they are.
        line = self._line_of.get(step.places[0].name)
        if line is None:
            names = tuple(dict.fromkeys(place.pool for place in step.places))
            if names not in self._lines:
                self._lines[names] = _Line(tuple(self._placement.pools[name] for name in names))
            line = self._line_of[step.places[0].name] = self._lines[names]
        return line

    def _scan(self, line: _Line, queue: deque[StepState], begun: list[StepState]) -> None:
        """Begin steps in the order they became ready, passing over those that do not fit for a while."""
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

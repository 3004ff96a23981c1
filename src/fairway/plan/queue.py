"""The steps of a run that are ready, and which of them begin: in their order, as far as there is room.

Two things limit a run: what the place has at most, which is known here, and what other runs use of it, which is not.
The second is learned by asking: a step that was begun where there was no room comes back by `no_room`, and nothing
that needs as much is begun before `ask_again`.
"""

from collections import deque

from fairway.plan.step import StepState
from fairway.spec.quantities import Resources

_TINY = 1e-9
_OVERTAKEN = 64
"""A step that does not fit yet may be overtaken by the steps asked for after it, but only by so many."""

_LIGHT_AT_ONCE = 256
"""Steps without a CPU are processes all the same: so many may run at once."""


class Queue:
    """Ready steps, and what the running ones use.

    Args:
        capacity: what may be in use at once.
    """

    def __init__(self, capacity: Resources) -> None:
        self.capacity = capacity
        self._cpu, self._memory, self._gpu = capacity.cpu, capacity.memory, capacity.gpu
        self._ready: deque[StepState] = deque()
        self._light: deque[StepState] = deque()
        self._count = 0
        self._running = 0
        self._light_running = 0
        self._refused: list[Resources] = []
        self._first_refused: StepState | None = None

    def add(self, step: StepState) -> None:
        """Put a step behind all that are ready."""
        self._count += 1
        step.place = self._count
        self._of(step).append(step)

    def begin(self) -> list[StepState]:
        """Take the steps out that begin now, and count what they use."""
        begun: list[StepState] = []
        if self._ready and self._cpu > _TINY:
            self._scan(self._ready, begun)
        if self._light:
            self._scan(self._light, begun)
        return begun

    def give_back(self, step: StepState) -> None:
        """A step that began uses nothing any more."""
        self._free(step)
        self.ask_again()

    def no_room(self, step: StepState) -> None:
        """A step that began must wait, because others use the place: put it back where it was."""
        self._free(step)
        self._refused.append(step.resources)
        if self._first_refused is None or step.place < self._first_refused.place:
            self._first_refused = step
        queue = self._of(step)
        before = 0
        # Several may come back after one decision, each of them to the front: its neighbours are few.
        while before < len(queue) and queue[before].place < step.place:
            before += 1
        queue.insert(before, step)

    def ask_again(self) -> None:
        """There may be room now for what was refused before."""
        if self._refused:
            self._refused.clear()
            self._first_refused = None

    @property
    def waiting(self) -> StepState | None:
        """The first step that others leave no room for; None when there is none."""
        step = self._first_refused
        return step if step is not None and not step.phase.ended else None

    def _of(self, step: StepState) -> deque[StepState]:
        return self._light if step.resources.cpu <= _TINY else self._ready

    def _scan(self, queue: deque[StepState], begun: list[StepState]) -> None:
        """Begin steps in the order they became ready, passing over those that do not fit for a while."""
        light = queue is self._light
        passed: list[StepState] = []
        while queue and (self._light_running < _LIGHT_AT_ONCE if light else self._cpu > _TINY):
            step = queue[0]
            if passed and step.place - passed[0].place > _OVERTAKEN:
                break
            queue.popleft()
            if step.phase.ended:
                continue
            wanted = step.resources
            if not self._fits(wanted):
                passed.append(step)
                continue
            self._cpu -= wanted.cpu
            self._memory -= wanted.memory
            self._gpu -= wanted.gpu
            self._running += 1
            self._light_running += light
            step.running = True
            begun.append(step)
        queue.extendleft(reversed(passed))

    def _fits(self, wanted: Resources) -> bool:
        if wanted.cpu > self._cpu + _TINY or wanted.memory > self._memory or wanted.gpu > self._gpu:
            return False
        return not any(refused.fits(wanted) for refused in self._refused)

    def _free(self, step: StepState) -> None:
        taken = step.resources
        step.running = False
        self._running -= 1
        self._light_running -= taken.cpu <= _TINY
        # Sums of fractions drift: with nothing running, all of it is free.
        self._cpu = self._cpu + taken.cpu if self._running else self.capacity.cpu
        self._memory += taken.memory
        self._gpu += taken.gpu

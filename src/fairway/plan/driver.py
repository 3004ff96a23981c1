"""The state of the pipeline's function: its attempts, the failures that it was sent, its return, and the run's end."""

import msgspec

from fairway.plan import calls, failures
from fairway.plan.step import StepState
from fairway.spec.run import Failure, Phase

_MOST_DEATHS = 3
"""Number of deaths after which a pipeline is not started again: it is likely to kill itself."""


class Conclude(msgspec.Struct, frozen=True):
    """The decision that the run is over."""

    phase: Phase
    failure: Failure | None = None


class Driver:
    """The state of the process that runs the pipeline's function."""

    def __init__(self) -> None:
        self.attempt = 0
        self.over = False
        self.failure: Failure | None = None
        self._deaths = 0
        self._handled: set[str] = set()

    def begin(self) -> int:
        """Count an attempt. Return its number."""
        self.attempt += 1
        return self.attempt

    def killed(self) -> bool:
        """Count a death that the pipeline did not cause. Return True when the pipeline starts again."""
        self._deaths += 1
        return self._deaths < _MOST_DEATHS

    def delivered(self, step: str) -> None:
        """Note that the pipeline was sent the failure of a step. From here on the pipeline is responsible for it."""
        self._handled.add(step)

    def returned(self, failure: Failure | None) -> None:
        """Note that the function is over. Keep its first failure."""
        self.over = True
        self.failure = self.failure or failure

    def conclusion(self, steps: dict[str, StepState], failed: list[str]) -> Conclude:
        """Return the end of a run that nobody cancelled. `failed` are its failed steps in the order of their ends."""
        if self.failure is not None:
            root = steps.get(self.failure.cause)
            if root is not None and root.failure is not None:
                return Conclude(Phase.FAILED, msgspec.structs.replace(root.failure, cause=root.name))
            return Conclude(Phase.FAILED, self.failure)
        # A pipeline that handled the failure of a step has also handled the failures that caused it.
        handled = _with_sources(self._handled, steps)
        for name in failed:
            if name not in handled:
                failure = steps[name].failure or failures.UNKNOWN
                return Conclude(Phase.FAILED, msgspec.structs.replace(failure, cause=name))
        return Conclude(Phase.SUCCEEDED)


def _with_sources(names: set[str], steps: dict[str, StepState]) -> set[str]:
    """Return the names of steps and of all steps that they depend on, directly or not."""
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in found and name in steps:
            found.add(name)
            queue += calls.sources(steps[name].spec)
    return found

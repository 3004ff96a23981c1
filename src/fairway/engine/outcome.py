"""The common part of a run and of a step of it, for a script or notebook: name, phase and success."""

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from fairway.ports.platform import Platform
from fairway.spec.artifact import Node
from fairway.spec.run import Phase, RunStatus, StepStatus

S = TypeVar("S", RunStatus, StepStatus)
T = TypeVar("T")

Load = Callable[[Node], object]
Ask = Callable[[Callable[[Platform], Coroutine[Any, Any, T]]], T]
"""A function that asks the platform of a run."""


class Outcome(Generic[S]):
    """A run, or a step of a run.

    Args:
        status: the run or step as the log has it.
        load: loads the value of a node, which may run code of this project.
        ask: asks the platform of the run; None without one, and then there is no log.
    """

    def __init__(self, status: S, load: Load, ask: "Ask[Any] | None") -> None:
        self.status = status
        self._load = load
        self._ask = ask

    @property
    def name(self) -> str:
        """Name of the run, as in `fairway show NAME`, or of the step, such as "train-2"."""
        return self.status.spec.name

    @property
    def phase(self) -> Phase:
        """Phase of the run or step."""
        return self.status.phase

    @property
    def ok(self) -> bool:
        """True if it succeeded."""
        return self.status.phase is Phase.SUCCEEDED

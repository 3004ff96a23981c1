"""The run that the current process belongs to, if any.

A process that runs a pipeline or a step enters a session here. Without a session, decorated functions are plain
functions. This module defines the shape of a session and does not know the engine.
"""

from typing import Protocol, runtime_checkable

from fairway.spec.artifact import RefData
from fairway.spec.model import ModelVersion
from fairway.spec.run import MetricPoint, StepSpec
from fairway.spec.trials import TrialAsked
from fairway.spec.wire import Happened


class Session(Protocol):
    """The services that a run offers to the code inside it."""

    pipeline: bool
    """True in the body of a pipeline, where the call of a task starts a step. False inside a step."""

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        """Start a step. `spec` lacks the name and the inputs, and the session adds them."""
        ...

    def wait(self, ref: RefData) -> object:
        """Wait for a step to end and return the value of its output. Raises StepFailed."""
        ...

    def model(self, reference: str) -> tuple[ModelVersion, object]:
        """Return a registered version, and a function that loads its model."""
        ...

    def log(self, points: tuple[MetricPoint, ...]) -> None:
        """Keep metric values."""
        ...

    def show(self, title: str, value: object) -> None:
        """Keep a picture or table."""
        ...


@runtime_checkable
class PipelineSession(Session, Protocol):
    """The services of a run for a pipeline's function, which can follow and give up the steps that it started."""

    def cancel(self, steps: tuple[str, ...], why: str) -> None:
        """End steps whose results are not needed any more."""
        ...

    def search(self, name: str) -> tuple[str, tuple[TrialAsked, ...]]:
        """Begin a search. Return its name in the run, and the trials that an earlier try at the run asked for."""
        ...

    def ask(self, trial: TrialAsked) -> None:
        """Put a trial on record, before its steps are started."""
        ...

    def watch(self, steps: tuple[str, ...]) -> tuple[Happened, ...]:
        """Follow further steps, and wait for news of the steps that are followed."""
        ...


class _Current:
    """The session and the store of this process."""

    __slots__ = ("session", "store")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.store = ""


_current = _Current()


def current() -> Session | None:
    """Return the session of this process, or None outside a run."""
    return _current.session


def enter(session: Session | None) -> Session | None:
    """Make `session` the current one, and return the one before."""
    before, _current.session = _current.session, session
    return before


def settle(store: str) -> None:
    """Set the store of this process, for code that looks something up in it outside a run."""
    _current.store = store


def store() -> str:
    """Return the directory of the store that this process was started for, or an empty text when none was set."""
    return _current.store


def is_ref(value: object) -> bool:
    """Tell whether a value is a `Ref`, without waiting for it."""
    return getattr(type(value), "__fairway_ref__", False) is True

"""Which run the current process belongs to, if any.

A session is put here by the process that runs a pipeline or a step; without one, decorated functions are
plain functions. This module knows the shape of a session and nothing of engines.
"""

from typing import Protocol

from fairway.spec.artifact import RefData
from fairway.spec.model import ModelVersion
from fairway.spec.run import MetricPoint, StepSpec


class Session(Protocol):
    """What a run offers to the code inside it."""

    pipeline: bool
    """True in a pipeline's body, where calling a task starts a step; False inside a step."""

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        """Start a step. `spec` lacks its name and inputs, which the session adds."""
        ...

    def wait(self, ref: RefData) -> object:
        """The value of a step's output, once it ended. Raises StepFailed."""
        ...

    def model(self, reference: str) -> tuple[ModelVersion, object]:
        """A registered version and, on use, its loaded model."""
        ...

    def log(self, points: tuple[MetricPoint, ...]) -> None:
        """Keep metric values."""
        ...

    def show(self, title: str, value: object) -> None:
        """Keep a picture or table."""
        ...


class _Current:
    __slots__ = ("session", "store")

    def __init__(self) -> None:
        self.session: Session | None = None
        self.store = ""


_current = _Current()


def current() -> Session | None:
    """The session of this process; None outside a run."""
    return _current.session


def enter(session: Session | None) -> Session | None:
    """Make `session` the current one; returns the one before."""
    before, _current.session = _current.session, session
    return before


def settle(store: str) -> None:
    """Say which store this process belongs to, for what is looked up in it outside a run."""
    _current.store = store


def store() -> str:
    """The directory of the store that this process was started for; empty where nobody said so."""
    return _current.store


def is_ref(value: object) -> bool:
    """Whether a value is a `Ref`, told without waiting for it."""
    return getattr(type(value), "__fairway_ref__", False) is True

"""Places where attempts run, and the observations of an executor about the hosts there.

A place is chosen before anything runs there. The executor then makes a host for it. This module must not know
processes, pods or connections.
"""

import msgspec

from fairway.spec.errors import FairwayError
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Grant
from fairway.spec.run import Failure


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place where attempts of some steps may run.

    Attributes:
        name: the name. It is unique among the places of a run, and the same in every engine that resumes the run.
        environment: the environment that is installed there. None is the project's own.
        pool: the name of the pool. Places of the same pool share its resources.
        alone: True when each attempt gets a host of its own there, such as a pod. Otherwise one host runs all of them.
        outlives: True when hosts there, with their attempts, go on without the engine.
        reserved: True when only steps run there that ask to be isolated.
    """

    name: str
    environment: EnvironmentSpec | None = None
    pool: str = ""
    alone: bool = False
    outlives: bool = False
    reserved: bool = False


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that gets a host of its own."""

    step: str
    number: int
    grant: Grant


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """The observation that a host does not exist any more, or cannot be reached.

    Attributes:
        certain: True when the host is known to run nothing any more. Otherwise its attempts may still run. They are
            kept, and nothing new begins there, until the host is `Back` or certainly gone.
        failure: the failure of attempts that left no record. A reason that `is_loss` costs no retry.
    """

    failure: Failure
    certain: bool = True


class Back(msgspec.Struct, frozen=True):
    """The observation that a host can be reached again. The messages that it sent meanwhile follow."""


class CannotPlace(FairwayError):
    """The error for a host that a place cannot have, now and later. `failure` says why, for the attempt that needs it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, hint=failure.hint, details=failure.details)
        self.failure = failure

    def __reduce__(self) -> tuple[object, ...]:
        return (CannotPlace, (self.failure,))

"""Places where attempts run, and what an executor sees of the hosts there.

A place is decided on before anything runs there; its host is what the executor makes of it. Nothing here knows a
process, a pod or a connection.
"""

import msgspec

from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Grant
from fairway.spec.run import Failure


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place where attempts of some steps may run.

    Attributes:
        name: unique among the places of a run, and the same in every engine that takes the run up.
        environment: what is installed there; None is the project's own.
        pool: places of the same pool share what they have.
        alone: whether each attempt gets a host of its own there, such as a pod; otherwise one host runs all of them.
        outlives: whether hosts there, and what they run, go on without the engine.
    """

    name: str
    environment: EnvironmentSpec | None = None
    pool: str = ""
    alone: bool = False
    outlives: bool = False


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt for which a host is made where attempts are alone."""

    step: str
    number: int
    grant: Grant


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """A host is not there any more, or cannot be reached.

    Attributes:
        certain: whether it is known to run nothing any more. Otherwise its attempts may still run: they are kept, and
            nothing new begins there, until it is `Back` or certainly gone.
        failure: what that means for attempts that left no record. `Reason.HOST` costs no retry, others do.
    """

    failure: Failure
    certain: bool = True


class Back(msgspec.Struct, frozen=True):
    """A host that could not be reached can be reached again; what it said meanwhile follows."""

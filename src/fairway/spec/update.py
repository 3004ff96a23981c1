"""The updates that a person or a page gets while it follows a run, each with its position in the stream.

Updates cross the borders of processes and machines as JSON. This module must not know where an update was read, or how
it is shown.
"""

import msgspec

from fairway.spec.event import Event, RunEnded
from fairway.spec.run import StepSpec


class Recorded(msgspec.Struct, frozen=True, tag="event"):
    """The news that a fact of the run was recorded."""

    event: Event


class Recalled(msgspec.Struct, frozen=True, tag="recalled"):
    """The news that the pipeline repeated a call that is on record from an earlier try at the run."""

    spec: StepSpec


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """The news that a step needs no work, because its result is on record from an earlier try at the run."""

    step: str


class Printed(msgspec.Struct, frozen=True, tag="output"):
    """The news that an attempt printed something. A line may arrive in pieces."""

    step: str
    attempt: int
    data: bytes


class Waits(msgspec.Struct, frozen=True, tag="waits"):
    """The news that a step waits until other runs leave room for it. With empty texts no step waits any more.

    Attributes:
        whom: the runs that leave no room, such as "run k7m2, which uses 2 of 2 cores".
    """

    step: str
    whom: str


class Noted(msgspec.Struct, frozen=True, tag="note"):
    """The news of an event outside all steps that deserves a line."""

    text: str


NOTES = "/notes"
"""The name, which no step can have, of the log that keeps the lines about a run as a whole for followers elsewhere."""


class Over(msgspec.Struct, frozen=True, tag="over"):
    """The news that the stream is over.

    Attributes:
        ended: the end of the run. None when its engine is gone without an end, so that the run can be resumed.
        models: the names of the models that the run has registered.
    """

    ended: RunEnded | None = None
    models: tuple[str, ...] = ()


News = Recorded | Recalled | Kept | Printed | Waits | Noted | Over


class Update(msgspec.Struct, frozen=True):
    """A piece of news about a run, with its position.

    Attributes:
        position: the position in the stream. A stream that is followed from there gives only the later updates.
    """

    news: News
    position: str


class Foreseen(msgspec.Struct, frozen=True):
    """A step that a run would have. `will` is "run", "cached" or "may run", and `why` is the reason."""

    step: str
    will: str
    why: str


class Cancelled(msgspec.Struct, frozen=True):
    """The answer to a cancellation. `stopping` is True when an engine worked on the run and is stopping it now."""

    run: str
    stopping: bool


class Submitted(msgspec.Struct, frozen=True):
    """The name of a run that is on record."""

    run: str

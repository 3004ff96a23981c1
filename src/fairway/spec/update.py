"""The updates that a person or a page gets while it follows a run, each with its position in the stream.

They cross process and machine borders as JSON. Nothing here may know where an update was read, or how it is shown.
"""

import msgspec

from fairway.spec.event import Event, RunEnded
from fairway.spec.run import StepSpec


class Recorded(msgspec.Struct, frozen=True, tag="event"):
    """A fact of the run was recorded."""

    event: Event


class Recalled(msgspec.Struct, frozen=True, tag="recalled"):
    """The pipeline called a step again whose call is on record from an earlier try at the run."""

    spec: StepSpec


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """A step is done: its result is on record from an earlier try at the run."""

    step: str


class Printed(msgspec.Struct, frozen=True, tag="output"):
    """An attempt printed something; a line may arrive in pieces."""

    step: str
    attempt: int
    data: bytes


class Waits(msgspec.Struct, frozen=True, tag="waits"):
    """A step waits until other runs leave room for it; empty texts say that none waits any more.

    Attributes:
        whom: the runs that leave no room, such as "run k7m2, which uses 2 of 2 cores".
    """

    step: str
    whom: str


class Noted(msgspec.Struct, frozen=True, tag="note"):
    """Something worth a line happened outside any step."""

    text: str


class Over(msgspec.Struct, frozen=True, tag="over"):
    """Nothing more will come.

    Attributes:
        ended: how the run ended; None when its engine is gone without an end, so that the run can be resumed.
        models: names of the models that the run has registered.
    """

    ended: RunEnded | None = None
    models: tuple[str, ...] = ()


News = Recorded | Recalled | Kept | Printed | Waits | Noted | Over


class Update(msgspec.Struct, frozen=True):
    """One thing that happened in a run.

    Attributes:
        position: where it stands in the stream; following again from there gives what comes behind it, and only that.
    """

    news: News
    position: str


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a step printed; `time` is in seconds since the epoch."""

    step: str
    attempt: int
    time: float
    text: str


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts of a run have output, as step and number in order of their first; more may come while it is `alive`."""

    attempts: list[tuple[str, int]]
    alive: bool


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Complete lines of one attempt's output, and the offset behind them; there may be more while the offset moves."""

    lines: list[LogLine]
    offset: int


class Foreseen(msgspec.Struct, frozen=True):
    """A step that a run would have: whether it would run ("run", "cached" or "may run"), and why."""

    step: str
    will: str
    why: str


class Cancelled(msgspec.Struct, frozen=True):
    """The answer to a cancellation: whether an engine was at work on the run and is stopping now."""

    run: str
    stopping: bool


class Submitted(msgspec.Struct, frozen=True):
    """The name of a run that is on record."""

    run: str

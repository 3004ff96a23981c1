"""The output of attempts as it is read: lines, pages of them, and the parts that a search finds.

A process of a step loads this to write its output, so it must not load what only readers of runs need.
"""

from typing import Annotated

import msgspec


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a step printed. `time` is in seconds since the epoch."""

    step: str
    attempt: int
    time: float
    text: str


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts of a run that have output, as step and number, in the order of their first output.

    More may come while the run is `alive`.
    """

    attempts: list[tuple[str, int]]
    alive: bool


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of an attempt's complete output lines, and the offset behind them. More may follow while the offset moves."""

    lines: list[LogLine]
    offset: int


MOST_LINES = 2000
"""The lines of one part of a log at most."""


class LogQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of an attempt's output that somebody wants to see.

    Attributes:
        at: a place in the log, in bytes. −1 is its end, and for a search that does not go back its beginning.
        lines: at most so many lines.
        back: True for the lines before the place, and for a search towards the beginning.
        find: a text that is searched for, in any case. The part lies around the line in which it stands.
        problems: True for a search for words such as "error" and "warning" instead.
    """

    step: str
    attempt: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 1
    at: Annotated[int, msgspec.Meta(ge=-1, lt=2**53)] = 0
    lines: Annotated[int, msgspec.Meta(ge=1, le=MOST_LINES)] = 200
    back: bool = False
    find: Annotated[str, msgspec.Meta(max_length=500)] = ""
    problems: bool = False


class LogPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an attempt's output.

    Attributes:
        lines: whole lines.
        places: the place of each line in the log, in bytes.
        start: the place where the part begins.
        end: the place behind it.
        size: the bytes of the whole log.
        number: the number of the first line, from 1; 0 if it was not counted.
        found: the place of the line that a search found; −1 without one.
        searched: the place up to which a search looked; −1 without a search.
    """

    step: str
    attempt: int
    lines: list[LogLine] = []
    places: list[int] = []
    start: int = 0
    end: int = 0
    size: int = 0
    number: int = 1
    found: int = -1
    searched: int = -1

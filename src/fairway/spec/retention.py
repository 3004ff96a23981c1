"""The retention of a project: how long runs are kept, as `[tool.fairway.keep]` says."""

import msgspec

DAY = 86_400.0


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that are kept.

    Attributes:
        seconds: runs that ended longer ago go. 0 keeps all.
        tagged: True keeps every run that somebody put a word on.
    """

    seconds: float = 0.0
    tagged: bool = True

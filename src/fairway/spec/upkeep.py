"""The upkeep of a store: what is asked for and answered when content is removed, and when the store is copied."""

from typing import Annotated

import msgspec

DATABASE = "fairway.db"
"""The path of the event log in a copy of a store."""

DAY = 24.0


class Cleaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The removal of content that nothing refers to.

    Attributes:
        hours: the hours for which removed content was not used.
        delete: really remove; without it, only count.
    """

    hours: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = DAY
    delete: bool = False


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """The content that was removed, or would be.

    Attributes:
        blobs: the number of blobs.
        size: their bytes.
        deleted: true if they are removed.
    """

    blobs: int
    size: int
    deleted: bool


class Part(msgspec.Struct, frozen=True):
    """A file of a store: its path inside a copy of the store, and its size in bytes."""

    path: str
    size: int


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A store at one moment: the log as it was then, and all that it refers to.

    Attributes:
        name: the name by which the parts are asked for, for an hour or longer.
        parts: the parts. The log is the first.
    """

    name: str
    parts: list[Part]


class Tried(msgspec.Struct, frozen=True):
    """A use of a store that was tried: its name, what was found, true if it is as it must be, and what mends it."""

    use: str
    found: str
    ok: bool = True
    hint: str = ""

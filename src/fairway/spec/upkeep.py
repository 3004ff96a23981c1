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


class Check(msgspec.Struct, frozen=True):
    """The result of a check. If it is not `ok`, `hint` says what to do."""

    check: str
    found: str
    ok: bool = True
    hint: str = ""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a store of one kind, such as "artifacts": the number of files and their bytes on the disk."""

    kind: str
    files: int
    size: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a platform and of the machine under it.

    Attributes:
        checks: what was checked.
        free: the free bytes on the disk of the store.
        memory: the bytes of memory that the platform process uses.
        servers_memory: the bytes of memory that model servers of this machine use.
        stored: the content of the store by kind. It is counted now and then, so it is empty at first.
        counted: the time of that count in seconds since the epoch; 0 before the first.
    """

    checks: list[Check] = []
    free: int = 0
    memory: int = 0
    servers_memory: int = 0
    stored: list[Stored] = []
    counted: float = 0.0

    @property
    def stored_whole(self) -> int:
        """The bytes of the whole store."""
        return sum(one.size for one in self.stored)

"""Errors of the disk: this module turns every OSError of a store into a StorageError for a person.

Knows errno values, and nothing about what is stored.
"""

import errno
import os
from types import TracebackType

from fairway.spec.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(StorageError):
    """The disk is full, or the quota of this user is used up. The store continues once there is space."""


class DiskFailed(StorageError):
    """The disk failed to read or to write, so this process cannot trust what it knows about the files.

    The process must write nothing more and end. A restart reads the real content.
    """


def disk_failed(doing: str, path: str | os.PathLike[str], reason: str) -> DiskFailed:
    """Return the error for a device that failed."""
    return DiskFailed(
        f"the disk failed while {doing} ({os.fspath(path)}: {reason})",
        hint="look at `dmesg` and the health of the disk, then run again; what was confirmed before is kept",
    )


def explain(error: OSError, doing: str, path: str | os.PathLike[str]) -> StorageError:
    """Return the error for a person. `doing` follows the word "while", such as "storing an artifact"."""
    where = os.fspath(path)
    code = error.errno
    if code in FULL:
        return DiskFull(
            f"disk full while {doing} ({where})",
            hint=f"free some space and try again; `df -h {where}` shows what is left",
        )
    if code == errno.EIO:
        return disk_failed(doing, path, error.strerror or "input/output error")
    if code == errno.EROFS:
        return StorageError(
            f"{where} is on a read-only file system, met while {doing}",
            hint="set `FAIRWAY_HOME` to a directory that can be written",
        )
    if code in (errno.EACCES, errno.EPERM):
        return StorageError(
            f"no permission for {where}, met while {doing}",
            hint=f"see who owns it with `ls -ld {where}`, or set `FAIRWAY_HOME` to a directory of your own",
        )
    if code == errno.EFBIG:
        return StorageError(
            f"a file became larger than this process may write, while {doing} ({where})",
            hint="raise the limit that `ulimit -f` shows",
        )
    if code in (errno.EMFILE, errno.ENFILE):
        return StorageError(
            f"too many open files while {doing}", hint="raise the limit that `ulimit -n` shows"
        )
    return StorageError(
        f"failed while {doing} ({where}: {error.strerror or error})", hint="check it with `fairway doctor`"
    )


class Explaining:
    """A block that turns an OSError into a StorageError: `with Explaining("storing an artifact", path):`."""

    __slots__ = ("_doing", "_path")

    def __init__(self, doing: str, path: str | os.PathLike[str]) -> None:
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise explain(error, self._doing, self._path) from error

"""What a failing disk means to a person: every OSError of a store becomes one clear StorageError here.

Knows errno values and nothing about what is stored.
"""

import errno
import os
from types import TracebackType

from fairway.spec.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(StorageError):
    """There is no space left, or no more of it for this user; the store goes on once there is."""


class DiskFailed(StorageError):
    """The disk failed to read or to write through; what this process believes about it may be wrong.

    A process that meets this must write nothing further and end; a restart reads what is really there.
    """


def disk_failed(doing: str, path: str | os.PathLike[str], reason: str) -> DiskFailed:
    """The error for a device that does not do what it said."""
    return DiskFailed(
        f"the disk failed while {doing} ({os.fspath(path)}: {reason})",
        hint="look at `dmesg` and the health of the disk, then run again; what was confirmed before is kept",
    )


def explain(error: OSError, doing: str, path: str | os.PathLike[str]) -> StorageError:
    """The error for a person. `doing` completes "… while", such as "storing an artifact"."""
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
    """`with Explaining("storing an artifact", path):` turns any OSError inside into its StorageError."""

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

"""The few ways in which a file becomes durable, so that every store does it alike.

Knows descriptors and paths, not what is in the files. Raises OSError, except where a device breaks its
promise.
"""

import fcntl
import itertools
import os
from contextlib import suppress

from fairway.stores.faults import FULL, disk_failed

_counter = itertools.count()
_ADVISE = getattr(os, "posix_fadvise", None)
"""On Linux this advice starts writing dirty pages, and keeps them until that is done."""

_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def temporary_name() -> str:
    """A file name nobody else uses: the process, a count, and chance (containers repeat process ids)."""
    return f"{os.getpid()}-{next(_counter)}-{os.urandom(6).hex()}"


def sync(fd: int, path: str) -> None:
    """Make a file's content durable.

    Raises:
        DiskFailed: the device refused. The pages may now look clean although they were lost, so trying again
            is no cure.
        OSError: the disk is full.
    """
    try:
        if _FULL_SYNC is not None:
            fcntl.fcntl(fd, _FULL_SYNC)
        else:
            os.fsync(fd)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise disk_failed("making a file durable", path, error.strerror or str(error)) from error


def sync_folder(path: str) -> None:
    """Make names that were added to or removed from a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(fd, path)
    finally:
        os.close(fd)


def write_all(fd: int, data: "bytes | bytearray | memoryview") -> None:
    """Write every byte, also when the system takes only part of them."""
    written = os.write(fd, data)
    if written == len(data):
        return
    view = memoryview(data)
    while written < len(view):
        written += os.write(fd, view[written:])


def begin_writing(fd: int, place: int, size: int) -> None:
    """Have the disk begin with what was just written, where the system can be asked; a sync waits for less then."""
    if _ADVISE is not None:
        with suppress(OSError):
            _ADVISE(fd, place, size, os.POSIX_FADV_DONTNEED)


def make_folders(path: str) -> None:
    """Make a directory, private to the user, and those above it, durably; existing ones stay as they are."""
    missing: list[str] = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            continue
        sync_folder(os.path.dirname(folder))


def remove_tree(path: str) -> None:
    """Remove a directory and all below it, also where directories are read-only; gone already is fine.

    A link goes itself; what it leads to stays.
    """
    if os.path.islink(path):
        os.unlink(path)
        return
    try:
        os.chmod(path, 0o700)
        entries = list(os.scandir(path))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)

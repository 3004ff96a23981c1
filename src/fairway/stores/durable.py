"""Functions that make files durable. Every store uses them.

Knows descriptors and paths, and not what the files contain. The functions raise OSError, or DiskFailed if a device loses data
that it accepted.
"""

import fcntl
import itertools
import os
from contextlib import suppress

from fairway.stores.faults import FULL, disk_failed

_counter = itertools.count()
_ADVISE = getattr(os, "posix_fadvise", None)
"""On Linux, the advice DONTNEED starts the writing of changed pages and keeps them in memory until they are written."""

_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def temporary_name() -> str:
    """Return a unique file name: process id, count, and random digits, because containers repeat process ids."""
    return f"{os.getpid()}-{next(_counter)}-{os.urandom(6).hex()}"


def sync(fd: int, path: str) -> None:
    """Make the content of a file durable.

    Raises:
        DiskFailed: the device refused. The system may now treat lost pages as written, so a second try proves nothing.
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
    """Make the names in a directory durable after one was added or removed."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(fd, path)
    finally:
        os.close(fd)


def write_all(fd: int, data: "bytes | bytearray | memoryview") -> None:
    """Write every byte, even if the system accepts only a part at a time."""
    written = os.write(fd, data)
    if written == len(data):
        return
    view = memoryview(data)
    while written < len(view):
        written += os.write(fd, view[written:])


def begin_writing(fd: int, place: int, size: int) -> None:
    """Ask the system to write this part to the disk now, so that a later sync waits less."""
    if _ADVISE is not None:
        with suppress(OSError):
            _ADVISE(fd, place, size, os.POSIX_FADV_DONTNEED)


def make_folders(path: str) -> None:
    """Make a private directory and the missing ones above it, durably. Existing directories stay as they are."""
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
    """Remove a directory and everything below it, also read-only directories. A missing directory is no error.

    A link is removed itself, and its target stays.
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

"""The writing of files: durable ones, and ones that are hashed while they are written. Every store uses it.

Knows descriptors and paths, and not what the files contain. The functions raise OSError, or DiskFailed if a device loses data
that it accepted.
"""

import fcntl
import hashlib
import io
import itertools
import os
import threading
from contextlib import suppress
from typing import Any

from fairway.stores.faults import FULL, disk_failed

CHUNK = 1 << 20
_LARGE = 16 << 20
_PIECE = 8 << 20
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


class HashingFile(io.RawIOBase):
    """A file that hashes what is written to it and becomes a blob when its block ends. It cannot seek.

    Large data is hashed on another core while it is written. So the caller must not change the data before the block ends.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._hash = hashlib.sha256()
        self._hashing: threading.Thread | None = None
        self._pending = bytearray()
        self._size = 0
        self._digest = ""

    def writable(self) -> bool:
        """Return true until the block has ended."""
        return not self._digest

    def write(self, data: Any, /) -> int:
        """Write bytes or a buffer, always completely."""
        if self._digest:
            raise ValueError("the blob is complete")
        view = memoryview(data).cast("B")
        self._size += len(view)
        if len(view) < CHUNK // 4:
            self._pending += view
            if len(self._pending) >= CHUNK:
                self._drain()
        else:
            self._drain()
            if len(view) < _LARGE:
                self._await_hash()
                for place in range(0, len(view), CHUNK):
                    self._hash.update(view[place : place + CHUNK])
                    write_all(self._fd, view[place : place + CHUNK])
            else:
                self._write_large(view)
        return len(view)

    def _write_large(self, view: memoryview) -> None:
        """Hash in a thread while this one writes, and let the disk begin early, so that the later sync waits less."""
        self._await_hash()
        self._hashing = threading.Thread(target=self._hash.update, args=(view,))
        self._hashing.start()
        for place in range(0, len(view), _PIECE):
            piece = view[place : place + _PIECE]
            write_all(self._fd, piece)
            begin_writing(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR) - len(piece), len(piece))

    def _await_hash(self) -> None:
        if self._hashing is not None:
            self._hashing.join()
            self._hashing = None

    @property
    def is_hashing(self) -> bool:
        """True while a thread still hashes written data."""
        return self._hashing is not None and self._hashing.is_alive()

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self._size

    @property
    def digest(self) -> str:
        """SHA-256 of the content in hex. Raises ValueError before the block has ended."""
        if not self._digest:
            raise ValueError("the digest is known once the block has ended")
        return self._digest

    @property
    def size(self) -> int:
        """Number of bytes written."""
        return self._size

    def _drain(self) -> None:
        if self._pending:
            self._await_hash()
            self._hash.update(self._pending)
            write_all(self._fd, self._pending)
            self._pending = bytearray()

    def finish(self) -> str:
        """Write the rest and return the digest. Further writes are refused."""
        if not self._digest:
            self._drain()
            self._await_hash()
            self._digest = self._hash.hexdigest()
        return self._digest

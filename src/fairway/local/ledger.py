"""The ledger: a small file in which every engine of a user on this machine writes what it uses and what it waits for.

Each engine has a slot and holds a lock on it. The operating system releases the lock when the process ends in any way, so a slot
without a lock belongs to nobody. The file is mapped into memory, so reading it costs no system call. `shares` decides who may
take how much; this module does not know.
"""

import contextlib
import fcntl
import mmap
import os
import stat
import struct
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

_FILE = "shares-1"
"""Name of the file. A change of the layout gets a new number, so that engines with another layout use another file."""

_SLOTS = 256
_HEAD = struct.Struct("<IIQ")
_USE = struct.Struct("<dQQQ")
_WISH = struct.Struct("<dQQQQd64s")
_WHOLE = struct.Struct("<QdQQQdQQQQd64sQQdQQQ32s64s")
_FIRST = 64
_SIZE = 384
_USE_AT = 8
_WISH_AT = _USE_AT + _USE.size
_TRIES = 40
_PAUSE = 0.0005
_PATIENCE = 5.0

assert _WHOLE.size <= _SIZE


class Unshared(Exception):
    """The engines cannot share this machine. The text says why."""


class Entry(NamedTuple):
    """The slot of an engine.

    Attributes:
        engine: unique number of the engine; 0 marks a free slot.
        gpus: the devices in use, one bit each.
        running: number of attempts that hold resources.
        ticket: place in the queue; 0 if the engine does not wait.
        asked: monotonic time of the last request. An engine that has stopped asking loses its place.
        lender: engine whose step started this run; 0 for a run that a person started.
        loan: number of the grant of that step. The step holds the resources `lent_…`.
        store: number of the store, because runs in two stores can have the same name.
        cpus: the processors that this engine may use, one bit each.
    """

    engine: int
    cpu: float = 0.0
    memory: int = 0
    gpus: int = 0
    running: int = 0
    wanted_cpu: float = 0.0
    wanted_memory: int = 0
    wanted_gpu: int = 0
    lacking: int = 0
    ticket: int = 0
    asked: float = 0.0
    step: bytes = b""
    lender: int = 0
    loan: int = 0
    lent_cpu: float = 0.0
    lent_memory: int = 0
    lent_gpus: int = 0
    store: int = 0
    run: bytes = b""
    cpus: bytes = b""


class Ledger:
    """The mapped file. A process has one object for each file: closing any descriptor of a file releases all its locks."""

    def __init__(self, folder: Path) -> None:
        self._fd = _open(folder)
        size = _FIRST + _SLOTS * _SIZE
        self._lock = threading.Lock()
        self._mine: set[int] = set()
        if os.fstat(self._fd).st_size != size:
            os.ftruncate(self._fd, size)
        self._map = mmap.mmap(self._fd, size)

    def alone(self) -> bool:
        """Return true if at most one engine is at work, as far as the file knows without a system call."""
        return _HEAD.unpack_from(self._map)[0] <= 1

    @contextlib.contextmanager
    def locked(self, patience: float = 0.0) -> Generator[bool]:
        """Lock the file in this block. Yield false if another engine did not release the lock in time.

        Args:
            patience: minimum number of seconds to try. On a busy machine, the engine with the lock may not get to run.
        """
        until = time.monotonic() + patience
        with self._lock:
            tries = 1
            while not (held := self._take_lock(0)) and (tries < _TRIES or time.monotonic() < until):
                time.sleep(_PAUSE)
                tries += 1
            try:
                yield held
            finally:
                if held:
                    fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, 0)

    def join(self, entry: Entry) -> int:
        """Take a slot for an engine and return its number. Raises Unshared."""
        with self.locked(_PATIENCE) as held:
            if not held:
                raise Unshared("another process holds the file in it and does not let go")
            for slot in range(_SLOTS):
                if slot not in self._mine and self._take_lock(1 + slot):
                    self._mine.add(slot)
                    self._write(slot, entry)
                    self._count()
                    return slot
        raise Unshared(f"{_SLOTS} engines are at work")

    def leave(self, slot: int) -> None:
        """Release a slot."""
        with self.locked() as held:
            # Without the lock, the count of engines stays too high until the next one joins or leaves. That only costs time.
            self._write(slot, Entry(0))
            if held:
                self._count()
            self._mine.discard(slot)
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, 1 + slot)

    def note_use(self, slot: int, cpu: float, memory: int, gpus: int, running: int) -> None:
        """Write what an engine uses. A decrease needs no lock."""
        _USE.pack_into(self._map, _FIRST + slot * _SIZE + _USE_AT, cpu, memory, gpus, running)

    def note_wish(self, slot: int, entry: Entry) -> None:
        """Write what an engine waits for."""
        _WISH.pack_into(self._map, _FIRST + slot * _SIZE + _WISH_AT, *entry[5:12])

    def next_ticket(self) -> int:
        """Return a ticket at the end of the queue. Call it under the lock."""
        count, high, tickets = _HEAD.unpack_from(self._map)
        _HEAD.pack_into(self._map, 0, count, high, tickets + 1)
        return tickets + 1

    def entries(self) -> dict[int, Entry]:
        """Return the entries of engines by slot. Some of these engines may have ended."""
        high = min(_HEAD.unpack_from(self._map)[1], _SLOTS)
        found: dict[int, Entry] = {}
        for slot in range(high):
            entry = Entry._make(_WHOLE.unpack_from(self._map, _FIRST + slot * _SIZE))
            if entry.engine:
                found[slot] = entry
        return found

    def bury(self) -> bool:
        """Clear the slots of engines that have ended. Return true if there was one. Call it under the lock."""
        found = False
        for slot in self.entries():
            if slot not in self._mine and self._take_lock(1 + slot):
                self._write(slot, Entry(0))
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, 1 + slot)
                found = True
        if found:
            self._count()
        return found

    def _write(self, slot: int, entry: Entry) -> None:
        _WHOLE.pack_into(self._map, _FIRST + slot * _SIZE, *entry)

    def _count(self) -> None:
        starts = range(_FIRST, _FIRST + _SLOTS * _SIZE, _SIZE)
        slots = [slot for slot, at in enumerate(starts) if self._map[at : at + 8] != bytes(8)]
        tickets = _HEAD.unpack_from(self._map)[2]
        _HEAD.pack_into(self._map, 0, len(slots), max(slots, default=-1) + 1, tickets)

    def _take_lock(self, byte: int) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True


_open_ledgers: dict[tuple[int, Path], Ledger] = {}
_opening = threading.Lock()


def ledger(folder: Path) -> Ledger:
    """Return the ledger in a folder and make it if it does not exist. Raises Unshared if this is not possible."""
    # The process id is part of the key: a forked child does not have the locks of its parent, so it opens the file itself.
    key = os.getpid(), folder
    with _opening:
        if key not in _open_ledgers:
            try:
                _open_ledgers[key] = Ledger(folder)
            except (OSError, ValueError) as error:
                raise Unshared(getattr(error, "strerror", None) or str(error)) from error
        return _open_ledgers[key]


def _open(folder: Path) -> int:
    """Open the file in a folder that no other user can access. Raises Unshared, OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    if stat.S_ISLNK(os.lstat(folder).st_mode):
        raise Unshared("it is a link")
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        seen = os.fstat(at)
        if seen.st_uid != os.geteuid():
            raise Unshared("it belongs to another user")
        if seen.st_mode & 0o077:
            raise Unshared("others may write to it or read it: `chmod 700` it")
        fd = os.open(_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=at)
    finally:
        os.close(at)
    seen = os.fstat(fd)
    if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1 or seen.st_uid != os.geteuid():
        os.close(fd)
        raise Unshared(f"{_FILE} in it is no file of this user alone")
    return fd

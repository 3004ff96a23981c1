"""The lease of a run: a lock that the engine at work holds until its process ends in any way."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from fairway import confined
from fairway.local import locking
from fairway.spec.errors import StorageError, UsageError

_PATIENCE = 0.5
"""Seconds to wait for the lock, because a process that only looks holds it for a moment."""


class FileLeases:
    """The leases of a store: a locked file for each run, in the folder of the run.

    Args:
        root: directory of the store.
        folder_of: returns the folder of a run.
    """

    def __init__(self, root: Path, folder_of: Callable[[str], Path]) -> None:
        self._root = root
        self._folder_of = folder_of

    def take(self, run: str) -> "Lease":
        """Take the lease of a run for a block. Raises UsageError if another process has it."""
        return Lease(self._root, self._folder_of(run))

    def holder(self, run: str) -> str:
        """Return the process that works on a run, such as "process 4711"; empty if none does."""
        pid = _holder(self._root, self._folder_of(run))
        return f"process {pid}" if pid > 0 else "a process that is starting" if pid else ""

    def ask_to_stop(self, run: str) -> bool:
        """Ask the process that works on a run to cancel it. Return false if there is none."""
        return _stop(self._root, self._folder_of(run))


class Lease:
    """A lease that an engine holds while it works on a run. The operating system releases it when the process ends."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._path = folder / "lock"
        self._fd = -1

    def __enter__(self) -> "Lease":
        self._fd = confined.open_below(
            str(self._root), str(self._path), os.O_RDWR | os.O_CREAT, made=confined.not_durable
        )
        if not locking.take_within(self._fd, _PATIENCE):
            os.close(self._fd)
            pid = _holder(self._root, self._path.parent)
            raise UsageError(
                f"run {self._path.parent.name} is being worked on by process {pid}",
                hint="wait for it, or `fairway cancel` it",
            )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


def _holder(root: Path, folder: Path) -> int:
    """Return the process id of the engine that works on a run; 0 if none does, -1 if the engine is just starting."""
    try:
        fd = confined.open_below(str(root), str(folder / "lock"))
    except (OSError, StorageError):
        return 0
    try:
        # Shared: of two that ask at once, none takes the other for an engine.
        if locking.take(fd, shared=True):
            return 0
        text = os.pread(fd, 20, 0)
        return int(text) if text.isdigit() else -1
    finally:
        os.close(fd)


def _stop(root: Path, folder: Path) -> bool:
    """Ask the engine that works on a run to stop. Return false if there is none."""
    pid = _holder(root, folder)
    if pid <= 0:
        return False
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True

"""The health of this machine for a store: cheap checks, the memory of processes, and the size of the store by kind.

The size is counted by a thread now and then, because a store may have millions of files. Whoever asks gets the last count.
"""

import os
import platform
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from fairway import confined
from fairway.spec.errors import StorageError
from fairway.spec.quantities import format_memory
from fairway.spec.upkeep import Check, Health, Stored

_ENOUGH_SPACE = 2**30
_FRESH_SECONDS = 300.0
_KINDS = {"blobs": "artifacts", "runs": "records and output of runs", "endpoints": "files of servers"}
_LOG = "log of events"
_OTHER = "platform"


def checks(root: Path) -> list[Check]:
    """Check what this machine offers to a store, without reading the store itself."""
    return [
        Check("python", platform.python_version()),
        Check("sqlite", sqlite3.sqlite_version),
        Check("uv", shutil.which("uv") or "not installed; environments are built with pip"),
        _space(root),
        _writing(root),
    ]


class HealthLook:
    """The health of this machine for one store, which remembers the last count of the store's files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stored: list[Stored] = []
        self._counted = 0.0
        self._begun = -_FRESH_SECONDS
        self._lock = threading.Lock()

    def look(self) -> Health:
        """Return the health as it is now, with the last count of the files. An old count begins a new one."""
        with self._lock:
            if time.monotonic() - self._begun >= _FRESH_SECONDS:
                self._begun = time.monotonic()
                threading.Thread(target=self._count, name="count of the store", daemon=True).start()
        return Health(
            checks=checks(self._root),
            free=shutil.disk_usage(_present(self._root)).free,
            memory=_resident(os.getpid()),
            servers_memory=sum(_resident(pid) for pid in _servers(self._root)),
            stored=self._stored,
            counted=self._counted,
        )

    def _count(self) -> None:
        """Count the files of the store by kind."""
        found: dict[str, list[int]] = {}
        for path, found_stat in _files(self._root):
            first = os.path.relpath(path, self._root).split(os.sep)[0]
            kind = _KINDS.get(first) or (_LOG if first.startswith("fairway.db") else _OTHER)
            sums = found.setdefault(kind, [0, 0])
            sums[0] += 1
            # The blocks on the disk, because a file may have holes, and share them with others by links.
            sums[1] += found_stat.st_blocks * 512 // max(1, found_stat.st_nlink)
        self._stored = [
            Stored(kind=kind, files=files, size=size) for kind, (files, size) in sorted(found.items())
        ]
        self._counted = time.time()


def _files(root: Path) -> "list[tuple[str, os.stat_result]]":
    """Return the regular files below a folder. Links are not followed, and what cannot be read is left out."""
    found: list[tuple[str, os.stat_result]] = []
    folders = [str(root)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    known = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(known.st_mode):
                        folders.append(entry.path)
                    elif stat.S_ISREG(known.st_mode):
                        found.append((entry.path, known))
    return found


def _servers(root: Path) -> list[int]:
    """Return the process ids of model servers of a store, as their files name them."""
    found: list[int] = []
    for path in (root / "endpoints").glob("*/r*/w*.pid"):
        with suppress(OSError, StorageError, ValueError):
            pid = int(confined.read_below(str(root), str(path), 20))
            # The file may be of a server that is gone, and another program may have its number by now.
            if os.fsencode(path.with_suffix(".json")) in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process uses; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _present(root: Path) -> Path:
    return root if root.exists() else root.parent


def _space(root: Path) -> Check:
    folder = _present(root)
    free = shutil.disk_usage(folder).free
    hint = f"free some space; `fairway gc --delete` and `du -sh {folder}/*` help"
    return Check("disk", f"{format_memory(free)} free at {folder}", free > _ENOUGH_SPACE, hint)


def _writing(root: Path) -> Check:
    folder = _present(root)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Check("writing", f"possible at {folder}")
    except OSError as error:
        hint = "set `FAIRWAY_HOME` to a directory that can be written"
        return Check("writing", f"not possible at {folder}: {error.strerror}", False, hint)

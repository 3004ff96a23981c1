"""Descriptions of projects, kept until a file of the project, a package or the environment changes.

An import of a project may take seconds, and a page that asks for a pipeline's parameters need not wait for it each time.
Nothing here imports a project.
"""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from fairway import confined
from fairway.local.digests import DigestCache
from fairway.local.project_listing import listed
from fairway.spec import versions
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunRequest

_MOST_FILES = 2000
_MOST_BYTES = 32 * 2**20
"""The files of a project, and their bytes, that are looked at to find out if it changed. A larger one is imported each time."""

_LARGEST = 2**20
"""The bytes of a file up to which its content counts. Of a larger one, which is data, the size and the time of change count."""

_MOST_KEPT = 20
_MOST_WRITTEN = 4 * 2**20


class Descriptions:
    """Kept descriptions of the files of one project.

    Args:
        root: the folder of the store, where descriptions are kept.
        project: the folder of the project.
        digests: the file of the digests of the project's files.
    """

    def __init__(self, root: Path, project: Path, digests: str) -> None:
        self._root = str(root)
        self._folder = str(root / "platform" / "described")
        self._project = str(project)
        self._digests = digests

    def mark(self, request: RunRequest) -> str:
        """Return a text that changes with what an import of the project may depend on. Empty if that is not known."""
        is_file = request.file and not (request.bundle or request.pickled or request.resume)
        if not is_file or not Path(request.file).resolve().is_relative_to(Path(self._project).resolve()):
            return ""
        found = hashlib.sha256()
        for text in (
            versions.this(),
            sys.executable,
            sys.version,
            request.file,
            request.module,
            *_surroundings(),
        ):
            found.update(text.encode("utf-8", "surrogateescape") + b"\0")
        paths = sorted(listed(self._project))
        if len(paths) > _MOST_FILES:
            return ""
        # A thread may ask at the same time, so each has the digests for itself.
        digests, left = DigestCache(self._digests), _MOST_BYTES
        for path in paths:
            try:
                state, size = _state(os.path.join(self._project, path), digests)
            except StorageError:
                return ""
            left -= size
            if left < 0:
                return ""
            found.update(f"{path}\0{state}\0".encode("utf-8", "surrogateescape"))
        digests.save()
        return found.hexdigest()

    def kept(self, mark: str) -> ProjectSpec | None:
        """Return the description with a mark; None without one, or if a file that was imported is another one now."""
        if not mark:
            return None
        try:
            text = confined.read_below(self._root, self._path(mark), _MOST_WRITTEN)
            project = msgspec.json.decode(text, type=ProjectSpec)
        except (OSError, StorageError, *UNREADABLE):
            return None
        # Git may ignore a file that is imported nevertheless, such as one with the settings of this machine.
        digests = DigestCache(self._digests)
        same = all(
            file.size > _LARGEST or _digest(file.place, digests) == file.digest for file in project.files
        )
        return project if same else None

    def keep(self, mark: str, project: ProjectSpec) -> None:
        """Keep a description. One that cannot be written is not kept, and only costs time."""
        content = msgspec.json.encode(project)
        if not mark or len(content) >= _MOST_WRITTEN:
            return
        with suppress(OSError, StorageError):
            confined.write_below(self._root, self._path(mark), content)
            self._forget_old()

    def _path(self, mark: str) -> str:
        return f"{self._folder}/{mark[:32]}.json"

    def _forget_old(self) -> None:
        with os.scandir(self._folder) as entries:
            found = sorted((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path) for entry in entries)
        for _, path in found[:-_MOST_KEPT]:
            confined.remove_below(self._root, path)


def _surroundings() -> Iterator[str]:
    """Yield what an import may depend on beside the files of the project."""
    for name, value in sorted(os.environ.items()):
        yield f"{name}={value}"
    for path in sys.path:
        # Whatever is installed or removed changes the folder.
        if path.endswith("site-packages"):
            with suppress(OSError):
                yield f"{path} {os.stat(path).st_mtime_ns}"


def _state(path: str, digests: DigestCache) -> tuple[str, int]:
    """Return a text that changes with a file, and how many bytes it stands for. Raises StorageError for one that changes now."""
    try:
        seen = os.stat(path)
        if seen.st_size > _LARGEST:
            return f"{seen.st_size} {seen.st_mtime_ns}", 0
        if not stat.S_ISREG(seen.st_mode):
            return "", 0
        digest, seen = digests.digest(path)
        return digest, seen.st_size
    except OSError:
        return "", 0


def _digest(path: str, digests: DigestCache) -> str:
    try:
        return digests.digest(path)[0]
    except (OSError, StorageError):
        return ""

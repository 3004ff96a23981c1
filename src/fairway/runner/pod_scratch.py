"""The files that attempts leave in a pod. They are removed when no attempt runs, so that each finds what the first one found.

What was there when the project had been imported stays: it belongs to the host. Processes that are left over are ended by the
host itself. Content in the pod's cache stays as well, up to a bound, because it cannot change.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_KEPT_FOLDER = "__pycache__"
_MOST_CACHED = 4 * 2**30
"""Bytes of the cache above which it is emptied. A pod may write 10 GiB before it is evicted."""
_MEASURE_SECONDS = 10.0

Found = tuple[int, int]


class Scratch:
    """The folders of a pod that attempts may write to.

    Args:
        folders: the folders for temporary files.
        code: the folder with the project's code, which is the working directory.
        cache: the folder of the cache of content.
        restore: puts the project's files back that an attempt has changed or removed, by their paths below `code`.
    """

    def __init__(
        self, folders: Sequence[Path], code: Path | None, cache: Path, restore: Callable[[list[Path]], None]
    ) -> None:
        self._folders = folders
        self._code = code
        self._cache = cache
        self._restore = restore
        self._there: set[str] = set()
        self._files: dict[str, Found] = {}
        self._measured = time.monotonic()

    def remember(self) -> None:
        """Remember what there is before the first attempt."""
        self._there = {path for folder in self._folders for path, _ in _below(folder)}
        self._files = _files(self._code) if self._code is not None else {}

    def clean(self) -> None:
        """Remove what attempts have left. What cannot be removed stays."""
        for folder in self._folders:
            _remove(folder, self._there)
        if self._code is not None:
            self._clean_code(self._code)
        if time.monotonic() - self._measured > _MEASURE_SECONDS:
            self._measured = time.monotonic()
            if sum(size for _, size in _files(self._cache).values()) > _MOST_CACHED:
                self._empty_cache()

    def _clean_code(self, code: Path) -> None:
        now = _files(code)
        if now == self._files:
            return
        for path in now.keys() - self._files.keys():
            with contextlib.suppress(OSError):
                os.unlink(path)
        lost = [path for path, found in self._files.items() if now.get(path) != found]
        if lost:
            self._restore([Path(path).relative_to(code) for path in sorted(lost)])
            self._files = {path: found for path, found in _files(code).items() if path in self._files}
        kept = {os.path.dirname(path) for path in self._files}
        kept |= {str(parent) for path in self._files for parent in Path(path).parents}
        for path, is_folder in _below(code):
            if is_folder and path not in kept and _KEPT_FOLDER not in path:
                with contextlib.suppress(OSError):
                    os.rmdir(path)

    def _empty_cache(self) -> None:
        """Remove content that can be fetched again."""
        blobs = self._cache / "blobs"
        with contextlib.suppress(OSError):
            for bucket in blobs.iterdir():
                for content in bucket.iterdir():
                    if content.is_dir() and not content.is_symlink():
                        shutil.rmtree(content, ignore_errors=True)
                    else:
                        content.unlink()


def _below(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the paths below a folder with the word whether each is a folder. What is in a folder comes before it."""
    for root, folders, files in os.walk(folder, topdown=False):
        for name in files:
            yield os.path.join(root, name), False
        for name in folders:
            path = os.path.join(root, name)
            yield path, not os.path.islink(path)


def _remove(folder: Path, kept: set[str]) -> None:
    for path, is_folder in _below(folder):
        if path not in kept:
            with contextlib.suppress(OSError):
                (os.rmdir if is_folder else os.unlink)(path)


def _files(folder: Path) -> dict[str, Found]:
    """Return the files below a folder with the time of their last change and their size, without compiled code."""
    found: dict[str, Found] = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != _KEPT_FOLDER]
        for name in files:
            path = os.path.join(root, name)
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                found[path] = (status.st_mtime_ns, status.st_size)
    return found

"""A small file of a store that only its owner can read and that carries the seal of the owner's key.

A file that came with a store of somebody else, or that was changed by hand, counts as missing. Must not know what is in it.
"""

import fcntl
import hmac
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from fairway import confined
from fairway.spec.errors import StorageError


class SealedFile:
    """A file below the folder of a store.

    Args:
        root: the folder of the store.
        place: the path of the file below it.
        seal: returns the seal over a content, as only the owner of the store can make it.
    """

    def __init__(self, root: Path, place: str, seal: Callable[[bytes], str]) -> None:
        self._root = str(root)
        self._path = str(root / place)
        self._seal = seal

    def stamp(self) -> tuple[int, int]:
        """Return a value that is another one after each change of the file."""
        try:
            found = os.lstat(self._path)
        except OSError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns

    def read(self) -> bytes:
        """Return the content; nothing if there is no file, or none that may be used."""
        try:
            fd = confined.open_below(self._root, self._path)
        except (OSError, StorageError):
            return b""
        try:
            is_private = confined.private(os.fstat(fd))
            held = b"".join(iter(lambda: os.read(fd, 1 << 16), b""))
        finally:
            os.close(fd)
        mark, _, content = held.partition(b"\n")
        is_ours = hmac.compare_digest(mark, self._seal(content).encode())
        return content if is_private and is_ours else b""

    def write(self, content: bytes) -> None:
        """Replace the content. Raises StorageError, OSError."""
        confined.write_below(self._root, self._path, self._seal(content).encode() + b"\n" + content)

    @contextmanager
    def changing(self) -> Generator[None, None, None]:
        """Keep other processes from changing the file during a block. Raises StorageError, OSError."""
        os.makedirs(self._root, confined.PRIVATE_FOLDER, exist_ok=True)
        with confined.entered(self._root, self._path, made=confined.not_durable) as folder:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield

"""The digests of files, kept by the facts of each file, so that a file that did not change is not read again.

A file that was changed less than two seconds before it was read is read again the next time: within that time a second
change may leave all facts as they are.
"""

import hashlib
import os
import threading
import time
from contextlib import suppress

import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError

_SETTLED = 2_000_000_000
"""Nanoseconds after its last change from which the facts of a file stand for its content."""

_TRIES = 5

_Facts = tuple[int, int, int, int]


class DigestCache:
    """The digests of the files of one project.

    Args:
        place: the file that keeps them. It may be removed at any time.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._known: dict[str, tuple[_Facts, str]] | None = None
        self._seen: dict[str, tuple[_Facts, str]] = {}
        self._is_changed = False

    def digest(self, path: str) -> tuple[str, os.stat_result]:
        """Return the sha256 of a file in hex, and the facts of the file that was read.

        Raises:
            OSError: it cannot be read.
            StorageError: it changes faster than it can be read.
        """
        facts = os.stat(path)
        known = self._load().get(path)
        if known is not None and known[0] == _facts(facts):
            self._seen[path] = known
            return known[1], facts
        for _ in range(_TRIES):
            begun = time.time_ns()
            # Somebody may have put a named pipe there, whose writer nobody should wait for.
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
                facts = os.fstat(stream.fileno())
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                after = os.fstat(stream.fileno())
            if _facts(after) == _facts(facts):
                self._note(path, facts, digest, begun)
                return digest, facts
        raise StorageError(f"{path} changes while it is read", hint="wait until it is written")

    def save(self) -> None:
        """Keep the digests for the next time. If that fails, files are read again then."""
        if not self._is_changed and len(self._seen) == len(self._load()):
            return
        fresh = f"{self._place}.{os.getpid()}-{threading.get_ident()}"
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._place), mode=0o700, exist_ok=True)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.write(msgspec.json.encode(self._seen))
            os.replace(fresh, self._place)

    def _note(self, path: str, facts: os.stat_result, digest: str, begun: int) -> None:
        if max(facts.st_mtime_ns, facts.st_ctime_ns) < begun - _SETTLED:
            self._seen[path] = (_facts(facts), digest)
            self._is_changed = True

    def _load(self) -> dict[str, tuple[_Facts, str]]:
        if self._known is None:
            self._known = {}
            with suppress(OSError, *UNREADABLE), open(self._place, "rb") as stream:
                self._known = msgspec.json.decode(stream.read(), type=dict[str, tuple[_Facts, str]])
        return self._known


def _facts(found: os.stat_result) -> _Facts:
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino

"""A file that hashes what is written to it, so that its content gets a name from its digest.

Knows a descriptor, and neither the path nor the place where the content is kept.
"""

import hashlib
import io
import os
import threading
from typing import Any

from fairway.stores.durable import begin_writing, write_all

CHUNK = 1 << 20
_LARGE = 16 << 20
_PIECE = 8 << 20


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

"""The marks that say how much of the output of an attempt is in its log, for output that may be sent twice.

A pod sends again what the control plane had written but not acknowledged when it was killed. So a mark is written before each
piece, with the size that the log has before and after it. Whoever reads the mark later sees whether the piece was written.
"""

import hashlib
import os
import struct

_MARK = struct.Struct("<16s4Q")


class Mark:
    """The output of one sender in a log.

    Attributes:
        received: the number of its bytes that were received.
        kept: the number of its bytes that the log has for certain.
    """

    __slots__ = ("_fd", "_origin", "kept", "received")

    def __init__(self, fd: int, log: int, origin: str) -> None:
        """Read the mark in a file, and take a piece back that was written in part.

        Args:
            fd: the open file of the mark, which this object closes.
            log: the open log.
            origin: the name of the sender. Another one sends something else, so nothing of that was received.
        """
        self._fd = fd
        self._origin = _named(origin)
        self.received = 0
        data = os.pread(fd, _MARK.size, 0)
        if len(data) == _MARK.size:
            origin_there, before, after, begin, end = _MARK.unpack(data)
            size = os.fstat(log).st_size
            if origin_there == self._origin:
                self.received = after if size >= end else before
            if begin < size < end:
                os.ftruncate(log, begin)
        self.kept = self.received

    def is_of(self, origin: str) -> bool:
        """Tell whether this is the mark of a sender."""
        return self._origin == _named(origin)

    def take(self, offset: int, data: bytes) -> bytes:
        """Return the part of some output that was not received yet, and count it as received."""
        fresh = data[max(0, self.received - offset) :] if offset < self.received else data
        self.received = max(self.received, offset + len(data))
        return fresh

    def announce(self, log: int, size: int) -> None:
        """Note that as many bytes are about to be written to the log for all that was received."""
        begin = os.fstat(log).st_size
        os.pwrite(self._fd, _MARK.pack(self._origin, self.kept, self.received, begin, begin + size), 0)
        self.kept = self.received

    def close(self) -> None:
        """Close the file of the mark."""
        os.close(self._fd)


def _named(origin: str) -> bytes:
    return hashlib.sha256(origin.encode()).digest()[:16]

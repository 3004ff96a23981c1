"""The log of failed requests, bounded in rate and size: any client that may send requests can make one fail."""

import sys
import time
from collections.abc import Callable

from fairway.spec.text import bounded

_BURST = 100
_PER_SECOND = 1.0
_LETTERS = 8192


class _Allowance:
    """The number of entries that may be written now. It grows by `_PER_SECOND` up to `_BURST`."""

    def __init__(self) -> None:
        self.left = float(_BURST)
        self.at = time.monotonic()
        self.dropped = 0

    def take(self) -> bool:
        """Take one entry. Return false if none is left; the entry is counted as dropped then."""
        now = time.monotonic()
        self.left = min(_BURST, self.left + (now - self.at) * _PER_SECOND)
        self.at = now
        if self.left < 1:
            self.dropped += 1
            return False
        self.left -= 1
        return True


_allowance = _Allowance()


def write(entry: Callable[[], str]) -> None:
    """Write an entry to standard error and cut the middle of a long one. Beyond the allowance, only count it."""
    if not _allowance.take():
        return
    text = bounded(entry(), _LETTERS // 2, _LETTERS // 2)
    if _allowance.dropped:
        text = f"{_allowance.dropped} errors before this one were not written\n{text}"
        _allowance.dropped = 0
    sys.stderr.write(text if text.endswith("\n") else text + "\n")
    sys.stderr.flush()

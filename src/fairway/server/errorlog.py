"""What a server writes of failed requests to its log, bounded in rate and size: anybody who may ask may make it fail."""

import sys
import time
from collections.abc import Callable

from fairway.spec.text import bounded

_BURST = 100
_PER_SECOND = 1.0
_LETTERS = 8192


class _Allowance:
    """How many entries may be written now. It fills up by and by."""

    def __init__(self) -> None:
        self.left = float(_BURST)
        self.at = time.monotonic()
        self.dropped = 0

    def take(self) -> bool:
        """Whether one more may be written."""
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
    """Write an entry to standard error, cut in its middle when it is long; beyond the allowance it is only counted."""
    if not _allowance.take():
        return
    text = bounded(entry(), _LETTERS // 2, _LETTERS // 2)
    if _allowance.dropped:
        text = f"{_allowance.dropped} errors before this one were not written\n{text}"
        _allowance.dropped = 0
    sys.stderr.write(text if text.endswith("\n") else text + "\n")
    sys.stderr.flush()

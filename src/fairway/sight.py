"""The sight of a platform elsewhere while a run there is followed. Must not know how the platform is reached."""

import time

from fairway.spec.errors import Unreachable
from fairway.spec.quantities import format_duration

RETRY_SECONDS = 0.5
"""Seconds until the first new try."""

_LONGEST_RETRY_SECONDS = 5.0
_UNSEEN_SECONDS = 5.0
"""Seconds without any answer after which a person is told about it."""


class Sight:
    """The sight of a platform while a run is followed: when it was seen last, and what a person is told about that."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen = time.monotonic()
        self._told = False
        self.pause = RETRY_SECONDS
        """Seconds until the next try."""

    def lost(self, error: Unreachable) -> list[str]:
        """Take note that there was no answer. Return lines for the person. Raises the error after too long a time."""
        gone = time.monotonic() - self._seen
        if gone > self._patience:
            raise error
        self.pause = min(max(RETRY_SECONDS, gone / 4), _LONGEST_RETRY_SECONDS)
        if self._told or gone < _UNSEEN_SECONDS:
            return []
        self._told = True
        since = time.strftime("%H:%M:%S", time.localtime(time.time() - gone))
        return [
            f"not seen since {since}: {error.message}; the run goes on, and is followed again once it answers"
        ]

    def found(self) -> list[str]:
        """Take note of an answer. Return lines for the person."""
        gone = time.monotonic() - self._seen
        told, self._told, self._seen = self._told, False, time.monotonic()
        self.pause = RETRY_SECONDS
        return [f"seen again after {format_duration(gone)}"] if told else []

"""The port of the output of attempts."""

from typing import Protocol

from fairway.spec.log import LogPart, LogQuery
from fairway.spec.wire import Sent


class LogStore(Protocol):
    """A store of the output of attempts, as lines with time stamps. Output outlives the process that printed it."""

    def append(
        self, run: str, step: str, attempt: int, time: float, data: bytes, sent: Sent | None = None
    ) -> None:
        """Add output as it came. Lines may arrive in pieces. What was added before at the same position is not added again."""
        ...

    def close(self, run: str, step: str, attempt: int) -> None:
        """Close the output of an attempt, because no more will come."""
        ...

    def read(
        self, run: str, step: str, attempt: int, offset: int = 0, most: int = 4 << 20
    ) -> tuple[list[tuple[float, str]], int]:
        """Return complete lines with their times from a byte offset, and the offset after them. At most `most` bytes are read."""
        ...

    def part(self, run: str, query: LogQuery) -> LogPart:
        """Return the part of an attempt's output that a query asks for."""
        ...

    def forget(self, run: str) -> None:
        """Remove all output of a run that is over, and the records of its attempts."""
        ...

    def attempts(self, run: str) -> list[tuple[str, int]]:
        """Return the attempts of a run that have output: step name and number, in order of first output."""
        ...

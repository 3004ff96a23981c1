"""The part of the metadata store that keeps schedules."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from fairway.spec.event import Event
from fairway.spec.schedule import ScheduleStatus


class ScheduleStore(Protocol):
    """A store of schedules in the event log. A write that is acknowledged is durable."""

    def submit(self, events: Sequence[Event]) -> "Future[int]":
        """Queue events for the next group commit. The future gives the last seq once they are durable."""
        ...

    def append(self, events: Sequence[Event]) -> int:
        """Append events, wait until they are durable, and return the last seq."""
        ...

    def run_names(self, prefix: str = "", most: int = 0) -> list[str]:
        """Return the names of runs that start with `prefix`, newest first; with `most`, of the first so many by name."""
        ...

    def schedules(self) -> list[ScheduleStatus]:
        """Return every schedule with its last due times, by name. The next due time is not filled in."""
        ...

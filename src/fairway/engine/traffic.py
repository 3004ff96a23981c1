"""The traffic of endpoints: their requests of the last hour and day, counted in bounded space.

The servers count by themselves, and this module reads their counts from time to time. So an endpoint is never slower because
somebody counts or looks. Must not know what a server is.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from fairway.ports import Clock
from fairway.spec.errors import FairwayError
from fairway.spec.serving import Counts, Stretch, Traffic

_log = logging.getLogger("fairway")
_LOOK_SECONDS = 10.0
_KEEP_SECONDS = 60.0
_LONGEST_PAUSE = 150.0
_MINUTE, _QUARTER = 60, 900
_MINUTES, _QUARTERS = 60, 96

Counted = Callable[[], dict[tuple[str, str], Counts]]
"""Function that returns what servers counted since their start, by endpoint and by a name that no other servers get."""


class Kept(msgspec.Struct, kw_only=True):
    """The traffic of one endpoint: counts by minute and by quarter of an hour, each by its number since the epoch."""

    minutes: dict[int, Counts] = {}
    quarters: dict[int, Counts] = {}


class Book(msgspec.Struct, kw_only=True):
    """The traffic of all endpoints, and the last counts of their servers.

    Attributes:
        until: the time of the last look.
        seen: the counts of servers at the last look, by endpoint and by name of the servers.
        endpoints: the traffic by endpoint.
    """

    until: float = 0.0
    seen: dict[str, dict[str, Counts]] = {}
    endpoints: dict[str, Kept] = {}


class BookFile(Protocol):
    """The file that keeps a book while no platform process runs."""

    def read(self) -> bytes:
        """Return the content; empty without one."""
        ...

    def write(self, content: bytes) -> None:
        """Replace the content. Raises StorageError, OSError."""
        ...


class TrafficKeeper:
    """The part of a platform process that counts requests.

    Args:
        counted: reads what servers counted. It blocks meanwhile.
        file: keeps the book.
        clock: the time.
    """

    def __init__(self, counted: Counted, file: BookFile, clock: Clock) -> None:
        self._counted = counted
        self._file = file
        self._clock = clock
        self._book: Book | None = None
        self._changed = False
        self._written = clock.monotonic()

    async def watch(self) -> None:
        """Look every few seconds until cancelled, and write the book about once a minute. No error ends the loop."""
        while True:
            try:
                await asyncio.to_thread(self.look)
                if self._clock.monotonic() - self._written >= _KEEP_SECONDS:
                    await asyncio.to_thread(self.keep)
            except Exception:
                _log.exception("counting the requests of the endpoints failed; it goes on")
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Read the counts of all servers once, and add what came since the last look."""
        book, now = self._opened(), self._clock.now()
        found = self._counted()
        seen: dict[str, dict[str, Counts]] = {}
        # After a pause, nobody knows in which minute the requests came, so they are in none.
        follows = now - book.until < _LONGEST_PAUSE
        for (endpoint, name), counts in found.items():
            before = book.seen.get(endpoint, {}).get(name)
            fresh = counts.since(before) if before is not None else counts
            seen.setdefault(endpoint, {})[name] = counts
            if follows and (fresh.requests or fresh.batches):
                kept = book.endpoints.setdefault(endpoint, Kept())
                kept.minutes.setdefault(int(now // _MINUTE), Counts()).add(fresh)
                kept.quarters.setdefault(int(now // _QUARTER), Counts()).add(fresh)
                self._changed = True
        book.seen, book.until = seen, now
        _forget(book, now)

    def keep(self) -> None:
        """Write the book to its file if it changed. Raises StorageError, OSError."""
        self._written = self._clock.monotonic()
        if self._changed and self._book is not None:
            self._changed = False
            self._file.write(msgspec.json.encode(self._book))

    def close(self) -> None:
        """Look and write the book a last time. What fails then is left out."""
        with contextlib.suppress(FairwayError, OSError):
            self.look()
            self._changed = self._changed or bool(self._book and self._book.seen)
            self.keep()

    async def traffic(self, endpoint: str) -> Traffic:
        """Return the requests that an endpoint answered in the last hour and day."""
        book = await asyncio.to_thread(self._opened)
        kept = book.endpoints.get(endpoint, Kept())
        return Traffic(
            until=book.until,
            hour=_stretches(kept.minutes, _MINUTE),
            day=_stretches(kept.quarters, _QUARTER),
        )

    def _opened(self) -> Book:
        """Return the book. One that cannot be read is begun anew, because it is only for looking at."""
        if self._book is None:
            try:
                self._book = msgspec.json.decode(self._file.read() or b"{}", type=Book)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._book = Book()
        return self._book


def _stretches(kept: dict[int, Counts], length: int) -> tuple[Stretch, ...]:
    return tuple(
        Stretch(start=float(number * length), counts=counts) for number, counts in sorted(kept.items())
    )


def _forget(book: Book, now: float) -> None:
    """Remove what is older than the last hour and day, and endpoints of which nothing is left."""
    minute, quarter = int(now // _MINUTE) - _MINUTES, int(now // _QUARTER) - _QUARTERS
    for name, kept in list(book.endpoints.items()):
        kept.minutes = {number: counts for number, counts in kept.minutes.items() if number > minute}
        kept.quarters = {number: counts for number, counts in kept.quarters.items() if number > quarter}
        if not kept.quarters:
            del book.endpoints[name]

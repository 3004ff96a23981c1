"""Positions in the stream of a run's updates, as they are read from its record.

The record has two parts that grow side by side: events in one order, and the output of each attempt in an order of its
own. A position says how far both were read. It stays short because output of an attempt is always read before the event
that ends it: only attempts that are under way need an offset.
"""

import zlib

import msgspec

from fairway.spec.errors import UsageError
from fairway.spec.quantities import whole_number

_LONGEST = 50_000
"""Letters of a position at most."""

_MOST = 2**62


class Position(msgspec.Struct):
    """How far the record of a run was read.

    Attributes:
        seq: the last event.
        known: how many attempts were met, in the order of their first output.
        offsets: of those that have not ended, how many bytes were read; by place in that order.
        waits: a checksum of the last note about waiting, so that it is told once.
    """

    seq: int = 0
    known: int = 0
    offsets: dict[int, int] = msgspec.field(default_factory=dict[int, int])
    waits: int = 0

    def meet(self, count: int) -> None:
        """Know the first `count` attempts with output."""
        for place in range(self.known, count):
            self.offsets[place] = 0
        self.known = max(self.known, count)

    def text(self) -> str:
        """The position as others carry it."""
        offsets = ",".join(f"{place}-{offset}" for place, offset in self.offsets.items())
        return f"{self.seq}.{self.known}.{self.waits}.{offsets}"


def read_position(text: str) -> Position:
    """Read what `Position.text` gives; nothing at all is the beginning. Raises UsageError."""
    if not text:
        return Position()
    parts = text.split(".") if len(text) <= _LONGEST else []
    if len(parts) == 4:
        seq, known, waits = (whole_number(part, _MOST) for part in parts[:3])
        offsets = _offsets(parts[3])
        if seq is not None and known is not None and waits is not None and offsets is not None:
            return Position(seq=seq, known=known, offsets=offsets, waits=waits)
    raise UsageError(f"{text[:40]!r} is no position in a run", hint="follow the run from its beginning")


def checksum(step: str, whom: str) -> int:
    """A number that tells one note about waiting from another; 0 when no step waits."""
    return zlib.crc32(f"{step}\0{whom}".encode()) if step or whom else 0


def _offsets(text: str) -> dict[int, int] | None:
    found: dict[int, int] = {}
    for pair in text.split(",") if text else ():
        place, _, offset = pair.partition("-")
        numbers = whole_number(place, _MOST), whole_number(offset, _MOST)
        if numbers[0] is None or numbers[1] is None:
            return None
        found[numbers[0]] = numbers[1]
    return found

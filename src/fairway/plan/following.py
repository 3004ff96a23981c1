"""Positions in the stream of a run's updates, as they are read from its record.

The record has two parts that grow side by side. Events have one order, and the output of each attempt has its own. A
position says how far both were read. It is short, because the output of an attempt is always read before the event that
ends the attempt. Only attempts that are under way need an offset.
"""

import zlib

import msgspec

from fairway.spec.errors import UsageError
from fairway.spec.quantities import whole_number

_LONGEST = 50_000
"""The most letters of a position."""

_MOST = 2**62


class Position(msgspec.Struct):
    """The position up to which the record of a run was read.

    Attributes:
        seq: the number of the last event.
        known: the number of attempts whose output was met. Attempts are ordered by their first output.
        offsets: the bytes that were read of each attempt that has not ended, by place in that order.
        waits: the checksum of the last note about waiting, so that the note is sent once.
    """

    seq: int = 0
    known: int = 0
    offsets: dict[int, int] = msgspec.field(default_factory=dict[int, int])
    waits: int = 0

    def meet(self, count: int) -> None:
        """Remember the first `count` attempts with output."""
        for place in range(self.known, count):
            self.offsets[place] = 0
        self.known = max(self.known, count)

    def text(self) -> str:
        """Return the position as a text."""
        offsets = ",".join(f"{place}-{offset}" for place, offset in self.offsets.items())
        return f"{self.seq}.{self.known}.{self.waits}.{offsets}"


def read_position(text: str) -> Position:
    """Read the text of `Position.text`. An empty text is the beginning. Raises UsageError."""
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
    """Return a number that tells notes about waiting apart. It is 0 when no step waits."""
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

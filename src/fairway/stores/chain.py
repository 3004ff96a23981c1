"""The event log as a chain: the hash of each event covers the hash before it, so a change in the middle is noticed.

The caller gives a connection inside a transaction and decides when the transaction ends.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing

import msgspec

from fairway.spec.event import Event
from fairway.stores import schema

START = bytes(32)
"""The value in place of a hash before the first event."""

_COLUMNS = "seq, run, step, kind, time, who, body, hash"


class Row(msgspec.Struct, frozen=True):
    """An event in its stored form."""

    seq: int
    run: str
    step: str
    kind: str
    time: float
    who: str
    body: bytes
    hash: bytes

    def event(self) -> Event | None:
        """Decode the event; None if only a newer Fairway knows its kind."""
        body = schema.decode(self.body)
        if body is None:
            return None
        return Event(body=body, run=self.run, step=self.step, time=self.time, seq=self.seq, who=self.who)


def link(before: bytes, row: "tuple[int, str, str, str, float, str, bytes]") -> bytes:
    """Return the hash of an event from the hash before it and its columns."""
    seq, run, step, kind, time, who, body = row
    found = hashlib.sha256(before)
    found.update(struct.pack(">qd", seq, time))
    # Each text has its length in front. Without it, letters could move from one field to the next and keep the hash.
    for text in (run, step, kind, who):
        data = text.encode("utf-8", "surrogatepass")
        found.update(struct.pack(">I", len(data)))
        found.update(data)
    found.update(body)
    return found.digest()


def append(connection: sqlite3.Connection, events: Sequence[Event]) -> list[Event]:
    """Append events to the log, update the derived tables, and return the events with their seq."""
    found = connection.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    seq, before = (int(found[0]), bytes(found[1])) if found is not None else (0, START)
    added: list[Event] = []
    for event in events:
        seq += 1
        body = schema.encode(event.body)
        row = (seq, event.run, event.step, schema.kind_of(event.body), float(event.time), event.who, body)
        before = link(before, row)
        connection.execute("INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?, ?)", (*row, before))
        numbered = Event(
            body=event.body, run=event.run, step=event.step, time=event.time, seq=seq, who=event.who
        )
        schema.apply(connection, numbered)
        added.append(numbered)
    return added


def rows(connection: sqlite3.Connection, after: int = 0, run: str = "", *, limit: int = 500) -> list[Row]:
    """Return stored events with a seq above `after` in order, of one run or of all."""
    if run:
        sql = f"SELECT {_COLUMNS} FROM event WHERE run = ? AND run != '' AND seq > ? ORDER BY seq LIMIT ?"
        found = connection.execute(sql, (run, after, limit))
    else:
        found = connection.execute(
            f"SELECT {_COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        )
    return [Row(*values) for values in found]


def deeds(connection: sqlite3.Connection, who: str, before: int, *, limit: int = 200) -> list[Row]:
    """Return stored events that people cause with a seq below `before`, newest first; of one person or of all."""
    conditions = " AND who = ?" if who else ""
    sql = f"SELECT {_COLUMNS} FROM event WHERE {schema.IS_DEED} AND seq < ?{conditions} ORDER BY seq DESC LIMIT ?"
    values = (before or 2**62, *([who] if who else []), limit)
    return [Row(*row) for row in connection.execute(sql, values)]


def notices(connection: sqlite3.Connection, *, limit: int = 2000) -> list[Row]:
    """Return the newest stored events about messages to webhooks, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM event WHERE {schema.IS_NOTICE} ORDER BY seq DESC LIMIT ?"
    return [Row(*row) for row in reversed(connection.execute(sql, (limit,)).fetchall())]


def mark(connection: sqlite3.Connection) -> bytes:
    """Return the mark of the log: seq and hash of the last event with a checksum; empty without events."""
    found = connection.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    if found is None:
        return b""
    body = struct.pack(">q", found[0]) + bytes(found[1])
    return body + hashlib.sha256(body).digest()[:8]


def marked(noted: bytes) -> tuple[int, bytes]:
    """Return the seq and hash of a mark; seq 0 if there is no mark or it is damaged."""
    body, check = noted[:40], noted[40:48]
    if len(body) < 40 or hashlib.sha256(body).digest()[:8] != check:
        return 0, b""
    return int(struct.unpack(">q", body[:8])[0]), body[8:]


def reaches(connection: sqlite3.Connection, noted: bytes) -> str:
    """Check that the log contains the event of a mark. Return the problem as a sentence, or an empty text."""
    seq, hashed = marked(noted)
    if not seq:
        return ""
    found = connection.execute("SELECT hash FROM event WHERE seq = ?", (seq,)).fetchone()
    if found is None:
        last = int(connection.execute("SELECT max(seq) FROM event").fetchone()[0] or 0)
        return f"the log ends at event {last}, and event {seq} was confirmed: its end is lost"
    return "" if found[0] == hashed else f"event {seq} is not the one that was confirmed"


def check(connection: sqlite3.Connection) -> tuple[int, list[str]]:
    """Check the chain. Return the seq of the last event and the problems as sentences."""
    before, count, problems = START, 0, list[str]()
    while len(problems) < 10:
        batch = rows(connection, count)
        if not batch:
            break
        for row in batch:
            if row.seq != count + 1:
                problems.append(f"events {count + 1} to {row.seq - 1} are missing")
            if not _matches(before, row):
                problems.append(f"event {row.seq} does not match its hash")
            before, count = row.hash, row.seq
    return count, problems


def _matches(before: bytes, row: Row) -> bool:
    """Return true if an event has the right hash. Damage can leave values of another type or none."""
    try:
        return link(before, (row.seq, row.run, row.step, row.kind, row.time, row.who, row.body)) == row.hash
    except (TypeError, AttributeError, struct.error):
        return False


def rebuild(connection: sqlite3.Connection) -> int:
    """Drop the derived tables, build them again from the log, and return the number of events."""
    for table in schema.TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    return _derive(connection, connection)


def differences(connection: sqlite3.Connection) -> list[str]:
    """Compare the derived tables with the log. Return a sentence for each table that differs."""
    with closing(sqlite3.connect("", isolation_level=None)) as anew:
        anew.execute("BEGIN")
        _derive(connection, anew)
        return [
            f"the table {table} does not agree with the log"
            for table in schema.TABLES
            if _content(connection, table) != _content(anew, table)
        ]


def derive_beside(connection: sqlite3.Connection) -> int:
    """Make the derived tables anew in memory, where this connection sees them in place of those in the file.

    Returns the seq of the last event. For a database of an earlier version that may not, or need not, be changed.
    """
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN")  # so that every part of the log is read as it is now
    try:
        return _derive(connection, connection, "CREATE TEMP TABLE")
    finally:
        connection.execute("COMMIT")


def _derive(log: sqlite3.Connection, derived: sqlite3.Connection, make: str = "CREATE TABLE") -> int:
    for statement in schema.DERIVED.split(";"):
        if statement.strip():
            derived.execute(statement.replace("CREATE TABLE", make))
    seq = 0
    while batch := rows(log, seq):
        for row in batch:
            event = row.event()
            if event is not None:
                schema.apply(derived, event)
        seq = batch[-1].seq
    return seq


def _content(connection: sqlite3.Connection, table: str) -> tuple[int, int]:
    """Return the number of rows and the sum of their hashes, which is equal for equal rows in any order."""
    count = total = 0
    for row in connection.execute(f"SELECT * FROM {table}"):
        count += 1
        total += int.from_bytes(hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest())
    return count, total

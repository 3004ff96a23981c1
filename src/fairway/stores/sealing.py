"""The seal of the log: a row beside the events. It is made with the user's key over the last event, the store and the file.

The row is written inside the transaction that adds events. So it costs no fsync and is never older than the log. A copy or a
restored backup is another file than the sealed one; then the whole log is checked once. The caller gives a connection and decides
when a transaction ends.
"""

import os
import sqlite3
import struct
from contextlib import suppress

from fairway import confined
from fairway.stores import chain, ownership, ownkey
from fairway.stores.births import born
from fairway.stores.faults import explain
from fairway.stores.layout import Layout
from fairway.stores.ownership import ForeignStore, Seal
from fairway.stores.snapshot import snapshot

_TABLE = "CREATE TABLE IF NOT EXISTS seal(one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER, file INTEGER, mark TEXT)"
_PUT = "INSERT OR REPLACE INTO seal VALUES(1, ?, ?, ?)"
_LAST = "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1"
_ODD = (
    "SELECT 1 FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'create virtual%' LIMIT 1"
)
_TABLES = "is a copy whose tables do not agree with its log"
_TOLERANCE = 60.0
"""Maximum number of seconds between the creation of a store and its first event. The import of the project lies between them."""


def put(connection: sqlite3.Connection, seal: Seal, file: int) -> None:
    """Seal the log in its present state. Call it inside the transaction that changed the log."""
    last = connection.execute(_LAST).fetchone()
    if last is not None:
        seq, hashed = int(last[0]), bytes(last[1])
        connection.execute(_PUT, (seq, _signed(file), _mark(seal, seq, _signed(file), hashed)))


def keep(connection: sqlite3.Connection, row: tuple[int, int, str]) -> None:
    """Write the seal that the log had in another place. Opening the log checks it."""
    connection.execute(_PUT, row)


def kept(connection: sqlite3.Connection) -> tuple[int, int, str] | None:
    """Read the seal of a log without a check; None without one."""
    with suppress(sqlite3.Error):
        found = connection.execute("SELECT seq, file, mark FROM seal").fetchone()
        if found is not None and [type(value) for value in found] == [int, int, str]:
            return found[0], found[1], found[2]
    return None


def make_room(connection: sqlite3.Connection) -> None:
    """Make the table of the seal if it does not exist."""
    connection.execute(_TABLE)


def why_foreign(connection: sqlite3.Connection | None, layout: Layout) -> str:
    """Return why a store does not belong to this user, as words that follow "it"; empty if it does.

    Raises:
        StorageError: the key cannot be used.
    """
    layout.check()  # first, so that a `store.json` that cannot be read is reported as damaged and not as foreign
    if connection is not None and connection.execute(_ODD).fetchone() is not None:
        return "has a database that does more than keep events"
    seal = ownership.seal_of(str(layout.root))
    if seal is None:
        return _why_unsealed(connection, layout)
    if connection is None:
        return ""
    # The last event and its seal have to be of one moment: a run that is at work replaces both with every commit.
    with snapshot(connection):
        return _why_changed(connection, layout, seal)


def _why_changed(connection: sqlite3.Connection, layout: Layout, seal: Seal) -> str:
    last = connection.execute(_LAST).fetchone()
    if last is None:
        return ""
    try:
        found = connection.execute("SELECT seq, file, mark FROM seal").fetchone()
    except sqlite3.OperationalError:
        found = None
    if found is None and seal.record.adopted and _is_earlier(connection, layout, adopted=True):
        return ""  # the store was taken over, and nothing was written since
    if found is None:
        return "has a log without your seal"
    seq, file, mark = found
    try:
        if seq != last[0] or mark != _mark(seal, seq, file, bytes(last[1])):
            return "has a log that was changed by somebody without your key"
        if file == _signed(os.lstat(layout.database).st_ino):
            return ""
    except (TypeError, struct.error, OSError):
        return "has a seal that is damaged"
    return _why_not_a_copy(connection, layout)


def _why_not_a_copy(connection: sqlite3.Connection, layout: Layout) -> str:
    """Return why a store is not a faithful copy by this user; empty if it is.

    A copy keeps the modes of files and every event. A clone or an unpacked archive does not.
    """
    for path in (layout.root / ownership.STORE, layout.database):
        if not confined.private(os.lstat(path)):
            return "came through a repository, an archive or another program: its files are not private"
    if chain.check(connection)[1]:
        return "is a copy in which something was changed"
    return _TABLES if chain.differences(connection) else ""


def _why_unsealed(connection: sqlite3.Connection | None, layout: Layout) -> str:
    """Return why a store without a seal is not accepted; empty for a store of an earlier Fairway.

    Such a store has files that were created at the time of its first event. In a clone, an unpacked archive or a restored backup
    the files are younger than the events. A store that was made after the key of this user would have a seal.
    """
    root = str(layout.root)
    found = ownership.record(root)
    if found is None:
        return ""
    if found.seal:
        return "was sealed with another key: by another user, or on another machine"
    with suppress(OSError):
        if _is_earlier(connection, layout):
            return ""
    return "has no seal: it was made by somebody else, or on another machine"


def _is_earlier(connection: sqlite3.Connection | None, layout: Layout, *, adopted: bool = False) -> bool:
    """Return whether the files of a store were created at the time of its first event, and before this user had a key.

    Args:
        adopted: true if `store.json` was replaced when the store was taken over, so that only the database tells its age.
    """
    root, path = str(layout.root), str(layout.root / ownership.STORE)
    if not (confined.private(os.lstat(root)) and confined.private(os.lstat(path))):
        return False
    made = born(str(layout.database) if adopted else path)
    key = ownkey.made_at(ownkey.place())
    if not made or (key and made > key):
        return False
    if connection is None:
        return not set(ownership.leftovers(root)) - {ownership.STORE, layout.lock.name}
    first = connection.execute("SELECT time FROM event ORDER BY seq LIMIT 1").fetchone()
    database = born(str(layout.database))
    if first is None:
        return abs(database - made) < _TOLERANCE
    return -1.0 < first[0] - made < _TOLERANCE and -1.0 < first[0] - database < _TOLERANCE


def admit(connection: sqlite3.Connection | None, layout: Layout, *, writing: bool = False) -> Seal:
    """Return the seal of a store that belongs to this user. A store of an earlier Fairway gets its seal here.

    Args:
        connection: a connection to the database; None without a log.
        layout: the store.
        writing: true to rebuild tables that differ from the log.

    Raises:
        ForeignStore: the store does not belong to this user.
    """
    why = why_foreign(connection, layout)
    if why == _TABLES and writing and connection is not None:
        connection.execute("BEGIN IMMEDIATE")
        chain.rebuild(connection)
        connection.execute("COMMIT")
    elif why:
        raise foreign(layout, why)
    seal = ownership.seal_of(str(layout.root))
    if seal is None:
        try:
            seal = layout.adopt()
        except OSError as error:
            raise explain(error, "taking over the store", layout.root) from error
    return seal


def foreign(layout: Layout, why: str) -> ForeignStore:
    """Return the error for a store that may only be looked at."""
    return ForeignStore(
        f"the store {layout.root} is not yours to use: it {why}",
        hint="`fairway doctor --rebuild` rebuilds them"
        if why == _TABLES
        else "`fairway trust` shows what is in it and makes it yours",
    )


def _mark(seal: Seal, seq: int, file: int, hashed: bytes) -> str:
    return seal.over(b"log", struct.pack(">qq", seq, file) + hashed)


def _signed(file: int) -> int:
    """Convert the number of a file to a signed integer, because SQLite has no other."""
    return file - (1 << 64) if file >= 1 << 63 else file

"""Connections to the database: one for writing, under a file lock, and one for reading in each thread.

Every process holds one `flock` for each commit and each checkpoint, which also avoids the WAL-reset bug of SQLite before
3.51.3. Knows how a database is opened, and not what its tables mean.
"""

import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from fairway import confined
from fairway.spec.errors import StorageError
from fairway.stores import chain, kinds, schema, sealing
from fairway.stores.durable import sync_folder
from fairway.stores.faults import DiskFailed, disk_failed, explain
from fairway.stores.layout import Layout, newer
from fairway.stores.ownership import Seal, seal_of

CHECKPOINT = 500
"""Estimated number of pages of 4 KiB after which the write-ahead log is copied into the database.

The file of the write-ahead log keeps its size and is written again from its beginning. That makes a commit nearly twice as
fast as growing a file.
"""

_PAGES = 3
"""Estimated number of pages that a commit writes besides one for each changed row."""

_MAX_WAL = 16 << 20
_BUSY_SECONDS = 30.0
_NEEDS_WRITER = (sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY)
"""Errors that a reader gets if a writer was killed while it created the database."""

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 0",
    f"journal_size_limit = {_MAX_WAL}",
    "fullfsync = ON",
    "checkpoint_fullfsync = ON",
)

LOOKING = ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "cache_size = -512")
"""Pragmas for reading: the database may come from somebody else, and each thread has its own cache."""


def explain_sqlite(error: sqlite3.Error, path: Path) -> StorageError:
    """Return the error of SQLite as an error for a person."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _is_full(path.parent)):
        return explain(OSError(errno.ENOSPC, "no space left"), "recording events", path)
    if primary == sqlite3.SQLITE_IOERR:
        return disk_failed("using the database", path, name)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "codec can't decode" in str(error):
        return StorageError(
            f"the database {path} is damaged ({error})",
            hint="see how much with `fairway doctor`; models and artifacts are kept apart from it",
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(
            f"another program has kept the database {path} locked for {_BUSY_SECONDS:.0f} s",
            hint=f"see who with `fuser {path}` and end it",
        )
    if primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StorageError(
            f"the database {path} cannot be opened or written ({error})",
            hint=f"see who may with `ls -l {path.parent}`, or set `FAIRWAY_HOME` to a directory of your own",
        )
    return StorageError(f"the database {path} refused: {error}", hint="check it with `fairway doctor`")


def _is_full(folder: Path) -> bool:
    """Tell whether the disk is full. SQLite reports some cases of this as input/output errors."""
    with suppress(OSError):
        space = os.statvfs(folder)
        return space.f_bavail * space.f_frsize < 1 << 16
    return False


class CommitLock:
    """The lock on the file `commit.lock`. Every process takes it to commit or to checkpoint."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> "CommitLock":
        if self._fd < 0:
            self._fd = confined.open_file(str(self._path), os.O_RDWR | os.O_CREAT)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def note(self, connection: sqlite3.Connection) -> None:
        """Write the mark of the log into the file, so that a log that was cut short is noticed. Call it under the lock."""
        mark = chain.mark(connection)
        if mark:
            with suppress(OSError):
                os.pwrite(self._fd, mark, 0)

    def forget(self) -> None:
        """Remove the mark, because another log has taken the place of the old one."""
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class WriteConnection:
    """The only connection of this process that changes the database. It belongs to one thread."""

    def __init__(self, layout: Layout) -> None:
        layout.prepare()
        self._layout = layout
        self._path = layout.database
        self._lock = CommitLock(layout.lock)
        self._connection: sqlite3.Connection | None = None
        self._changes = 0
        self._pages = 0
        self._seal: Seal | None = None
        self._file = 0
        self.failed: DiskFailed | None = None

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """Run the block in a transaction. It is durable when the block has ended, and is undone if the block raises.

        Raises:
            StorageError: the database refused.
            DiskFailed: the disk failed; every later transaction raises this as well.
        """
        if self.failed is not None:
            raise self.failed
        try:
            with self._lock:
                connection = self._open()
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    before = connection.total_changes
                    yield connection
                    # Inside the transaction: the seal changes together with the log and costs no sync of its own.
                    if connection.total_changes != before and self._seal is not None:
                        sealing.put(connection, self._seal, self._file)
                    connection.execute("COMMIT")
                    # After the commit: a mark ahead of the log would report a loss of events that were never confirmed.
                    self._lock.note(connection)
                    self._pages += connection.total_changes - self._changes + _PAGES
                    self._changes = connection.total_changes
                except BaseException:
                    if connection.in_transaction:
                        with suppress(sqlite3.Error):
                            connection.execute("ROLLBACK")
                    raise
        except sqlite3.IntegrityError:
            raise
        except DiskFailed as error:
            self.failed = error
            raise
        except sqlite3.Error as error:
            raise self._note(explain_sqlite(error, self._path)) from error
        except OSError as error:
            raise self._note(explain(error, "recording events", self._path)) from error

    def checkpoint(self, *, force: bool = False) -> None:
        """Copy the write-ahead log into the database if it has grown enough, or always with `force`.

        A full disk is no error: the next checkpoint tries again.

        Raises:
            DiskFailed: the disk failed.
        """
        if self._connection is None or self.failed is not None or (self._pages < CHECKPOINT and not force):
            return
        self._pages = 0
        try:
            with self._lock:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            found = self._note(explain_sqlite(error, self._path))
            if isinstance(found, DiskFailed):
                raise found from error

    def make_room(self) -> bool:
        """Checkpoint on a full disk, so that the next commit reuses the write-ahead log. Return true if this can help."""
        before = self._pages
        with suppress(StorageError):
            self.checkpoint(force=True)
        return before > 0

    def close(self) -> None:
        """Checkpoint and close."""
        try:
            self.checkpoint(force=True)
        finally:
            if self._connection is not None:
                with self._lock, suppress(sqlite3.Error):
                    self._connection.close()
                self._connection = None
            self._lock.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        _refuse_links(self._path)
        if not self._path.exists():
            # Create the file with a private mode first: SQLite gives the files beside it the same mode. Never open an
            # existing database without SQLite. Closing such a descriptor drops all locks of this process, and the next
            # process would then believe that nobody uses the write-ahead log and remove it.
            with suppress(FileExistsError):
                os.close(confined.open_file(str(self._path), os.O_RDWR | os.O_CREAT | os.O_EXCL))
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            # In this order: refuse a newer database before reading it, decide whose it is before changing it, then change it.
            _check_version(connection, self._layout)
            logged = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'event'").fetchone()
            self._seal = sealing.admit(connection if logged else None, self._layout, writing=True)
            _bring_up_to_date(connection, self._layout)
            sealing.make_room(connection)
            schema.index(connection)
            self._file = os.lstat(self._path).st_ino
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _note(self, error: StorageError) -> StorageError:
        if isinstance(error, DiskFailed):
            self.failed = error
        return error


def confirmed(layout: Layout) -> bytes:
    """Return the mark of the last confirmed event, in the form of `chain.mark`; empty without one."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return confined.read(str(layout.lock))
    return b""


def _confirmed_events(layout: Layout) -> int:
    """Return how many events were in the log when it was last written."""
    return chain.marked(confirmed(layout))[0]


def _refuse_loss(layout: Layout, events: int) -> None:
    """Raise StorageError if events were confirmed and the log is gone. A new log in its place would hide the loss."""
    if events:
        raise StorageError(
            f"the log {layout.database} is gone or empty, and {events} events were confirmed in it",
            hint=f"`fairway restore` a backup elsewhere, or begin anew: `mv {layout.root} {layout.root}-lost`",
        )


def _refuse_links(path: Path) -> None:
    """Refuse links in place of the database and the files beside it, because SQLite would follow them."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        confined.file(f"{path}{suffix}")


def _check_version(connection: sqlite3.Connection, layout: Layout) -> None:
    version = _version(connection)
    if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        _refuse_loss(layout, _confirmed_events(layout))
    if version > schema.VERSION:
        raise newer(f"the database {layout.database}")


def _bring_up_to_date(connection: sqlite3.Connection, layout: Layout) -> None:
    path = layout.database
    if _version(connection) == schema.VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in schema.LOG.split(";"):
            if statement.strip():
                connection.execute(statement)
        chain.rebuild(connection)
        connection.execute(f"PRAGMA user_version = {schema.VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    sync_folder(str(path.parent))


def _recover(path: Path) -> None:
    """Let SQLite undo the unfinished work of a killed process. That needs a connection that may write."""
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version").fetchone()


def _has_content(path: str) -> bool:
    with suppress(FileNotFoundError):
        return os.stat(path).st_size > 0
    return False


def _version(connection: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 without tables."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


class _NoRoom(Exception):
    """The disk is too full for the file that readers and writers share. No writer has the database open."""


class _Looking(sqlite3.Connection):
    """A read-only connection.

    Attributes:
        derived: last event in the tables that stand for those of an earlier version; None where the file's are read.
    """

    derived: int | None = None

    @property
    def is_behind(self) -> bool:
        """True if the file has changed since the tables were derived, so that they must be derived again."""
        if self.derived is None:
            return False
        last = self.execute("SELECT max(seq) FROM event").fetchone()[0] or 0
        return last != self.derived or _version(self) == schema.VERSION


class ReadConnections:
    """Read-only connections, one for each thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._local = threading.local()
        self._all: list[_Looking] = []
        self._guard = threading.Lock()

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection | None, None, None]:
        """Yield the connection of this thread; None if there is no database yet. Raises StorageError if it cannot be read."""
        try:
            try:
                kept = self._kept() or self._open()
            except _NoRoom:
                with closing(self._look(immutable=True)) as passing:
                    yield passing if _version(passing) else None
            else:
                yield kept
        except sqlite3.Error as error:
            raise explain_sqlite(error, self._layout.database) from error
        except (TypeError, ValueError) as error:
            # A damaged index gives values that its table does not hold. Any other such error is a mistake of this program.
            if not isinstance(error, UnicodeDecodeError) and kinds.are_consistent(self._kept()):
                raise
            raise explain_sqlite(sqlite3.DatabaseError(str(error)), self._layout.database) from error

    def _kept(self) -> _Looking | None:
        """Return the connection of this thread; None without one, or if it is behind its file.

        A connection that is behind stays open until `close`, because a caller further up may still read from it.
        """
        kept: _Looking | None = getattr(self._local, "connection", None)
        return None if kept is None or kept.is_behind else kept

    def _open(self) -> _Looking | None:
        """Open a connection and keep it for this thread; None if there is no database yet. Raises _NoRoom."""
        connection = self._opened()
        if connection is None and (events := _confirmed_events(self._layout)):
            # Another process may have made the log after the first look. So look again: if the events that were confirmed
            # before are still not there, they are lost.
            connection = self._opened(events)
        if connection is not None:
            self._local.connection = connection
            with self._guard:
                self._all.append(connection)
        return connection

    def _opened(self, events: int = 0) -> _Looking | None:
        """Open a connection; None if there is no database. Raises _NoRoom, and StorageError if `events` were confirmed in it."""
        path = self._layout.database
        _refuse_links(path)
        if not path.exists():
            _refuse_loss(self._layout, events)
            return None
        sealed = not os.access(path.parent, os.W_OK) and not os.path.exists(f"{path}-wal")
        try:
            connection = self._look(immutable=sealed)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in _NEEDS_WRITER and seal_of(str(self._layout.root)) is not None:
                _recover(path)
                connection = self._look(immutable=False)
            elif _is_full(path.parent) and not _has_content(f"{path}-wal"):
                raise _NoRoom from error
            else:
                raise
        if _version(connection) == 0:
            empty = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None
            connection.close()
            if empty:
                _refuse_loss(self._layout, events)
            return None
        return connection

    def _look(self, *, immutable: bool) -> _Looking:
        """Open a connection and read the version. An immutable one needs no file beside the database, and no room for one."""
        uri = f"{self._layout.database.as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=_Looking,
        )
        try:
            for pragma in LOOKING:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            version = _version(connection)
            if version > schema.VERSION:
                raise newer(f"the database {self._layout.database}")
            if 0 < version < schema.VERSION:
                connection.execute("PRAGMA query_only = OFF")
                connection.derived = chain.derive_beside(connection)
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close the connections of every thread."""
        with self._guard:
            for connection in self._all:
                connection.close()
            self._all.clear()
        self._local = threading.local()

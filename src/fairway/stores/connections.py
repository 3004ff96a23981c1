"""Connections to the database: one for writing under a file lock, one for reading per thread.

Every commit and every checkpoint, of any process, happens under one `flock`; this also closes the WAL-reset
bug of SQLite before 3.51.3. Knows how a database is opened, not what is in its tables.
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
from fairway.stores import chain, schema, sealing
from fairway.stores.durable import sync_folder
from fairway.stores.faults import DiskFailed, disk_failed, explain
from fairway.stores.layout import Layout, newer
from fairway.stores.ownership import Seal, seal_of

CHECKPOINT = 500
"""Pages of 4 KiB, as far as they can be guessed, after which the write-ahead log is moved into the database.

The file is not cut then but written over from its beginning, which makes a commit nearly twice as fast.
"""

_PAGES = 3
"""Pages that a commit writes besides those that its changed rows are on."""

_MAX_WAL = 16 << 20

_BUSY_SECONDS = 30.0
_NEEDS_WRITER = (sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY)
"""What a reader gets from a database whose writer was killed in the middle of creating it."""

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 0",
    f"journal_size_limit = {_MAX_WAL}",
    "fullfsync = ON",
    "checkpoint_fullfsync = ON",
)


LOOKING = ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON")
"""The database may be anybody's when it is looked at."""


def explain_sqlite(error: sqlite3.Error, path: Path) -> StorageError:
    """The error of the database for a person."""
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
    """SQLite reports some ways of running out of space as input/output errors."""
    with suppress(OSError):
        space = os.statvfs(folder)
        return space.f_bavail * space.f_frsize < 1 << 16
    return False


class CommitLock:
    """The lock on `commit.lock` that every process takes to commit or checkpoint."""

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
        """Write down how far the log goes, so that a log cut short is noticed; while the lock is held."""
        mark = chain.mark(connection)
        if mark:
            with suppress(OSError):
                os.pwrite(self._fd, mark, 0)

    def forget(self) -> None:
        """Let no length of the log count as confirmed, because another log is in its place now."""
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Give the file back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class WriteConnection:
    """The only connection of this process that changes the database. Belongs to one thread."""

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
        """A transaction that is durable when the block has ended, and did not happen when it raises.

        Raises:
            StorageError: the database refused; DiskFailed from then on when the disk itself did.
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
                    if connection.total_changes != before and self._seal is not None:
                        sealing.put(connection, self._seal, self._file)
                    connection.execute("COMMIT")
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
        """Move the write-ahead log into the database when it has grown, or now; a full disk puts it off.

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
        """On a full disk, let the next commit write over the write-ahead log; whether that may help."""
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
            # SQLite gives the files beside the database the mode that the database has. A database that is there is
            # never opened past SQLite: to close it would drop the locks of every connection that this process has, and
            # the next process would take the log for nobody's and remove it.
            with suppress(FileExistsError):
                os.close(confined.open_file(str(self._path), os.O_RDWR | os.O_CREAT | os.O_EXCL))
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            _check_version(connection, self._layout)
            logged = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'event'").fetchone()
            self._seal = sealing.admit(connection if logged else None, self._layout, writing=True)
            _bring_up_to_date(connection, self._layout)
            sealing.make_room(connection)
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
    """How far the log went when it was last written, as `chain.mark` notes it."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return confined.read(str(layout.lock))
    return b""


def _confirmed_events(layout: Layout) -> int:
    """How many events were in the log when it was last written."""
    return chain.marked(confirmed(layout))[0]


def _refuse_loss(layout: Layout, events: int) -> None:
    """Where no log is, none may ever have been: a new one in its place would hide the loss."""
    if events:
        raise StorageError(
            f"the log {layout.database} is gone or empty, and {events} events were confirmed in it",
            hint=f"`fairway restore` a backup elsewhere, or begin anew: `mv {layout.root} {layout.root}-lost`",
        )


def _refuse_links(path: Path) -> None:
    """SQLite would follow a link in place of the database, and of the files beside it."""
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


def _finish_what_was_begun(path: Path) -> None:
    """Undo what a process was killed in the middle of, which takes a connection that may write."""
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version").fetchone()


def _has_content(path: str) -> bool:
    with suppress(FileNotFoundError):
        return os.stat(path).st_size > 0
    return False


def _version(connection: sqlite3.Connection) -> int:
    """Of the tables; 0 when there are none yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


class _NoRoom(Exception):
    """The disk is so full that a reader cannot share the database with writers; none has it open."""


class ReadConnections:
    """Read-only connections, one for each thread that asks."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._guard = threading.Lock()

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection | None, None, None]:
        """This thread's connection; None as long as there is no database.

        Raises:
            StorageError: the database is damaged, from a newer Fairway, or cannot be read.
        """
        try:
            try:
                kept: sqlite3.Connection | None = getattr(self._local, "connection", None) or self._open()
            except _NoRoom:
                with closing(self._look(immutable=True)) as passing:
                    yield passing if _version(passing) else None
            else:
                yield kept
        except sqlite3.Error as error:
            raise explain_sqlite(error, self._layout.database) from error
        except UnicodeDecodeError as error:
            raise explain_sqlite(sqlite3.DatabaseError(str(error)), self._layout.database) from error

    def _open(self) -> sqlite3.Connection | None:
        """A connection to keep; None as long as there is no database. Raises _NoRoom."""
        connection = self._opened()
        if connection is None and (events := _confirmed_events(self._layout)):
            # Another process may have made the log since it was looked for. What was confirmed before this second look
            # is there now, or lost.
            connection = self._opened(events)
        if connection is not None:
            self._local.connection = connection
            with self._guard:
                self._all.append(connection)
        return connection

    def _opened(self, events: int = 0) -> sqlite3.Connection | None:
        """A new connection; None for no database. Raises _NoRoom, and StorageError where events were confirmed in none."""
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
                _finish_what_was_begun(path)
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

    def _look(self, *, immutable: bool) -> sqlite3.Connection:
        """A connection that has read something. An immutable one needs no file beside the database, nor room for it."""
        uri = f"{self._layout.database.as_uri()}?mode=ro{'&immutable=1' if immutable else ''}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in LOOKING:
                connection.execute(f"PRAGMA {pragma}").fetchall()
            if _version(connection) > schema.VERSION:
                raise newer(f"the database {self._layout.database}")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Close those of every thread."""
        with self._guard:
            for connection in self._all:
                connection.close()
            self._all.clear()
        self._local = threading.local()

"""The thread that writes to the database. It takes all queued work, commits it together, and then resolves the futures.

It never waits for more work. The next batch collects while the present commit is made durable. Knows transactions and futures,
and not what is written.
"""

import atexit
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from fairway.spec.errors import StorageError
from fairway.stores.connections import WriteConnection
from fairway.stores.faults import DiskFull
from fairway.stores.layout import Layout

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_MAX_BATCH = 5000


class _Job(Generic[T]):
    __slots__ = ("alone", "future", "value", "work")

    def __init__(self, work: Work[T], *, alone: bool) -> None:
        self.work = work
        self.alone = alone
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()
        self.value: T | None = None


class Writer:
    """A queue of work that a thread runs in transactions, many pieces in one. The first piece starts the thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._queue: SimpleQueue[_Job[object] | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Work[T], *, alone: bool = False) -> "Future[T]":
        """Queue work for the next commit. The future gets its result once the commit is durable.

        Args:
            work: changes the database. If it raises, its changes are undone and the future gets the error. It cannot be
                cancelled: a caller that stops waiting does not undo it.
            alone: true if an error is likely. Then the work gets a savepoint, and an error does not repeat the other work.
        """
        job = _Job(work, alone=alone)
        with self._guard:
            if self._closed:
                raise StorageError("the store is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="fairway-writer", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._queue.put(job)  # type: ignore[arg-type]
        return job.future

    def close(self) -> None:
        """Commit the queued work, checkpoint, and end the thread. Later work is refused."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            thread = self._thread
            if thread is not None:
                self._queue.put(None)
        if thread is not None:
            thread.join()
            with suppress(Exception):
                atexit.unregister(self.close)

    def _loop(self) -> None:
        connection: WriteConnection | None = None
        running = True
        while running:
            batch, running = self._next()
            if not batch:
                continue
            try:
                connection = connection or WriteConnection(self._layout)
                self._commit(connection, batch)
                # After the futures have their results: nobody waits for a checkpoint.
                connection.checkpoint()
            except BaseException as error:
                _fail(batch, error)
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _next(self) -> "tuple[list[_Job[object]], bool]":
        batch: list[_Job[object]] = []
        job = self._queue.get()
        while job is not None:
            batch.append(job)
            if len(batch) >= _MAX_BATCH:
                return batch, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _commit(
        self, connection: WriteConnection, batch: "list[_Job[object]]", *, again: bool = False
    ) -> None:
        """Commit a batch in one transaction. If a piece fails, commit each piece in a transaction of its own."""
        raised: list[tuple[_Job[object], BaseException]] = []
        try:
            with connection.transaction() as database:
                for job in batch:
                    error = _perform(database, job)
                    if error is not None:
                        raised.append((job, error))
        except StorageError as error:
            if isinstance(error, DiskFull) and not again and connection.make_room():
                self._commit(connection, batch, again=True)
            else:
                _fail(batch, error)
            return
        except BaseException as error:
            if len(batch) == 1:
                _fail(batch, _refused(error))
                return
            for job in batch:
                self._commit(connection, [job])
            return
        # Only now, after the commit: a result means that the work is durable.
        for job, error in raised:
            job.future.set_exception(error)
        for job in batch:
            if not job.future.done():
                job.future.set_result(job.value)


def _perform(database: sqlite3.Connection, job: "_Job[object]") -> BaseException | None:
    if not job.alone:
        job.value = job.work(database)
        return None
    database.execute("SAVEPOINT job")
    try:
        job.value = job.work(database)
    except BaseException as error:
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise
        database.execute("ROLLBACK TO job")
        database.execute("RELEASE job")
        return _refused(error)
    database.execute("RELEASE job")
    return None


def _refused(error: BaseException) -> BaseException:
    if isinstance(error, sqlite3.IntegrityError):
        return StorageError(f"an event contradicts what is on record ({error})")
    return error


def _fail(jobs: "list[_Job[object]]", error: BaseException) -> None:
    """Give the error to every job without a result."""
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)

"""The one thread that writes: it takes whatever has been queued, commits it together and then tells everyone.

There is no waiting for more: while one commit is being made durable the next one gathers. Knows transactions
and futures, not what is written.
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
    """Runs work inside transactions, many together. The thread starts with the first work."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._queue: SimpleQueue[_Job[object] | None] = SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, work: Work[T], *, alone: bool = False) -> "Future[T]":
        """Queue work for the next commit; the future is answered once it is durable.

        Args:
            work: changes the database; when it raises, nothing of it happens and the future has the error. It
                cannot be cancelled: whoever stops waiting does not make it undone.
            alone: whether raising is to be expected, so that it must not make others be done again.
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
        """Commit what is queued, checkpoint and end the thread. Nothing can be submitted any more."""
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
        """All in one transaction; when one of them cannot be done, each in its own."""
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
    """Give the error to everybody who has no answer yet."""
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)

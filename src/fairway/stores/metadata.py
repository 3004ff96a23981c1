"""The event log of a store and the tables derived from it, in one SQLite file.

Opening costs nothing. The thread of the writer starts with the first event, and every query has an empty answer as long as there
is no database. Several processes may write to a store at once. An object of this module must not be used after a fork.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from fairway.spec.access import acting
from fairway.spec.endpoint import EndpointStatus, RevisionSpec
from fairway.spec.errors import NotFound, StorageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.event import AliasMoved, Body, Event, ModelRegistered, RevisionCreated
from fairway.spec.history import START, Comparison, Position, RunQuery, RunRecord
from fairway.spec.model import Candidate, Lineage, ModelSummary, ModelVersion
from fairway.spec.run import RunStatus, RunSummary
from fairway.spec.schedule import ScheduleStatus
from fairway.spec.serving import Deployment
from fairway.stores import chain, kinds, listing, queries, schedules, schema, sealing
from fairway.stores.connections import LOOKING, ReadConnections, confirmed, explain_sqlite
from fairway.stores.deployments import deployments
from fairway.stores.durable import sync, sync_folder
from fairway.stores.faults import Explaining
from fairway.stores.layout import Layout
from fairway.stores.ownership import Seal
from fairway.stores.queries import CacheHit
from fairway.stores.snapshot import snapshot
from fairway.stores.writer import Writer


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a check of the log: the number of events, and the problems as sentences."""

    events: int
    problems: tuple[str, ...] = ()


class SqliteMetadata:
    """The metadata store of one machine.

    Args:
        who: returns the name of this user. It is written into events, unless the work is done for somebody else.
    """

    def __init__(self, layout: Layout, *, who: Callable[[], str] = str) -> None:
        self._layout = layout
        self._who = who
        self._writer = Writer(layout)
        self._readers = ReadConnections(layout)

    def submit(self, events: Sequence[Event]) -> "Future[int]":
        """Queue events for the next group commit. The future gets the last seq once they are durable.

        It fails with StorageError if the events cannot be made durable or contradict the record. After a full disk, the store
        continues once there is space. After `DiskFailed`, it accepts nothing more.
        """
        # Asked here and not in the thread of the writer, which works for everybody.
        who = self._doer()
        kept = [event if event.who else msgspec.structs.replace(event, who=who) for event in events]
        return self._writer.submit(lambda db: _append(db, kept))

    def why_foreign(self) -> str:
        """Return why the store does not belong to this user, as words that follow "it"; empty if it does. Raises StorageError."""
        with self._readers.reading() as db, Explaining("looking whose the store is", self._layout.root):
            return sealing.why_foreign(db, self._layout)

    def check_kinds(self) -> None:
        """Refuse a log that holds what no Fairway writes, before anything of a foreign store is shown. Raises StorageError."""
        with self._readers.reading() as db, Explaining("looking through the log", self._layout.root):
            if db is not None:
                kinds.check(db, self._layout)

    def require_own(self) -> None:
        """Refuse a store that may only be looked at. Raises ForeignStore."""
        why = self.why_foreign()
        if why:
            raise sealing.foreign(self._layout, why)

    def admitted(self) -> Seal:
        """Return the seal of the store. A store of an earlier Fairway gets its seal here. Raises ForeignStore."""
        with self._readers.reading() as db:
            return sealing.admit(db, self._layout)

    def open_ahead(self) -> None:
        """Open the database for writing in the background. An error shows again at the first write."""
        self._writer.submit(lambda _: None)

    def append(self, events: Sequence[Event]) -> int:
        """Append events, wait until they are durable, and return the last seq. Raises StorageError."""
        return self.submit(events).result()

    def register(
        self,
        candidate: Candidate,
        lineage: Lineage,
        judge: Callable[[Evaluation | None], None],
        aliases: tuple[str, ...],
    ) -> ModelVersion:
        """Give a model its next number in one transaction with the verdict of the gates. A step registers once.

        Args:
            candidate: the model to register.
            lineage: the run and step that made it.
            judge: gets the evaluation of the version in `gates.better_than`, or None, and raises GateRefused. It runs while the
                store is locked and must not use the store.
            aliases: names that move to the new version; `gates.better_than` moves too.
        """
        now, who = time.time(), self._doer()

        def work(db: sqlite3.Connection) -> ModelVersion:
            if lineage.run and (earlier := queries.version_of(db, lineage.run, lineage.step)) is not None:
                return earlier
            rival_alias = candidate.gates.better_than
            number = queries.alias(db, candidate.name, rival_alias) if rival_alias else 0
            rival = queries.version(db, candidate.name, number) if number else None
            judge(rival.evaluation if rival is not None else None)
            version = ModelVersion(
                name=candidate.name,
                version=queries.last_number(db, candidate.name) + 1,
                candidate=candidate,
                lineage=lineage,
                created=now,
            )
            names = dict.fromkeys((*aliases, rival_alias) if rival_alias else aliases)
            bodies: list[Body] = [ModelRegistered(version)]
            bodies += [AliasMoved(candidate.name, name, version.version) for name in names]
            run, step = lineage.run, lineage.step
            chain.append(db, [Event(body=body, run=run, step=step, time=now, who=who) for body in bodies])
            return version

        return self._writer.submit(work, alone=True).result()

    def create_revision(self, revision: RevisionSpec) -> RevisionSpec:
        """Record a revision under the next number of its endpoint and return it with that number."""
        now, who = time.time(), self._doer()

        def work(db: sqlite3.Connection) -> RevisionSpec:
            numbers = db.execute("SELECT max(number) FROM revision WHERE endpoint = ?", (revision.endpoint,))
            numbered = msgspec.structs.replace(
                revision, number=(numbers.fetchone()[0] or 0) + 1, created=revision.created or now
            )
            chain.append(db, [Event(body=RevisionCreated(numbered), time=now, who=who)])
            return numbered

        return self._writer.submit(work, alone=True).result()

    def run_names(self, prefix: str = "", most: int = 0) -> list[str]:
        """Return the names of runs that start with a prefix, newest first; with `most`, of the first so many by name."""
        with self._readers.reading() as db:
            return queries.run_names(db, prefix, most) if db is not None else []

    def runs(self, limit: int = 50) -> list[RunSummary]:
        """Return the newest runs. `alive` is not set."""
        with self._readers.reading() as db:
            return queries.runs(db, limit) if db is not None else []

    def past(
        self, query: RunQuery, bounds: Sequence[Comparison] = (), after: Position = START, most: int = 5000
    ) -> tuple[list[RunRecord], Position]:
        """Return at most `most` runs that a query asks for, in its order. `alive` is not set.

        Its condition counts only as far as the bounds say. The position is that of the last run, to go on from with `after`;
        `START` if there are no more. Raises UsageError if no run has what the list is sorted by.
        """
        with self._readers.reading() as db:
            return listing.past(db, query, bounds, after, most) if db is not None else ([], START)

    def lacking_facts(self, names: Sequence[str]) -> list[str]:
        """Return those of some names that no metric and no parameter of a run has."""
        with self._readers.reading() as db:
            return listing.lacking(db, names) if db is not None else list(names)

    def fact_names(self) -> list[str]:
        """Return the names of all metrics and parameters of runs."""
        with self._readers.reading() as db:
            return listing.names(db) if db is not None else []

    def last_change(self, run: str) -> int:
        """Return the place in the log of the last event of a run; 0 without one."""
        with self._readers.reading() as db:
            return queries.last_change(db, run) if db is not None else 0

    def run(self, name: str) -> RunStatus:
        """Return a run with all its steps. Raises NotFound."""
        with self._readers.reading() as db:
            found = queries.run(db, name) if db is not None and name else None
        if found is None:
            raise NotFound(f"there is no run {name!r}", hint="list the runs with `fairway runs`")
        return found

    def events(self, after: int = 0, run: str = "") -> Iterator[Event]:
        """Yield the durable events with a seq above `after` in order, of one run or of all."""
        while True:
            with self._readers.reading() as db:
                batch = chain.rows(db, after, run) if db is not None else []
            if not batch:
                return
            for row in batch:
                event = row.event()
                if event is not None:
                    yield event
            after = batch[-1].seq

    def deeds(self, who: str = "", before: int = 0) -> Iterator[Event]:
        """Yield the durable events that people cause, newest first, with a seq below `before`; of one person or of all."""
        while True:
            with self._readers.reading() as db:
                batch = chain.deeds(db, who, before) if db is not None else []
            yield from (event for row in batch if (event := row.event()) is not None)
            if not batch:
                return
            before = batch[-1].seq

    def notices(self) -> list[Event]:
        """Return the newest facts about messages to webhooks, oldest first."""
        with self._readers.reading() as db:
            found = chain.notices(db) if db is not None else []
        return [event for row in found if (event := row.event()) is not None]

    def cached(self, key: str) -> CacheHit | None:
        """Return the newest step with this cache key that succeeded; None without one."""
        with self._readers.reading() as db:
            return queries.cached(db, key) if db is not None else None

    def last_parts(self, pipeline: str, task: str, label: str) -> dict[str, str]:
        """Return the parts of the cache key of the newest step with this task and label; empty without one."""
        with self._readers.reading() as db:
            return queries.last_parts(db, pipeline, task, label) if db is not None else {}

    def models(self) -> list[ModelSummary]:
        """Return every model, sorted by name."""
        with self._readers.reading() as db:
            return queries.models(db) if db is not None else []

    def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first. Raises NotFound."""
        with self._readers.reading() as db:
            found = queries.versions(db, model) if db is not None else []
            if not found:
                raise queries.no_model(db, model)
        return found

    def registered_by(self, run: str) -> list[str]:
        """Return the names of the models that a run registered, in order. The run itself is not read."""
        with self._readers.reading() as db:
            return queries.registered_by(db, run) if db is not None else []

    def resolve(self, reference: str) -> ModelVersion:
        """Return the version of a reference: "churn" (the newest), "churn:3" or "churn@champion". Raises NotFound."""
        with self._readers.reading() as db:
            if db is None:
                raise queries.no_model(None, reference)
            return queries.resolve(db, reference)

    def aliases(self, model: str = "") -> dict[str, int]:
        """Return the version of every "name@alias", of one model or of all."""
        with self._readers.reading() as db:
            return queries.aliases(db, model) if db is not None else {}

    def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint in its wanted state, with the revision that it points to and without anything observed.

        A removed endpoint has `wanted` 0 and phase Stopped. One without a revision has `wanted` 0 and phase Pending.
        """
        with self._readers.reading() as db:
            return queries.endpoints(db) if db is not None else []

    def revisions(self, endpoint: str) -> list[RevisionSpec]:
        """Return all revisions of an endpoint, oldest first. Raises NotFound."""
        with self._readers.reading() as db:
            found = queries.revisions(db, endpoint) if db is not None else []
        if not found:
            raise NotFound(
                f"there is no endpoint {endpoint!r}",
                hint="list them with `fairway endpoints`, or `fairway deploy` one",
            )
        return found

    def deployments(self, endpoint: str = "") -> list[Deployment]:
        """Return the newest deployments, newest first, of one endpoint or of all."""
        with self._readers.reading() as db:
            return deployments(db, endpoint) if db is not None else []

    def schedules(self) -> list[ScheduleStatus]:
        """Return every schedule with its last due times, by name."""
        with self._readers.reading() as db:
            return schedules.read(db, schema.decode) if db is not None else []

    def owned(self, owner: str, going: Sequence[str]) -> list[str]:
        """Return the digests that a run or "model NAME:VERSION" needs, and nothing else but what is in `going`."""
        with self._readers.reading() as db:
            return queries.owned(db, owner, going) if db is not None else []

    def owners(self) -> list[tuple[str, str]]:
        """Return every digest with everything that needs it: a run, "model NAME:VERSION", "endpoint NAME"."""
        with self._readers.reading() as db:
            return db.execute("SELECT digest, owner FROM ref").fetchall() if db is not None else []

    def digests(self) -> Iterator[str]:
        """Yield the digest of every artifact in an event, except artifacts that are always inline."""
        with self._readers.reading() as db:
            if db is not None:
                yield from queries.digests(db)

    def verify(self) -> Verified:
        """Check the hashes of all events, the tables against them, and the database file. Raises StorageError."""
        with self._readers.reading() as db:
            if db is None:
                return Verified(events=0)
            with snapshot(db):
                # Read the confirmed end first: a state that is read afterwards reaches at least as far.
                noted = confirmed(self._layout)
                count, problems = chain.check(db)
                problems += [why] if (why := chain.reaches(db, noted)) else []
                problems += [
                    str(row[0]) for row in db.execute("PRAGMA integrity_check(10)") if row[0] != "ok"
                ]
                problems += [] if problems else chain.differences(db)
            return Verified(events=count, problems=tuple(problems))

    def rebuild(self) -> int:
        """Rebuild the derived tables from the log and return the number of events. Raises StorageError."""
        return self._writer.submit(chain.rebuild).result()

    def backup(self, target: Path) -> None:
        """Copy the database in its present state while it is in use.

        Raises:
            StorageError: the database cannot be read, or `target` cannot be written. `target` stays as it was then.
        """
        part = target.with_name(f"{target.name}.part")
        with self._readers.reading() as db, Explaining("writing a backup", target):
            if db is None:
                raise StorageError("there is nothing to back up yet", hint="run a pipeline first")
            try:
                with closing(sqlite3.connect(part)) as copy:
                    db.backup(copy, pages=-1)
                    copy.execute("PRAGMA journal_mode = DELETE").fetchall()
                fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    sync(fd, str(part))
                finally:
                    os.close(fd)
                os.rename(part, target)
                sync_folder(str(target.parent.absolute()))
            finally:
                with suppress(FileNotFoundError):
                    part.unlink()

    def restore(self, source: Path) -> int:
        """Replace the log by that of a backup, derive all tables, and return the number of events.

        Raises:
            StorageError: the backup is damaged or was made by a newer Fairway. Nothing has changed then.
        """
        rows, _ = backed_up(source)

        def work(db: sqlite3.Connection) -> int:
            db.execute("DELETE FROM event")
            sql = "INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?, ?)"
            db.executemany(sql, (msgspec.structs.astuple(row) for row in rows))
            return chain.rebuild(db)

        return self._writer.submit(work).result()

    def close(self) -> None:
        """Commit the queued events, checkpoint, and close the database."""
        self._readers.close()
        self._writer.close()

    def __enter__(self) -> "SqliteMetadata":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _doer(self) -> str:
        """Return the name of the person for whom the present work is done."""
        return acting.get() or self._who()


def _append(db: sqlite3.Connection, events: Sequence[Event]) -> int:
    added = chain.append(db, events)
    if added:
        return added[-1].seq
    found = db.execute("SELECT max(seq) FROM event").fetchone()
    return int(found[0] or 0)


def backed_up(source: Path, *, live: bool = False) -> tuple[list[chain.Row], tuple[int, int, str] | None]:
    """Read the events and the seal of a database that may come from somebody else.

    Args:
        source: path of the database.
        live: true if there may be a write-ahead log beside it.

    Raises:
        StorageError: there is no database, or it is damaged or was made by a newer Fairway.
    """
    if not source.is_file():
        raise StorageError(f"there is no backup {source}", hint="give the path of a file made by a backup")
    try:
        how = "mode=ro" if live else "mode=ro&immutable=1"
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?{how}", uri=True)) as db:
            for pragma in LOOKING:
                db.execute(f"PRAGMA {pragma}").fetchall()
            count, problems = chain.check(db)
            rows = chain.rows(db, limit=count)
            seal = sealing.kept(db)
    except sqlite3.Error as error:
        raise explain_sqlite(error, source) from error
    if problems:
        raise StorageError(f"the backup {source} is damaged: {problems[0]}", hint="use an older backup")
    if any(schema.decode(row.body) is None for row in rows):
        raise StorageError(f"the backup {source} was made by a newer Fairway", hint="upgrade Fairway first")
    return rows, seal

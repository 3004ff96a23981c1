"""The tables of schedules: what is wanted now, and what became of the due times."""

import sqlite3
from collections.abc import Callable, Iterable

from fairway.spec.artifact import Artifact
from fairway.spec.event import Event, ScheduleDue, ScheduleRemoved, ScheduleSet
from fairway.spec.schedule import ScheduleStatus
from fairway.stores.facts import Execute

TABLES = """
CREATE TABLE schedule(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE due(
    name TEXT NOT NULL, at INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(name, at)) WITHOUT ROWID;
"""

_KEPT = 1000
"""Due times of a schedule that are read. An older one comes back only if a clock is put back by as many."""


def changed(execute: Execute, event: Event, body: ScheduleSet) -> None:
    """Put a schedule in place of the earlier one of its name."""
    execute("DELETE FROM ref WHERE owner = ?", (owner(body.schedule.name),))
    execute("INSERT OR REPLACE INTO schedule VALUES(?, ?)", (body.schedule.name, event.seq))


def removed(execute: Execute, event: Event, body: ScheduleRemoved) -> None:
    """Forget a schedule, but not its due times: a new schedule of its name shall repeat none of them."""
    execute("DELETE FROM schedule WHERE name = ?", (body.name,))
    execute("DELETE FROM ref WHERE owner = ?", (owner(body.name),))


def decided(execute: Execute, event: Event, body: ScheduleDue) -> None:
    """Note what became of a due time. The first decision holds."""
    execute("INSERT OR IGNORE INTO due VALUES(?, ?, ?)", (body.name, body.due.at, event.seq))


def owner(name: str) -> str:
    """Return the name under which the content that a schedule needs is kept."""
    return f"schedule {name}"


def artifacts(body: ScheduleSet) -> Iterable[Artifact]:
    """Return the content that a schedule needs: its parameters, and the project that was sent for it."""
    request = body.schedule.request
    bundle = [Artifact(format="folder", digest=request.bundle, size=0, files=True)] if request.bundle else []
    return [*(request.parameters or {}).values(), *bundle]


def read(db: sqlite3.Connection, decode: Callable[[object], object]) -> list[ScheduleStatus]:
    """Return every schedule with its last due times, by name."""
    found: list[ScheduleStatus] = []
    sql = "SELECT schedule.name, event.time, event.body FROM schedule JOIN event USING(seq) ORDER BY schedule.name"
    for name, since, body in db.execute(sql).fetchall():
        told = decode(body)
        if not isinstance(told, ScheduleSet):
            continue
        sql = "SELECT event.body FROM due JOIN event USING(seq) WHERE name = ? ORDER BY at DESC LIMIT ?"
        rows = db.execute(sql, (name, _KEPT)).fetchall()
        dues = [one.due for one in (decode(row[0]) for row in rows) if isinstance(one, ScheduleDue)]
        found.append(ScheduleStatus(spec=told.schedule, since=since, dues=tuple(reversed(dues))))
    return found

"""The rows of runs in a list: all of them, or those at some places in the log. Must not know what the runs are found by."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from fairway.spec.history import RunRecord
from fairway.spec.run import Phase
from fairway.stores import facts

_DENSE = 4
"""The table is read whole if at least one of so many runs is asked for.

To look up a row takes as long as to read a few, because runs lie in the order of their names, in which no list is.
"""

_SCANNED = 2000
"""The runs from which on it is asked if the whole table is to be read, since the answer takes a count of all runs."""

_COLUMNS = "name, pipeline, phase, started, ended, steps, failed, message, facts, note"
_SCAN = f"SELECT seq, {_COLUMNS} FROM run NOT INDEXED WHERE +seq IN (SELECT value FROM json_each(?))"
"""The statement that reads the whole table. The plus keeps SQLite from the index of places."""

_LOOK_UP = f"SELECT seq, {_COLUMNS} FROM json_each(?) AS asked CROSS JOIN run ON run.seq = asked.value"
"""The statement that looks up each place in the index. Without the cross join, SQLite might read the whole table."""

_TAGS_AT = (
    "SELECT tag.run, tag.tag FROM json_each(?) AS asked CROSS JOIN run ON run.seq = asked.value"
    " CROSS JOIN tag ON tag.run = run.name"
)
_PHASES = {phase.value: phase for phase in Phase}


def every(db: sqlite3.Connection) -> list[RunRecord]:
    """Return all runs, newest first. They are read in the order of the table, which is faster than in their own."""
    found = _read(db, db.execute(f"SELECT seq, {_COLUMNS} FROM run NOT INDEXED"), _tags(db))
    return [found[seq] for seq in sorted(found, reverse=True)]


def at(db: sqlite3.Connection, places: Sequence[int]) -> list[RunRecord]:
    """Return the runs at some places in the log, in that order. All of them are read by one statement."""
    asked = f"[{','.join(map(str, places))}]"
    statement = _SCAN if _is_dense(db, len(places)) else _LOOK_UP
    found = _read(db, db.execute(statement, (asked,)), _tags(db, asked))
    return [found[seq] for seq in places if seq in found]


def _read(
    db: sqlite3.Connection, rows: Iterable[Sequence[Any]], tags: Mapping[str, tuple[str, ...]]
) -> dict[int, RunRecord]:
    """Return runs by their places in the log."""
    found: dict[int, RunRecord] = {}
    running = Phase.RUNNING.value
    for seq, name, pipeline, phase, started, ended, steps, failed, message, data, note in rows:
        known = data if phase != running else facts.so_far(db.execute, name, data)
        found[seq] = RunRecord(
            name=name,
            pipeline=pipeline,
            phase=_PHASES[phase],
            started=started,
            ended=ended,
            steps=steps,
            failed=failed,
            message=message,
            facts=msgspec.Raw(known),
            tags=tags.get(name, ()),
            note=note,
        )
    return found


def _is_dense(db: sqlite3.Connection, count: int) -> bool:
    """Tell whether so many runs are read faster by reading all."""
    if count < _SCANNED:
        return False
    return int(db.execute("SELECT count(*) FROM run").fetchone()[0]) <= count * _DENSE


def _tags(db: sqlite3.Connection, asked: str = "") -> dict[str, tuple[str, ...]]:
    """Return the words on each run that has any, sorted.

    Args:
        db: a read connection.
        asked: the places of the runs in the log as JSON; empty for all runs.
    """
    if db.execute("SELECT 1 FROM tag LIMIT 1").fetchone() is None:
        return {}
    found: dict[str, list[str]] = {}
    rows = db.execute(_TAGS_AT, (asked,)) if asked else db.execute("SELECT run, tag FROM tag")
    for run, tag in rows:
        found.setdefault(run, []).append(tag)
    return {run: tuple(sorted(words)) for run, words in found.items()}

"""Copies the rows of one recorded run for many others, because recording each of a million through a client would take hours."""

import sqlite3
import time
from collections.abc import Callable

Row = dict[str, object]
_TOGETHER = 2000


def copy(
    db: sqlite3.Connection,
    keys: dict[str, str],
    first: str,
    runs: int,
    seconds: float,
    of_run: Callable[[str, Row, int], Row],
) -> int:
    """Copy rows until there are so many runs, or until the time is over, and return the number of runs.

    Args:
        db: the database of a tracking server that is not running.
        keys: the column with the run by table, in the order in which rows may refer to one another.
        first: the run that is copied.
        runs: the runs in the end.
        seconds: the time that this may take.
        of_run: takes a table, a row and the place of a run, and returns the columns that differ for that run.
    """
    until = time.monotonic() + seconds
    found: dict[str, tuple[str, list[Row]]] = {}
    for table, key in keys.items():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        marks = ", ".join("?" * len(columns))
        rows = db.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {key} = ?", (first,)).fetchall()
        into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        found[table] = into, [dict(zip(columns, row, strict=True)) for row in rows]
    place = 1
    while place < runs and time.monotonic() < until:
        places = range(place, min(place + _TOGETHER, runs))
        for table, (into, rows) in found.items():
            db.executemany(
                into,
                [tuple((row | of_run(table, row, one)).values()) for one in places for row in rows],
            )
        db.commit()
        place = places[-1] + 1
    return place

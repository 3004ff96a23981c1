"""The tables of what a run is found by: its parameters, last metrics and models, and the words that people put on it.

While a run goes on, its metrics are rows of a table. When it ends, they are joined into one row of the run, so that a
hundred thousand runs are read without a row for each of their metrics.
"""

import math
import sqlite3
from collections.abc import Callable, Iterable

import msgspec

from fairway.spec.artifact import Artifact
from fairway.spec.decoding import UNREADABLE
from fairway.spec.event import Event, MetricsLogged, RunNoted, RunRemoved, RunTagged
from fairway.spec.history import Facts, Scalar, read_facts
from fairway.spec.run import RunSpec
from fairway.spec.wire import DRIVER

Execute = Callable[..., sqlite3.Cursor]

OF_STEP, OF_PIPELINE, OF_MODEL = 0, 1, 2
"""The ranks of a metric. Of equal names, the value with the highest rank counts, and then the newest one."""

TABLES = """
CREATE TABLE metric(
    run TEXT NOT NULL, name TEXT NOT NULL, rank INTEGER NOT NULL, step TEXT NOT NULL, seq INTEGER NOT NULL,
    value REAL, PRIMARY KEY(run, name, rank, step)) WITHOUT ROWID;
CREATE TABLE tag(tag TEXT NOT NULL, run TEXT NOT NULL, PRIMARY KEY(tag, run)) WITHOUT ROWID;
"""

_MOST_NAMES = 500
"""The metrics of a run by which it is found."""

_LONGEST = 300
"""The characters of a parameter that is a text by which a run is found."""

_encode = msgspec.json.Encoder().encode
_scalar: "msgspec.json.Decoder[Scalar]" = msgspec.json.Decoder(bool | int | float | str | None)


def begun(spec: RunSpec) -> bytes:
    """Return the facts of a run that begins."""
    return _encode(Facts({name: _value(spec, name) for name in {**spec.shown, **spec.parameters}}))


def _value(spec: RunSpec, name: str) -> Scalar:
    artifact: Artifact | None = spec.parameters.get(name)
    shown = spec.shown.get(name, "")
    if artifact is None or artifact.format != "json" or artifact.inline is None:
        return shown[:_LONGEST] or (artifact.note if artifact is not None else "")
    try:
        value = _scalar.decode(artifact.inline)
    except UNREADABLE:
        return (shown or artifact.note)[:_LONGEST]
    return value[:_LONGEST] if isinstance(value, str) else value


def logged(execute: Execute, event: Event, body: MetricsLogged) -> None:
    """Keep the last value of each metric that a step or the pipeline logged."""
    if event.run:
        rank = OF_PIPELINE if event.step == DRIVER else OF_STEP
        put(execute, event, rank, {point.name: point.value for point in body.points})


def put(execute: Execute, event: Event, rank: int, values: dict[str, float]) -> None:
    """Keep values by name as those of the event's step."""
    for name, value in values.items():
        execute(
            "INSERT OR REPLACE INTO metric VALUES(?, ?, ?, ?, ?, ?)",
            (event.run, name, rank, event.step, event.seq, None if math.isnan(value) else value),
        )


def repeat(execute: Execute, event: Event, run: str, step: str) -> None:
    """Keep the metrics of the step whose result was used again as those of the event's step."""
    execute(
        "INSERT OR REPLACE INTO metric SELECT ?, name, rank, ?, ?, value FROM metric"
        " WHERE run = ? AND rank = 0 AND step = ?",
        (event.run, event.step, event.seq, run, step),
    )


def ended(execute: Execute, run: str, models: Iterable[str]) -> None:
    """Join the metrics and models of a run with its parameters."""
    found = execute("SELECT facts FROM run WHERE name = ?", (run,)).fetchone()
    if found is None:
        return
    values = metrics(execute, run)
    facts = Facts(read_facts(found[0]).parameters, values, tuple(models))
    execute("UPDATE run SET facts = ? WHERE name = ?", (_encode(facts), run))


def so_far(execute: Execute, run: str, begun: bytes) -> bytes:
    """Return the facts of a run that goes on, from those with which it began."""
    return _encode(Facts(read_facts(begun).parameters, metrics(execute, run)))


def metrics(execute: Execute, run: str) -> dict[str, float | None]:
    """Return the value of each metric of a run that counts."""
    sql = "SELECT name, value FROM metric WHERE run = ? ORDER BY rank, seq"
    values: dict[str, float | None] = dict(execute(sql, (run,)).fetchall())
    return dict(list(values.items())[:_MOST_NAMES])


def tagged(execute: Execute, event: Event, body: RunTagged) -> None:
    """Put a word on a run, or take it off."""
    if body.present:
        execute("INSERT OR IGNORE INTO tag SELECT ?, name FROM run WHERE name = ?", (body.tag, event.run))
    else:
        execute("DELETE FROM tag WHERE tag = ? AND run = ?", (body.tag, event.run))


def noted(execute: Execute, event: Event, body: RunNoted) -> None:
    """Write a text on a run."""
    execute("UPDATE run SET note = ? WHERE name = ?", (body.note, event.run))


def removed(execute: Execute, event: Event, body: RunRemoved) -> None:
    """Forget a run. What is on record about it in the log stays there."""
    execute("DELETE FROM run WHERE name = ?", (event.run,))
    for table in ("step", "metric", "tag", "cache"):
        execute(f"DELETE FROM {table} WHERE run = ?", (event.run,))
    execute("DELETE FROM ref WHERE owner = ?", (event.run,))

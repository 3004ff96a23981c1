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
CREATE TABLE fact(
    kind INTEGER NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, value,
    PRIMARY KEY(kind, name, seq)) WITHOUT ROWID;
CREATE INDEX fact_value ON fact(kind, name, value, seq);
CREATE TABLE tag(tag TEXT NOT NULL, run TEXT NOT NULL, PRIMARY KEY(tag, run)) WITHOUT ROWID;
CREATE INDEX tag_run ON tag(run, tag);
"""
"""The tables of metrics, facts and tags. A fact is a parameter or metric of a run.

The values of one name lie together in the order of the runs, so that a million of them are compared or sorted at once.
"""

PARAMETER, METRIC = 0, 1
"""The kinds of facts."""

KINDS = {
    "metric": METRIC, "metrics": METRIC,
    "parameter": PARAMETER, "parameters": PARAMETER, "params": PARAMETER, "param": PARAMETER,
}  # fmt: skip
"""The kinds of facts by the words before a dot in a condition."""

_MOST_NAMES = 500
"""The metrics of a run by which it is found."""

_LONGEST = 300
"""The characters of a parameter that is a text by which a run is found."""

_encode = msgspec.json.Encoder().encode
_scalar: "msgspec.json.Decoder[Scalar]" = msgspec.json.Decoder(bool | int | float | str | None)


def begun(execute: Execute, spec: RunSpec, seq: int) -> bytes:
    """Return the facts of a run that begins, and keep each so that the run is found by it."""
    parameters = {name: _value(spec, name) for name in {**spec.shown, **spec.parameters}}
    for name, value in parameters.items():
        execute("INSERT OR REPLACE INTO fact VALUES(?, ?, ?, ?)", (PARAMETER, name, seq, _kept(value)))
    return _encode(Facts(parameters))


def _kept(value: Scalar) -> Scalar:
    """Return a value as a table keeps it. A whole number that is too large for one becomes a float."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 2**1000 else None
    return value


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
        kept = None if math.isnan(value) else value
        execute(
            "INSERT OR REPLACE INTO metric VALUES(?, ?, ?, ?, ?, ?)",
            (event.run, name, rank, event.step, event.seq, kept),
        )
        execute(_COUNTS, (METRIC, name, kept, event.run, event.run, name, rank))


_COUNTS = """INSERT OR REPLACE INTO fact SELECT ?, ?, run.seq, ? FROM run WHERE run.name = ?
    AND NOT EXISTS(SELECT 1 FROM metric WHERE metric.run = ? AND metric.name = ? AND metric.rank > ?)"""
"""The statement that keeps a value by which a run is found, unless a value with a higher rank counts."""


def repeat(execute: Execute, event: Event, run: str, step: str) -> None:
    """Keep the metrics of the step whose result was used again as those of the event's step."""
    execute(
        "INSERT OR REPLACE INTO metric SELECT ?, name, rank, ?, ?, value FROM metric"
        " WHERE run = ? AND rank = 0 AND step = ?",
        (event.run, event.step, event.seq, run, step),
    )
    copied = execute("SELECT name, value FROM metric WHERE run = ? AND rank = 0 AND step = ?", (run, step))
    for name, value in copied.fetchall():
        execute(_COUNTS, (METRIC, name, value, event.run, event.run, name, OF_STEP))


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
    found = execute("SELECT seq, facts FROM run WHERE name = ?", (event.run,)).fetchone()
    if found is not None:
        names = [(PARAMETER, name) for name in read_facts(found[1]).parameters]
        metrics = execute("SELECT DISTINCT name FROM metric WHERE run = ?", (event.run,)).fetchall()
        for kind, name in [*names, *((METRIC, name) for (name,) in metrics)]:
            execute("DELETE FROM fact WHERE kind = ? AND name = ? AND seq = ?", (kind, name, found[0]))
    execute("DELETE FROM run WHERE name = ?", (event.run,))
    for table in ("step", "metric", "tag", "cache"):
        execute(f"DELETE FROM {table} WHERE run = ?", (event.run,))
    execute("DELETE FROM ref WHERE owner = ?", (event.run,))

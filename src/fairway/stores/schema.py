"""The tables of the metadata store: the event log, which is the truth, and the tables that `apply` derives from it.

A derived row has the fields for searching and the seq of the event with the details. So no row grows, and nothing is stored
twice. `apply` uses only the event and the tables, and never a clock. So applying the whole log again gives the same tables.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from fairway.spec.artifact import Artifact, Node, walk
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError
from fairway.spec.event import (
    AliasMoved,
    AttemptEnded,
    AttemptStarted,
    Body,
    EndpointPointed,
    Event,
    MetricsLogged,
    ModelRegistered,
    PictureShown,
    RevisionCreated,
    RunEnded,
    RunNoted,
    RunRemoved,
    RunResumed,
    RunStarted,
    RunTagged,
    ScheduleDue,
    ScheduleRemoved,
    ScheduleSet,
    StepCalled,
    StepEnded,
    VersionRemoved,
)
from fairway.spec.run import Phase
from fairway.stores import facts, schedules
from fairway.stores.earlier import folded

VERSION = 5
"""Version of the tables. A database with an older version gets its derived tables rebuilt from the log."""

IS_DEED = """kind IN ('run.started', 'run.resumed', 'run.stop_asked', 'run.tagged', 'run.noted', 'run.removed',
 'version.removed', 'alias.moved', 'endpoint.pointed', 'store.cleaned', 'token.given', 'token.taken',
 'webhook.set', 'webhook.removed')"""
"""The condition for events that people cause. The index has it in the same words, because SQLite compares them."""

IS_NOTICE = "kind IN ('webhook.due', 'webhook.posted')"
"""The condition for events about messages to webhooks, in the words of the index."""

_ORDERS = (
    "CREATE INDEX IF NOT EXISTS run_started ON run(started, seq)",
    "CREATE INDEX IF NOT EXISTS run_took ON run(max(0, ended - started), seq) WHERE ended > 0",
)
"""The statements that make the indexes of the orders of runs."""

_ALL_ORDERS = ";".join(_ORDERS)

INDEXES = (
    "DROP INDEX IF EXISTS event_deed",
    f"CREATE INDEX IF NOT EXISTS event_deeds ON event(seq, who) WHERE {IS_DEED}",
    f"CREATE INDEX IF NOT EXISTS event_notices ON event(seq) WHERE {IS_NOTICE}",
    *_ORDERS,
)
"""The statements that make the indexes that came later. A store of an earlier version gets them when it is next written."""

LOG = """
CREATE TABLE IF NOT EXISTS event(
    seq INTEGER PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, kind TEXT NOT NULL,
    time REAL NOT NULL, who TEXT NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS event_run ON event(run, seq) WHERE run != '';
"""

DERIVED = f"""
CREATE TABLE run(
    name TEXT PRIMARY KEY, seq INTEGER NOT NULL, pipeline TEXT NOT NULL, phase TEXT NOT NULL,
    started REAL NOT NULL, ended REAL NOT NULL, steps INTEGER NOT NULL, failed INTEGER NOT NULL,
    message TEXT NOT NULL, facts BLOB NOT NULL, note TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX run_seq ON run(seq, pipeline, phase, started, ended, name, message, note);
CREATE INDEX run_pipeline ON run(pipeline, seq);
{_ALL_ORDERS};
CREATE TABLE step(
    run TEXT NOT NULL, name TEXT NOT NULL, called INTEGER NOT NULL, task TEXT NOT NULL, label TEXT NOT NULL,
    phase TEXT NOT NULL, PRIMARY KEY(run, name)) WITHOUT ROWID;
CREATE TABLE cache(
    key TEXT PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE parts(
    pipeline TEXT NOT NULL, task TEXT NOT NULL, label TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY(pipeline, task, label)) WITHOUT ROWID;
CREATE TABLE model_version(
    model TEXT NOT NULL, version INTEGER NOT NULL, run TEXT, step TEXT, seq INTEGER NOT NULL,
    removed INTEGER NOT NULL, PRIMARY KEY(model, version), UNIQUE(run, step)) WITHOUT ROWID;
CREATE TABLE alias(
    model TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY(model, alias)) WITHOUT ROWID;
CREATE TABLE endpoint(
    name TEXT PRIMARY KEY, address TEXT NOT NULL, wanted INTEGER NOT NULL, pointed INTEGER NOT NULL,
    reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE revision(
    endpoint TEXT NOT NULL, number INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY(endpoint, number)) WITHOUT ROWID;
CREATE TABLE pointed(seq INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, number INTEGER NOT NULL);
CREATE INDEX pointed_endpoint ON pointed(endpoint, seq);
CREATE TABLE ref(
    digest TEXT NOT NULL, owner TEXT NOT NULL, PRIMARY KEY(digest, owner)) WITHOUT ROWID;
CREATE INDEX ref_owner ON ref(owner);
{facts.TABLES}{schedules.TABLES}"""

TABLES = (
    "run", "step", "cache", "parts", "model_version", "alias", "endpoint", "revision", "pointed", "ref", "metric",
    "fact", "tag", "schedule", "due",
)  # fmt: skip
"""The derived tables."""

_encode = msgspec.json.Encoder().encode
_decoder: "msgspec.json.Decoder[Body]" = msgspec.json.Decoder(Body)  # pyright: ignore[reportArgumentType]


def encode(body: Body) -> bytes:
    """Encode the body of an event in the form that is stored and hashed."""
    return _encode(body)


def decode(data: object) -> Body | None:
    """Decode a stored body; None for a kind of event that only a newer Fairway knows.

    Args:
        data: what the column holds. Whoever made the file may have put there anything that SQLite keeps.

    Raises:
        StorageError: the body is not JSON any more.
    """
    try:
        if not isinstance(data, bytes):
            raise msgspec.DecodeError(f"it holds no bytes but {type(data).__name__}")
        return folded(_decoder.decode(data), data)
    except msgspec.ValidationError:
        return None
    except UNREADABLE as error:
        raise StorageError(
            f"an event in the log is damaged ({error})",
            hint="see how much with `fairway doctor`, or `fairway restore` a backup elsewhere",
        ) from error


def kind_of(body: Body) -> str:
    """Return the kind of an event, such as "step.ended"."""
    return str(body.__struct_config__.tag)


def apply(connection: sqlite3.Connection, event: Event) -> None:
    """Update the derived tables with an event that has its seq."""
    change = _CHANGES.get(type(event.body))
    if change is not None:
        change(connection.execute, event, event.body)
    found = list(_artifacts(event.body))
    owner = _owner(event)
    digests = [(artifact.digest, owner) for artifact in found if artifact.inline is None]
    digests += [(artifact.code, owner) for artifact in found if artifact.code]
    if digests:
        connection.executemany("INSERT OR IGNORE INTO ref VALUES(?, ?)", digests)


def index(connection: sqlite3.Connection) -> None:
    """Make the indexes that are not there yet."""
    for statement in INDEXES:
        connection.execute(statement)


def _owner(event: Event) -> str:
    """Return the name of what needs the content in an event. It is kept until that is removed."""
    body = event.body
    if isinstance(body, ModelRegistered):
        return f"model {body.version.name}:{body.version.version}"
    if isinstance(body, ScheduleSet):
        return schedules.owner(body.schedule.name)
    return f"endpoint {body.revision.endpoint}" if isinstance(body, RevisionCreated) else event.run


_Execute = facts.Execute


def _run_started(execute: _Execute, event: Event, body: RunStarted) -> None:
    execute(
        "INSERT INTO run VALUES(?, ?, ?, ?, ?, 0, 0, 0, '', ?, '')",
        (
            event.run,
            event.seq,
            body.spec.pipeline,
            Phase.RUNNING.value,
            event.time,
            facts.begun(execute, body.spec, event.seq),
        ),
    )


def _run_resumed(execute: _Execute, event: Event, body: RunResumed) -> None:
    execute(
        "UPDATE run SET phase = ?, ended = 0, message = '' WHERE name = ?", (Phase.RUNNING.value, event.run)
    )
    execute(
        "UPDATE step SET phase = ? WHERE run = ? AND phase = ?",
        (Phase.PENDING.value, event.run, Phase.RUNNING.value),
    )


def _run_ended(execute: _Execute, event: Event, body: RunEnded) -> None:
    message = body.failure.message if body.failure is not None else ""
    execute(
        "UPDATE run SET phase = ?, ended = ?, message = ? WHERE name = ?",
        (body.phase.value, event.time, message, event.run),
    )
    sql = "SELECT model, version FROM model_version WHERE run = ? ORDER BY seq"
    models = execute(sql, (event.run,)).fetchall()
    facts.ended(execute, event.run, [f"{model}:{version}" for model, version in models])


def _step_called(execute: _Execute, event: Event, body: StepCalled) -> None:
    values = (event.run, event.step, event.seq, body.spec.task, body.spec.label, Phase.PENDING.value)
    if execute("INSERT OR IGNORE INTO step VALUES(?, ?, ?, ?, ?, ?)", values).rowcount:
        execute("UPDATE run SET steps = steps + 1 WHERE name = ?", (event.run,))
        return
    _set_phase(execute, event, Phase.PENDING)
    execute(
        "UPDATE step SET task = ?, label = ? WHERE run = ? AND name = ?",
        (body.spec.task, body.spec.label, event.run, event.step),
    )


def _attempt_started(execute: _Execute, event: Event, body: AttemptStarted) -> None:
    _set_phase(execute, event, Phase.RUNNING)


def _attempt_ended(execute: _Execute, event: Event, body: AttemptEnded) -> None:
    if body.result.metrics:
        facts.put(execute, event, facts.OF_STEP, body.result.metrics)


def _step_ended(execute: _Execute, event: Event, body: StepEnded) -> None:
    _set_phase(execute, event, body.phase)
    if body.cached:
        facts.repeat(execute, event, body.source_run, body.source_step)
    if body.key and body.phase is Phase.SUCCEEDED:
        execute(
            "INSERT OR REPLACE INTO cache VALUES(?, ?, ?, ?)", (body.key, event.run, event.step, event.seq)
        )
    if body.parts:
        execute(
            "INSERT OR REPLACE INTO parts SELECT run.pipeline, step.task, step.label, ? FROM step JOIN run"
            " ON run.name = step.run WHERE step.run = ? AND step.name = ?",
            (event.seq, event.run, event.step),
        )


def _set_phase(execute: _Execute, event: Event, phase: Phase) -> None:
    found = execute("SELECT phase FROM step WHERE run = ? AND name = ?", (event.run, event.step)).fetchone()
    if found is None or found[0] == phase.value:
        return
    execute("UPDATE step SET phase = ? WHERE run = ? AND name = ?", (phase.value, event.run, event.step))
    change = (phase is Phase.FAILED) - (found[0] == Phase.FAILED.value)
    if change:
        execute("UPDATE run SET failed = failed + ? WHERE name = ?", (change, event.run))


def _model_registered(execute: _Execute, event: Event, body: ModelRegistered) -> None:
    version = body.version
    made_by = (version.lineage.run, version.lineage.step) if version.lineage.run else (None, None)
    execute(
        "INSERT INTO model_version VALUES(?, ?, ?, ?, ?, 0)",
        (version.name, version.version, *made_by, event.seq),
    )
    if event.run and version.evaluation is not None:
        facts.put(execute, event, facts.OF_MODEL, version.evaluation.metrics)


def _version_removed(execute: _Execute, event: Event, body: VersionRemoved) -> None:
    # The row stays, so that no later version gets the number.
    execute(
        "UPDATE model_version SET removed = 1 WHERE model = ? AND version = ?", (body.model, body.version)
    )
    execute("DELETE FROM ref WHERE owner = ?", (f"model {body.model}:{body.version}",))


def _alias_moved(execute: _Execute, event: Event, body: AliasMoved) -> None:
    if body.version:
        execute("INSERT OR REPLACE INTO alias VALUES(?, ?, ?)", (body.model, body.alias, body.version))
    else:
        execute("DELETE FROM alias WHERE model = ? AND alias = ?", (body.model, body.alias))


def _revision_created(execute: _Execute, event: Event, body: RevisionCreated) -> None:
    revision = body.revision
    execute("INSERT INTO revision VALUES(?, ?, ?)", (revision.endpoint, revision.number, event.seq))
    execute(
        "INSERT INTO endpoint VALUES(?, ?, 0, 0, '') ON CONFLICT(name)"
        " DO UPDATE SET address = coalesce(nullif(excluded.address, ''), address)",
        (revision.endpoint, body.address),
    )


def _endpoint_pointed(execute: _Execute, event: Event, body: EndpointPointed) -> None:
    execute(
        "UPDATE endpoint SET wanted = ?, pointed = 1, reason = ?, address = coalesce(nullif(?, ''), address)"
        " WHERE name = ?",
        (body.number, body.reason, body.address, body.endpoint),
    )
    execute("INSERT INTO pointed VALUES(?, ?, ?)", (event.seq, body.endpoint, body.number))


_CHANGES: dict[type, Callable[[_Execute, Event, Any], None]] = {
    RunStarted: _run_started,
    RunResumed: _run_resumed,
    RunEnded: _run_ended,
    StepCalled: _step_called,
    AttemptStarted: _attempt_started,
    AttemptEnded: _attempt_ended,
    MetricsLogged: facts.logged,
    RunTagged: facts.tagged,
    RunNoted: facts.noted,
    RunRemoved: facts.removed,
    VersionRemoved: _version_removed,
    ScheduleSet: schedules.changed,
    ScheduleRemoved: schedules.removed,
    ScheduleDue: schedules.decided,
    StepEnded: _step_ended,
    ModelRegistered: _model_registered,
    AliasMoved: _alias_moved,
    RevisionCreated: _revision_created,
    EndpointPointed: _endpoint_pointed,
}


def _artifacts(body: Body) -> Iterable[Artifact]:
    """Return every artifact in the body of an event."""
    if isinstance(body, AttemptEnded):
        return (*body.result.outputs, *body.result.shown.values())
    if isinstance(body, PictureShown):
        return (body.picture,)
    if isinstance(body, ScheduleSet):
        return schedules.artifacts(body)
    if isinstance(body, StepEnded):
        return body.outputs
    if isinstance(body, StepCalled):
        return _leaves(body.spec.inputs.values())
    if isinstance(body, RunStarted):
        spec = body.spec
        kept = (spec.packages, spec.git.difference if spec.git is not None else None)
        inputs = _leaves(spec.repeats.step.inputs.values()) if spec.repeats is not None else []
        return (*spec.parameters.values(), *_bundle(spec.code), *filter(None, kept), *inputs)
    if isinstance(body, RunResumed):
        return _bundle(body.code)
    if isinstance(body, RunEnded):
        return _leaves([body.result] if body.result is not None else [])
    if isinstance(body, ModelRegistered):
        candidate = body.version.candidate
        return [
            found
            for found in (candidate.artifact, candidate.compiled, candidate.samples)
            if found is not None
        ]
    if isinstance(body, RevisionCreated):
        layers = [Artifact(format="layer", digest=one, size=0) for one in body.revision.layers]
        return [*layers, *filter(None, (body.revision.source, body.revision.models))]
    return ()


def _bundle(code: str) -> list[Artifact]:
    return [Artifact(format="folder", digest=code, size=0, files=True)] if code else []


def _leaves(nodes: Iterable[Node]) -> list[Artifact]:
    return [leaf for node in nodes for leaf in walk(node) if isinstance(leaf, Artifact)]

"""The queries of the derived tables, as functions of a read connection.

A row names the event with the details, and this module decodes the event. Knows nothing about writing.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import EndpointStatus, RevisionSpec
from fairway.spec.errors import NotFound, StorageError
from fairway.spec.event import Body, ModelRegistered, RevisionCreated, StepEnded
from fairway.spec.model import ModelSummary, ModelVersion, Reference
from fairway.spec.run import Phase, RunStatus, RunSummary
from fairway.stores import schema
from fairway.stores.folding import RunFold

_SHOWN = 40
"""Maximum number of letters of a reference that an error repeats."""

_BEHIND_ALL = "\U0010ffff"
"""The last of all characters. A prefix with it is behind every name with the prefix."""


class CacheHit(msgspec.Struct, kw_only=True):
    """An earlier result that can be used again."""

    run: str
    step: str
    outputs: tuple[Artifact, ...] = ()


def run_names(db: sqlite3.Connection, prefix: str, most: int = 0) -> list[str]:
    """Return the names of runs that start with a prefix, newest first; with `most`, of the first so many by name."""
    # A range is found by the primary key. A comparison of beginnings would look at every run.
    sql = (
        "SELECT name FROM (SELECT name, seq FROM run WHERE name >= ? AND name < ? ORDER BY name LIMIT ?)"
        " ORDER BY seq DESC"
    )
    return [name for (name,) in db.execute(sql, (prefix, prefix + _BEHIND_ALL, most or -1))]


def runs(db: sqlite3.Connection, limit: int) -> list[RunSummary]:
    """Return the newest runs."""
    step = "SELECT name FROM step WHERE run = run.name AND phase = 'Failed' ORDER BY called LIMIT 1"
    columns = (
        f"name, pipeline, phase, started, ended, steps, failed, message, CASE WHEN failed THEN ({step}) END"
    )
    sql = f"SELECT {columns} FROM run ORDER BY seq DESC LIMIT ?"
    return [
        RunSummary(
            name=name,
            pipeline=pipeline,
            phase=Phase(phase),
            started=started,
            ended=ended,
            steps=steps,
            failed=failed,
            message=message,
            failed_step=step or "",
        )
        for name, pipeline, phase, started, ended, steps, failed, message, step in db.execute(sql, (limit,))
    ]


def last_change(db: sqlite3.Connection, run: str) -> int:
    """Return the place in the log of the last event of a run; 0 without one."""
    found = db.execute("SELECT max(seq) FROM event WHERE run = ? AND run != ''", (run,)).fetchone()
    return int(found[0] or 0)


def run(db: sqlite3.Connection, name: str) -> RunStatus | None:
    """Return a run with all its steps; None if there is no such run."""
    fold = RunFold()
    sql = "SELECT body, step, time FROM event WHERE run = ? AND run != '' ORDER BY seq"
    for data, step, time in db.execute(sql, (name,)):
        body = schema.decode(data)
        if body is not None:
            fold.fold(body, step, time)
    return fold.status()


def cached(db: sqlite3.Connection, key: str) -> CacheHit | None:
    """Return the newest step with this cache key that succeeded; None without one."""
    sql = "SELECT cache.run, cache.step, body FROM cache JOIN event USING(seq) WHERE key = ?"
    found = db.execute(sql, (key,)).fetchone()
    if found is None:
        return None
    body = _body(found[2], StepEnded)
    return CacheHit(run=found[0], step=found[1], outputs=body.outputs)


def last_parts(db: sqlite3.Connection, pipeline: str, task: str, label: str) -> dict[str, str]:
    """Return the parts of the cache key of the newest step with this task and label; empty without one."""
    sql = "SELECT body FROM parts JOIN event USING(seq) WHERE pipeline = ? AND task = ? AND label = ?"
    found = db.execute(sql, (pipeline, task, label)).fetchone()
    return _body(found[0], StepEnded).parts if found is not None else {}


def models(db: sqlite3.Connection) -> list[ModelSummary]:
    """Return every model, sorted by name."""
    meant: dict[str, dict[str, int]] = {}
    for model, alias, version in db.execute("SELECT model, alias, version FROM alias ORDER BY model, alias"):
        meant.setdefault(model, {})[alias] = version
    sql = (
        "SELECT model, versions, body FROM"
        " (SELECT model, count(*) AS versions, max(seq) AS seq FROM model_version WHERE NOT removed GROUP BY model)"
        " JOIN event USING(seq) ORDER BY model"
    )
    return [
        ModelSummary(name=model, newest=_version(body), versions=count, aliases=meant.get(model, {}))
        for model, count, body in db.execute(sql)
    ]


def versions(db: sqlite3.Connection, model: str) -> list[ModelVersion]:
    """Return all versions of a model, oldest first; empty if there is no such model."""
    sql = "SELECT body FROM model_version JOIN event USING(seq) WHERE model = ? AND NOT removed ORDER BY version"
    return [_version(body) for (body,) in db.execute(sql, (model,))]


def version(db: sqlite3.Connection, model: str, number: int) -> ModelVersion | None:
    """Return a version of a model; number 0 means the newest. None if there is none."""
    sql = (
        "SELECT body FROM model_version JOIN event USING(seq) WHERE model = ? AND (version = ? OR ? = 0)"
        " AND NOT removed ORDER BY version DESC LIMIT 1"
    )
    found = db.execute(sql, (model, number, number)).fetchone()
    return _version(found[0]) if found is not None else None


def last_number(db: sqlite3.Connection, model: str) -> int:
    """Return the highest number that a version of a model ever had; 0 without one."""
    found = db.execute("SELECT max(version) FROM model_version WHERE model = ?", (model,)).fetchone()
    return int(found[0] or 0)


def version_of(db: sqlite3.Connection, run: str, step: str) -> ModelVersion | None:
    """Return the version that a step registered; None without one."""
    sql = "SELECT body FROM model_version AS made JOIN event USING(seq) WHERE made.run = ? AND made.step = ?"
    found = db.execute(sql, (run, step)).fetchone()
    return _version(found[0]) if found is not None else None


def registered_by(db: sqlite3.Connection, run: str) -> list[str]:
    """Return the names of the models that a run registered, in order."""
    sql = "SELECT model FROM model_version WHERE run = ? AND NOT removed GROUP BY model ORDER BY min(seq)"
    return [str(model) for (model,) in db.execute(sql, (run,))]


def alias(db: sqlite3.Connection, model: str, name: str) -> int:
    """Return the version of an alias; 0 if there is no such alias."""
    found = db.execute("SELECT version FROM alias WHERE model = ? AND alias = ?", (model, name)).fetchone()
    return int(found[0]) if found is not None else 0


def resolve(db: sqlite3.Connection, reference: str) -> ModelVersion:
    """Return the version of a reference: "churn" (the newest), "churn:3" or "churn@champion".

    Raises:
        NotFound: there is no such model, version or alias.
        UsageError: the reference has none of these forms.
    """
    asked = Reference.parse(reference)
    number = alias(db, asked.model, asked.rest) if asked.mark == "@" else asked.number
    found = version(db, asked.model, number) if number or not asked.mark else None
    if found is not None:
        return found
    return _missing(db, asked.model, asked.mark + asked.rest)


def _missing(db: sqlite3.Connection, model: str, rest: str) -> ModelVersion:
    newest = version(db, model, 0)
    if newest is None:
        raise no_model(db, model)
    if rest.startswith("@"):
        names = [
            name for (name,) in db.execute("SELECT alias FROM alias WHERE model = ? ORDER BY alias", (model,))
        ]
        known = f"its aliases are {', '.join(names)}" if names else "it has no aliases"
        raise NotFound(
            f"model {model} has no alias {rest[1:]!r}",
            hint=f"{known}; set one with `fairway models alias {model} {rest[1:]} VERSION`",
        )
    asked = rest[1:] if len(rest) <= _SHOWN else f"{rest[1:_SHOWN]}…"
    raise NotFound(f"model {model} has no version {asked}", hint=f"the newest is {model}:{newest.version}")


def no_model(db: sqlite3.Connection | None, model: str) -> NotFound:
    """Return the error for an unknown model. It lists the known models."""
    names: list[str] = []
    if db is not None:
        sql = "SELECT DISTINCT model FROM model_version WHERE NOT removed ORDER BY model LIMIT 11"
        names = [name for (name,) in db.execute(sql)]
    known = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return NotFound(
        f"there is no model {model!r}",
        hint=f"the models are {known}" if names else "register one with `fw.register` in a pipeline",
    )


def aliases(db: sqlite3.Connection, model: str) -> dict[str, int]:
    """Return the version of every "name@alias", of one model or of all."""
    sql = "SELECT model, alias, version FROM alias WHERE model = ? OR ? = '' ORDER BY model, alias"
    return {f"{name}@{alias}": version for name, alias, version in db.execute(sql, (model, model))}


def endpoints(db: sqlite3.Connection) -> list[EndpointStatus]:
    """Return every endpoint in its wanted state. Removed ones are Stopped; ones without a revision are Pending."""
    sql = (
        "SELECT endpoint.name, address, wanted, pointed, reason, body FROM endpoint"
        " LEFT JOIN revision ON revision.endpoint = endpoint.name AND revision.number = endpoint.wanted"
        " LEFT JOIN event ON event.seq = revision.seq ORDER BY endpoint.name"
    )
    found: list[EndpointStatus] = []
    for name, address, wanted, pointed, reason, body in db.execute(sql):
        revision = _revision(body) if body is not None else None
        found.append(
            EndpointStatus(
                name=name,
                address=address,
                wanted=wanted,
                workers=revision.replicas.low if revision is not None else 0,
                phase="Stopped" if pointed and not wanted else "Pending",
                reason=reason,
                revision=revision,
            )
        )
    return found


def revisions(db: sqlite3.Connection, endpoint: str) -> list[RevisionSpec]:
    """Return all revisions of an endpoint, oldest first; empty if there is no such endpoint."""
    sql = "SELECT body FROM revision JOIN event USING(seq) WHERE endpoint = ? ORDER BY number"
    return [_revision(body) for (body,) in db.execute(sql, (endpoint,))]


def owned(db: sqlite3.Connection, owner: str, going: Sequence[str]) -> list[str]:
    """Return the digests that an owner needs, and nothing else but what is going."""
    marks = ", ".join("?" * len(going)) or "''"
    sql = (
        "SELECT digest FROM ref AS mine WHERE owner = ? AND NOT EXISTS"
        f" (SELECT 1 FROM ref WHERE digest = mine.digest AND owner != mine.owner AND owner NOT IN ({marks}))"
    )
    return [digest for (digest,) in db.execute(sql, (owner, *going))]


def digests(db: sqlite3.Connection) -> Iterator[str]:
    """Yield the digest of every artifact in an event, except artifacts that are always inline."""
    last = ""
    while True:
        sql = "SELECT DISTINCT digest FROM ref WHERE digest > ? ORDER BY digest LIMIT 1000"
        batch = [digest for (digest,) in db.execute(sql, (last,))]
        yield from batch
        if not batch:
            return
        last = batch[-1]


def _version(body: bytes) -> ModelVersion:
    return _body(body, ModelRegistered).version


def _revision(body: bytes) -> RevisionSpec:
    return _body(body, RevisionCreated).revision


_Kind = TypeVar("_Kind", ModelRegistered, RevisionCreated, StepEnded)


def _body(data: bytes, kind: type[_Kind]) -> _Kind:
    found: Body | None = schema.decode(data)
    if not isinstance(found, kind):
        raise StorageError(
            "the tables of the database do not match its log",
            hint="rebuild them with `fairway doctor --rebuild`",
        )
    return found

"""The query of deployments. A revision holds a whole model version, of which only the name and number are decoded here."""

import sqlite3

import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError
from fairway.spec.quantities import Bounds
from fairway.spec.serving import Deployment

_MOST = 500


class _Version(msgspec.Struct):
    name: str
    version: int


class _Revision(msgspec.Struct):
    model: _Version | None = None
    function: str = ""
    replicas: Bounds = Bounds()
    key_digest: str = ""


class _Created(msgspec.Struct):
    revision: _Revision


class _Pointed(msgspec.Struct):
    reason: str = ""


def deployments(db: sqlite3.Connection, endpoint: str) -> list[Deployment]:
    """Return the newest deployments, newest first, of one endpoint or of all. Raises StorageError."""
    conditions = "WHERE pointed.endpoint = :endpoint" if endpoint else ""
    sql = (
        "SELECT pointed.endpoint, pointed.number, event.time, event.who, event.body, made.body FROM pointed"
        " JOIN event USING(seq) LEFT JOIN revision"
        " ON revision.endpoint = pointed.endpoint AND revision.number = pointed.number"
        f" LEFT JOIN event AS made ON made.seq = revision.seq {conditions} ORDER BY pointed.seq DESC LIMIT {_MOST}"
    )
    return [_deployment(*row) for row in db.execute(sql, {"endpoint": endpoint})]


def _deployment(
    endpoint: str, number: int, time: float, who: str, pointed: bytes, made: bytes | None
) -> Deployment:
    try:
        reason = msgspec.json.decode(pointed, type=_Pointed).reason
        revision = msgspec.json.decode(made, type=_Created).revision if made is not None else _Revision()
    except UNREADABLE as error:
        raise StorageError(
            f"an event in the log is damaged ({error})", hint="see how much with `fairway doctor`"
        ) from error
    model = revision.model
    return Deployment(
        endpoint=endpoint,
        revision=number,
        time=time,
        who=who,
        reason=reason,
        model=model.name if model is not None else "",
        version=model.version if model is not None else 0,
        function=revision.function,
        replicas=revision.replicas,
        private=bool(revision.key_digest),
    )

"""Reads the events that earlier versions wrote in another form. The log itself is never changed.

Until version 0.1 an endpoint was a port of this machine, and a revision had an exact number of workers.
"""

import msgspec

from fairway.spec.endpoint import Bounds
from fairway.spec.event import Body, EndpointPointed, RevisionCreated


class _Revision(msgspec.Struct, frozen=True):
    workers: int | None = None


class _Endpoint(msgspec.Struct, frozen=True):
    """The fields of an endpoint's events that are written in another form now."""

    port: int = 0
    revision: _Revision = _Revision()


_decode = msgspec.json.Decoder(_Endpoint).decode


def folded(body: Body, data: bytes) -> Body:
    """Return an event's body with what its stored form `data` says in the words of an earlier version."""
    if not isinstance(body, RevisionCreated | EndpointPointed) or b'"port":' not in data:
        return body
    said = _decode(data)
    if said.port:
        body = msgspec.structs.replace(body, address=f"http://127.0.0.1:{said.port}")
    if isinstance(body, RevisionCreated) and said.revision.workers is not None:
        replicas = Bounds.exactly(said.revision.workers)
        body = msgspec.structs.replace(
            body, revision=msgspec.structs.replace(body.revision, replicas=replicas)
        )
    return body

"""The check that a run of this project made a registered model: the only reason to trust content that can run code.

The record of the version itself proves nothing. The log of its run must hold the digest of exactly this content: as
the output of a step, as an input of the registration, or in the result of the registration. Source files that travel
with the model must be those that the same run registered with the same content.
"""

from collections.abc import Iterable, Iterator

import msgspec

from fairway.spec.artifact import Artifact, walk
from fairway.spec.decoding import UNREADABLE
from fairway.spec.event import AttemptEnded, Event, StepCalled, StepEnded
from fairway.spec.model import ModelVersion


def made_here(version: ModelVersion, events: Iterable[Event]) -> bool:
    """Tell whether the log holds a version's content and its source files, if it has any.

    Args:
        version: the version.
        events: the events of the run `version.lineage.run`.
    """
    lineage, model = version.lineage, version.candidate.artifact
    if not lineage.run or not model.digest:
        return False
    content, code = False, not model.code
    for event in events:
        if event.run != lineage.run:
            continue
        for artifact in _contents(event):
            inline = artifact.inline or b""
            registered = event.step == lineage.step and model.digest.encode() in inline
            content = content or registered or artifact.digest == model.digest
            code = code or (registered and _registered_with(inline) == (model.digest, model.code))
        if content and code:
            return True
    return False


def _contents(event: Event) -> Iterator[Artifact]:
    """Yield the artifacts in an event."""
    body = event.body
    if isinstance(body, StepEnded):
        yield from body.outputs
    elif isinstance(body, AttemptEnded):
        yield from body.result.outputs
    elif isinstance(body, StepCalled):
        for node in body.spec.inputs.values():
            yield from (leaf for leaf in walk(node) if isinstance(leaf, Artifact))


class _Digests(msgspec.Struct):
    digest: str
    code: str


class _Artifact(msgspec.Struct):
    fields: _Digests


class _CandidateFields(msgspec.Struct):
    artifact: _Artifact


class _Candidate(msgspec.Struct):
    fields: _CandidateFields


class _VersionFields(msgspec.Struct):
    candidate: _Candidate


class _Version(msgspec.Struct):
    """The part of a stored version that names its content and source files."""

    fields: _VersionFields


def _registered_with(result: bytes) -> tuple[str, str]:
    """Return the digests of the content and of the source files of the version that a step registered."""
    try:
        stored = msgspec.json.decode(result, type=_Version).fields.candidate.fields.artifact.fields
    except UNREADABLE:
        return "", ""
    return stored.digest, stored.code

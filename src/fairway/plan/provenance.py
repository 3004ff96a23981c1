"""Whether this project's own run made a registered model: the only reason to trust content that can run code.

The version's word for it counts for nothing. The log of its run must tell of the very content, by digest: as what a
step left, as what the pipeline handed over to be registered, or as what registering it made of that. Pure.
"""

from collections.abc import Iterable, Iterator

from fairway.spec.artifact import Artifact, walk
from fairway.spec.event import AttemptEnded, Event, StepCalled, StepEnded
from fairway.spec.model import ModelVersion


def made_here(version: ModelVersion, events: Iterable[Event]) -> bool:
    """Whether the log holds the version's content.

    Args:
        events: of the run `version.lineage.run`.
    """
    lineage, digest = version.lineage, version.candidate.artifact.digest
    if not lineage.run or not digest:
        return False
    for event in events:
        if event.run != lineage.run:
            continue
        for artifact in _told(event):
            if artifact.digest == digest:
                return True
            if event.step == lineage.step and digest.encode() in (artifact.inline or b""):
                return True
    return False


def _told(event: Event) -> Iterator[Artifact]:
    """The content that an event tells of."""
    body = event.body
    if isinstance(body, StepEnded):
        yield from body.outputs
    elif isinstance(body, AttemptEnded):
        yield from body.result.outputs
    elif isinstance(body, StepCalled):
        for node in body.spec.inputs.values():
            yield from (leaf for leaf in walk(node) if isinstance(leaf, Artifact))

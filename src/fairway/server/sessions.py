"""Sessions for code outside a run that asks for registered models: an endpoint's function, a script, a test.

A session gets the models that it can offer and opens no log. A model server takes them from its revision, and a script from the
store.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from fairway import formats
from fairway.spec.artifact import Artifact, RefData
from fairway.spec.endpoint import Offer, RevisionSpec
from fairway.spec.errors import FairwayError, NotFound
from fairway.spec.model import ModelVersion, Reference
from fairway.spec.run import MetricPoint, StepSpec

Open = Callable[[Artifact], Path | bytes]
"""A function that returns the content of an artifact."""

_decoder = msgspec.json.Decoder(list[Offer])


class ModelSession:
    """A session that offers registered models. It loads each of them once.

    Args:
        find: returns the model of a reference such as "churn@champion". Raises NotFound, UsageError.
        open: returns the content of an artifact.
    """

    pipeline = False

    def __init__(self, find: Callable[[str], Offer], open: Open) -> None:
        self._find = find
        self._open = open
        self._loaded: dict[tuple[str, str], object] = {}

    def model(self, reference: str) -> tuple[ModelVersion, object]:
        """Find a version. Return it with a function that loads its model once."""
        offer = self._find(reference)
        return offer.version, lambda: self._load(offer)

    def log(self, points: tuple[MetricPoint, ...]) -> None:
        """Do nothing, because only a run keeps metrics."""

    def show(self, title: str, value: object) -> None:
        """Do nothing, because only a run keeps pictures."""

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        """Refuse to start a step. Never called, because a task outside a run just runs."""
        raise FairwayError(f"{spec.task} cannot be started inside an endpoint")

    def wait(self, ref: RefData) -> object:
        """Refuse to wait for a step. Never called, because there is no Ref outside a run."""
        raise FairwayError(f"{ref.step} is not known inside an endpoint")

    def _load(self, offer: Offer) -> object:
        artifact = offer.version.candidate.artifact
        key = (artifact.digest, artifact.code)
        if key not in self._loaded:
            self._loaded[key] = formats.load_model(artifact, self._open, trusted=offer.trusted)
        return self._loaded[key]


def offered(revision: RevisionSpec, open: Open) -> Callable[[str], Offer]:
    """Make the function that finds the models of a revision. The deployment decided what each reference means.

    The list is read now and not at the first request, so that a worker without it never becomes ready.
    """
    content = open(revision.models) if revision.models is not None else b"[]"
    offers = _decoder.decode(content if isinstance(content, bytes) else content.read_bytes())
    known = {(offer.version.name, offer.version.version): offer for offer in offers}
    return lambda text: _found(Reference.parse(text), known, revision.aliases)


def _found(reference: Reference, known: Mapping[tuple[str, int], Offer], aliases: Mapping[str, int]) -> Offer:
    asked = f"{reference.model}{reference.mark}{reference.rest}"
    found = known.get((reference.model, reference.number or aliases.get(asked, 0)))
    if found is not None:
        return found
    again = "`fairway deploy` the endpoint again: it may ask for what is registered by then"
    if reference.model not in aliases:
        raise NotFound(f"there was no model {reference.model!r} when this endpoint was deployed", hint=again)
    what = f"alias {reference.rest!r}" if reference.mark == "@" else f"version {reference.rest[:40]}"
    raise NotFound(f"model {reference.model} had no {what} when this endpoint was deployed", hint=again)

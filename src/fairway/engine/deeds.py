"""The deeds of people, told from the log: which facts are deeds, and the words for each.

Must not know who asks.
"""

from collections.abc import Callable
from typing import Any

from fairway.ports import MetadataStore
from fairway.spec.deeds import Deed, DeedQuery, Kind
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.event import (
    AliasMoved,
    Body,
    EndpointPointed,
    Event,
    RunNoted,
    RunRemoved,
    RunResumed,
    RunStarted,
    RunStopAsked,
    RunTagged,
    StoreCleaned,
    TokenGiven,
    TokenTaken,
    VersionRemoved,
    WebhookRemoved,
    WebhookSet,
)
from fairway.spec.quantities import format_memory

_Words = tuple[Kind, str, str, str]
"""Kind and name of the thing, the word for the change, and the detail."""


def deeds(metadata: MetadataStore, query: DeedQuery) -> list[Deed]:
    """Return the deeds that a query asks for, newest first."""
    telling = _Telling(metadata)
    found: list[Deed] = []
    for event in metadata.deeds(query.who, query.before):
        deed = telling.deed(event)
        if deed is None or query.kind not in (None, deed.kind) or query.name not in ("", deed.name):
            continue
        found.append(deed)
        if len(found) == query.limit:
            break
    return found


class _Telling:
    """The words for facts. The content of a revision is read once for each endpoint."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._metadata = metadata
        self._served: dict[str, dict[int, str]] = {}

    def deed(self, event: Event) -> Deed | None:
        """Return a fact as a deed; None for a fact that nobody asked for."""
        body = event.body
        told = self._pointed(body) if isinstance(body, EndpointPointed) else _in_words(event)
        if told is None:
            return None
        kind, name, did, detail = told
        return Deed(
            number=event.seq, time=event.time, who=event.who, did=did, kind=kind, name=name, detail=detail
        )

    def _pointed(self, body: EndpointPointed) -> _Words:
        did, back, before = body.reason.partition(" from ")
        if not body.number:
            known = did == "undeployed"
            return "endpoint", body.endpoint, "undeployed", "" if known else body.reason
        detail = f"revision {body.number}{self._what(body.endpoint, body.number)}"
        return "endpoint", body.endpoint, did or "deployed", f"{detail}, from {before}" if back else detail

    def _what(self, endpoint: str, number: int) -> str:
        if endpoint not in self._served:
            self._served[endpoint] = {one.number: _content(one) for one in self._metadata.revisions(endpoint)}
        what = self._served[endpoint].get(number, "")
        return f": {what}" if what else ""


def _content(revision: RevisionSpec) -> str:
    if revision.model is not None:
        return f"{revision.model.name}:{revision.model.version}"
    return f"function {revision.function}"


def _in_words(event: Event) -> _Words | None:
    tell = _TOLD.get(type(event.body))
    return tell(event, event.body) if tell is not None else None


def _started(event: Event, body: RunStarted) -> _Words:
    return "run", event.run, "started", body.spec.pipeline


def _on_run(did: str) -> Callable[[Event, Body], _Words]:
    return lambda event, body: ("run", event.run, did, "")


def _tagged(event: Event, body: RunTagged) -> _Words:
    return "run", event.run, "tagged" if body.present else "untagged", body.tag


def _noted(event: Event, body: RunNoted) -> _Words:
    return "run", event.run, "noted", body.note


def _version_removed(event: Event, body: VersionRemoved) -> _Words:
    return "model", body.model, "removed", f"version {body.version}"


def _alias(event: Event, body: AliasMoved) -> _Words:
    what = f"{body.alias} to version {body.version}" if body.version else body.alias
    by = f", by run {event.run}" if event.run else ""
    return "model", body.model, "moved alias" if body.version else "removed alias", f"{what}{by}"


def _cleaned(event: Event, body: StoreCleaned) -> _Words:
    return "store", "", "cleaned", f"{body.blobs} blobs, {format_memory(body.size)}"


def _given(event: Event, body: TokenGiven) -> _Words:
    return "token", body.name, "given", body.role


def _taken(event: Event, body: TokenTaken) -> _Words:
    return "token", body.name, "taken", ""


def _hook_set(event: Event, body: WebhookSet) -> _Words:
    hook = body.webhook
    of = f" of {hook.pipeline}" if hook.pipeline else ""
    return "webhook", hook.name, "set", f"{hook.place} on {', '.join(hook.on)}{of}"


def _hook_removed(event: Event, body: WebhookRemoved) -> _Words:
    return "webhook", body.name, "removed", ""


_TOLD: dict[type, Callable[[Event, Any], _Words]] = {
    RunStarted: _started,
    RunResumed: _on_run("resumed"),
    RunStopAsked: _on_run("cancelled"),
    RunTagged: _tagged,
    RunNoted: _noted,
    RunRemoved: _on_run("removed"),
    VersionRemoved: _version_removed,
    AliasMoved: _alias,
    StoreCleaned: _cleaned,
    TokenGiven: _given,
    TokenTaken: _taken,
    WebhookSet: _hook_set,
    WebhookRemoved: _hook_removed,
}

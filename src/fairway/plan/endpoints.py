"""Decisions about endpoints, from a comparison of the wanted with the observed ones.

The decision is level-triggered: it does not depend on earlier events. Only the tries are remembered, because they
space out repeated failures. This module must not know what a worker is or how a revision gets its workers.
"""

from collections.abc import Iterable, Mapping

import msgspec

from fairway.spec.endpoint import Bounds, EndpointStatus

HEALTHY_SECONDS = 60.0
"""Time without a further try after which earlier tries are forgotten."""

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_READY_COUNT = 3


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint on record: the revision that should answer, or 0 for none, and the bounds of its workers."""

    name: str
    revision: int
    replicas: Bounds = Bounds()


class Tries(msgspec.Struct, frozen=True):
    """The number of recent actions on an endpoint, and the time of the last one in monotonic seconds."""

    count: int = 0
    last: float = 0.0


class Roll(msgspec.Struct, frozen=True, tag="roll"):
    """The action that gives a revision its workers and ends those of other revisions."""

    name: str
    revision: int


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """The action that removes an endpoint."""

    name: str


Action = Roll | Remove


def decide(
    wanted: Iterable[Wanted],
    observed: Mapping[str, EndpointStatus],
    tries: Mapping[str, Tries],
    now: float,
) -> list[Action]:
    """Return the actions that are due now.

    An observed endpoint that is not on record is left alone: a record that cannot be read is no reason to end it.
    """
    actions: list[Action] = []
    for endpoint in wanted:
        seen = observed.get(endpoint.name)
        if endpoint.revision == 0:
            if seen is not None:
                actions.append(Remove(endpoint.name))
        elif not _as_wanted(endpoint, seen) and now >= due(tries.get(endpoint.name)):
            actions.append(Roll(endpoint.name, endpoint.revision))
    return actions


def due(tries: Tries | None) -> float:
    """Return the time of the next permitted action: at once the first time, then after delays that double."""
    if tries is None or tries.count == 0:
        return float("-inf")
    return tries.last + min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(tries.count - 1, 16))


def tried(tries: Tries | None, now: float) -> Tries:
    """Return the tries after another one at `now`."""
    if tries is None or now - tries.last > HEALTHY_SECONDS:
        return Tries(1, now)
    return Tries(tries.count + 1, now)


def succeeded(tries: Tries) -> Tries:
    """Return the tries after a try that made the endpoint ready.

    Their number is reduced: a worker that was ready and died is started again sooner than one that never starts.
    """
    return Tries(min(tries.count, _READY_COUNT), tries.last)


def _as_wanted(endpoint: Wanted, seen: EndpointStatus | None) -> bool:
    """Tell whether the wanted revision answers alone, with a permitted number of workers.

    Each number within the bounds is right: an autoscaler chooses it, and a roll would undo its choice.
    """
    return (
        seen is not None
        and seen.serving == endpoint.revision
        and not seen.others
        and seen.ready in endpoint.replicas
        and seen.workers <= endpoint.replicas.high
    )

"""Decides what to do about endpoints, by comparing those that are wanted with those that are seen. Pure.

The decision is level-triggered: it does not depend on what happened before, except for the tries, which space out
repeated failures. Must not know what a worker is or how a revision gets its workers.
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
    """An endpoint on record: the revision that should answer, 0 for none, and how many workers it may have."""

    name: str
    revision: int
    replicas: Bounds = Bounds()


class Tries(msgspec.Struct, frozen=True):
    """Number of times that something was done about an endpoint in short order, and when last, in monotonic seconds."""

    count: int = 0
    last: float = 0.0


class Roll(msgspec.Struct, frozen=True, tag="roll"):
    """Give a revision its workers and end those of other revisions."""

    name: str
    revision: int


class Remove(msgspec.Struct, frozen=True, tag="remove"):
    """Take an endpoint away."""

    name: str


Action = Roll | Remove


def decide(
    wanted: Iterable[Wanted],
    observed: Mapping[str, EndpointStatus],
    tries: Mapping[str, Tries],
    now: float,
) -> list[Action]:
    """Return what has to be done now.

    An endpoint that is seen but is not on record is left alone: a record that cannot be read is no reason to end it.
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
    """Return when something may be done again: at once the first time, then after delays that double."""
    if tries is None or tries.count == 0:
        return float("-inf")
    return tries.last + min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(tries.count - 1, 16))


def tried(tries: Tries | None, now: float) -> Tries:
    """Return the tries after one more at `now`."""
    if tries is None or now - tries.last > HEALTHY_SECONDS:
        return Tries(1, now)
    return Tries(tries.count + 1, now)


def succeeded(tries: Tries) -> Tries:
    """Return the tries after one that made the endpoint ready.

    They count as few: a worker that was ready once and died is started again sooner than one that never starts.
    """
    return Tries(min(tries.count, _READY_COUNT), tries.last)


def _as_wanted(endpoint: Wanted, seen: EndpointStatus | None) -> bool:
    """Tell whether the right revision answers alone, with as many workers as it may have.

    Each number within the bounds is right: between them somebody else decides, and to roll would undo that.
    """
    return (
        seen is not None
        and seen.serving == endpoint.revision
        and not seen.others
        and seen.ready in endpoint.replicas
        and seen.workers <= endpoint.replicas.high
    )

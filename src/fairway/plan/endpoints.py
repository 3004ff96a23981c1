"""What to do about endpoints: compares those that are wanted with those that are seen. Pure.

Level-triggered: the same answer whatever happened before, except for the tries, which space out repeated failures.
Must not know what a worker is or how a revision gets its own.
"""

from collections.abc import Iterable, Mapping

import msgspec

from fairway.spec.endpoint import EndpointStatus

HEALTHY_SECONDS = 60.0
"""After so long without a further try, earlier ones are forgotten."""

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_READY_COUNT = 3


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint on record: the revision that should answer, 0 for none, and its number of workers."""

    name: str
    revision: int
    workers: int = 0


class Tries(msgspec.Struct, frozen=True):
    """How often in short order something was done about an endpoint, and when last, in monotonic seconds."""

    count: int = 0
    last: float = 0.0


class Roll(msgspec.Struct, frozen=True, tag="roll"):
    """Give a revision all its workers and end those of others."""

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
    """What has to be done now. In `observed`, `workers` counts the living ones of all revisions.

    What is seen but not on record is left alone: that nothing is known of it is no reason to end it.
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
    """When something may be done again: at once the first time, then after delays that double."""
    if tries is None or tries.count == 0:
        return float("-inf")
    return tries.last + min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(tries.count - 1, 16))


def tried(tries: Tries | None, now: float) -> Tries:
    """The tries after one more at `now`."""
    if tries is None or now - tries.last > HEALTHY_SECONDS:
        return Tries(1, now)
    return Tries(tries.count + 1, now)


def succeeded(tries: Tries) -> Tries:
    """The tries after one that made it ready: what dies later is back sooner than what never starts."""
    return Tries(min(tries.count, _READY_COUNT), tries.last)


def _as_wanted(endpoint: Wanted, seen: EndpointStatus | None) -> bool:
    return (
        seen is not None
        and seen.serving == endpoint.revision
        and seen.ready == endpoint.workers
        and seen.workers == endpoint.workers
    )

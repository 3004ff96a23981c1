"""The past of an endpoint: when each revision served, and which one a rollback leads to."""

import msgspec

from fairway.spec.serving import Deployment


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which a revision should answer. `until` is 0 for the one that should answer now."""

    deployment: Deployment
    until: float


def times(deployments: list[Deployment]) -> list[Served]:
    """Return the times of an endpoint's revisions, newest first.

    Args:
        deployments: the deployments of one endpoint, newest first.
    """
    ends = [0.0, *(one.time for one in deployments)]
    return [Served(deployment=one, until=end) for one, end in zip(deployments, ends, strict=False)]


def last_times(deployments: list[Deployment]) -> list[Served]:
    """Return the last time of each revision of an endpoint, newest revision first."""
    found: dict[int, Served] = {}
    for one in times(deployments):
        if one.deployment.revision:
            found.setdefault(one.deployment.revision, one)
    return [found[number] for number in sorted(found, reverse=True)]


def before(deployments: list[Deployment], current: int) -> Served | None:
    """Return the last time of the revision that a rollback should lead to; None without one.

    It is the newest one with a lower number that serves another version. A revision with other replicas of the same version is no
    way back. The code of a function has no number, so there every earlier revision is another one.

    Args:
        deployments: the deployments of one endpoint, newest first.
        current: the number of the revision that should answer now.
    """
    past = last_times(deployments)
    now = next((one.deployment for one in past if one.deployment.revision == current), None)
    for one in past:
        made = one.deployment
        if made.revision < current and (now is None or made.function or made.serves != now.serves):
            return one
    return None

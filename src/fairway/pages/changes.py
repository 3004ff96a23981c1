"""Changes of endpoints that were begun on a page: they go on when the page is closed, and tell how they ended.

A change takes as long as its servers need to start. So a form begins it and leads to the page of the endpoint, which shows it.
"""

import asyncio
import copy
import time
from collections.abc import Awaitable

import msgspec
from starlette.responses import Response

from fairway.pages.visit import Visit, address
from fairway.spec.endpoint import Deployed, EndpointStatus
from fairway.spec.errors import FairwayError, UsageError

_MOST = 200


class Change(msgspec.Struct, kw_only=True):
    """A change of an endpoint.

    Attributes:
        what: the change as words, such as "Deploying churn version 3".
        who: the person who began it.
        begun: the time of its begin in seconds since the epoch.
        ended: the time of its end; 0 while it is under way.
        outcome: the endpoint as it was right after the change; None for a removal.
        error: the reason why the change was not made.
        key: the key of the endpoint, until it was shown.
    """

    what: str
    who: str
    begun: float
    ended: float = 0.0
    outcome: Deployed | None = None
    error: FairwayError | None = None
    key: str = ""

    @property
    def under_way(self) -> bool:
        """True until the change is over."""
        return not self.ended


class Changes:
    """The last change of each endpoint."""

    def __init__(self) -> None:
        self._by_endpoint: dict[str, Change] = {}
        self._work: set[asyncio.Task[None]] = set()

    def of(self, endpoint: str) -> Change | None:
        """Return the last change of an endpoint that was begun on a page, as it is now; None without one.

        Ask this before the endpoint is looked at: an endpoint that was looked at first may not show a change that is over.
        """
        return copy.copy(self._by_endpoint.get(endpoint))

    def begin(self, endpoint: str, what: str, who: str, work: Awaitable[Deployed | None]) -> None:
        """Carry out a change in the background. Raises UsageError if another one is under way."""
        last = self._by_endpoint.get(endpoint)
        if last is not None and last.under_way:
            asyncio.ensure_future(work).cancel()
            raise UsageError(
                f"{endpoint} is being changed: {last.what}", hint="wait for the end of that, and try again"
            )
        change = Change(what=what, who=who, begun=time.time())
        self._by_endpoint.pop(endpoint, None)
        self._by_endpoint[endpoint] = change
        over = [name for name, one in self._by_endpoint.items() if not one.under_way]
        for name in over[: max(0, len(self._by_endpoint) - _MOST)]:
            del self._by_endpoint[name]
        task = asyncio.get_running_loop().create_task(_carry_out(change, work))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def take_key(self, endpoint: str, who: str) -> str:
        """Return the key that the last change of an endpoint made, once, to the person who began it; else an empty text."""
        change = self._by_endpoint.get(endpoint)
        if change is None or change.who != who:
            return ""
        key, change.key = change.key, ""
        return key


class Forms:
    """The forms that change endpoints.

    Args:
        changes: carries changes out.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def _begin(self, visit: Visit, endpoint: str, what: str, work: Awaitable[Deployed | None]) -> Response:
        """Begin a change, and lead to the page of its endpoint."""
        self._changes.begin(endpoint, what, visit.actor.name, work)
        return visit.go(address("endpoints", endpoint))


def check_seen(endpoint: str, now: EndpointStatus | None, seen: str, shown: str, hint: str) -> None:
    """Refuse a form that was made while another revision of its endpoint was wanted. Raises UsageError.

    Args:
        endpoint: the name of the endpoint.
        now: the endpoint; None if there is none of this name.
        seen: the number of the revision that was wanted when the form was made.
        shown: the form's place, such as "page".
        hint: what to do instead.
    """
    if seen != str(now.wanted if now is not None else 0):
        raise UsageError(f"{endpoint} has changed since this {shown} was made", hint=hint)


async def _carry_out(change: Change, work: Awaitable[Deployed | None]) -> None:
    try:
        outcome = await work
        if outcome is not None:
            change.key = outcome.key
            outcome = msgspec.structs.replace(outcome, key="")
        change.outcome = outcome
    except FairwayError as error:
        change.error = error
    except Exception as error:
        change.error = FairwayError(f"it failed within Fairway: {type(error).__name__}: {error}")
    finally:
        change.ended = time.time()

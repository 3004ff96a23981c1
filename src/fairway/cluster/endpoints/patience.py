"""The judgement how long a revision is waited for, from what its pods and the events about them tell."""

import time
from collections.abc import Awaitable, Callable

import msgspec

from fairway.cluster.endpoints import reasons
from fairway.cluster.endpoints.observed import Deployment
from fairway.cluster.endpoints.reasons import Crashes, Reason
from fairway.cluster.observed import Event, Pod

_EVENTS_SECONDS = 5.0
"""Seconds that lie at least between two questions for events."""

Events = Callable[[str], Awaitable[tuple[Event, ...]]]
"""A function that returns the events about a pod."""


class Patience:
    """The patience with one revision, from its making on.

    Args:
        events: returns the events about a pod.
    """

    def __init__(self, events: Events) -> None:
        self._ask = events
        self._began = time.monotonic()
        self._running = 0.0
        self._crashes = Crashes()
        self._asked = 0.0
        self._events: tuple[Event, ...] = ()

    async def judge(self, pods: tuple[Pod, ...], deployment: Deployment | None) -> Reason:
        """Return why the pods are not ready, and whether waiting helps."""
        now = time.monotonic()
        waited = now - self._began
        if any(pod.status.phase == "Running" for pod in pods) and not self._running:
            self._running = now
        await self._look(pods, now)
        self._crashes.note(pods)
        reason = reasons.why(pods, deployment, waited, self._events)
        if self._crashes.are_certain:
            return msgspec.structs.replace(reason, final=True)
        running = now - self._running if self._running else 0.0
        if running > reasons.START_SECONDS or waited > reasons.PENDING_SECONDS + running:
            return reasons.late(reason, waited)
        return reason

    async def _look(self, pods: tuple[Pod, ...], now: float) -> None:
        """Ask for the events about a pod that waits, but not too often."""
        waiting = next((pod for pod in pods if pod.status.phase == "Pending"), None)
        if waiting is not None and now - max(self._asked, self._began) > _EVENTS_SECONDS:
            self._asked = now
            self._events = await self._ask(waiting.metadata.name)

"""The output of servers that have ended, kept by the control plane while it lives.

The cluster keeps what the last container of a pod printed before its restart. It keeps nothing of the ones before that, and
nothing of a pod that is gone.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from fairway.cluster.endpoints import naming
from fairway.cluster.observed import Pod
from fairway.spec.endpoint import ServerLine
from fairway.spec.errors import FairwayError

_MOST_ENDS = 20
_MOST_BYTES = 64 * 2**10
_MOST_SEEN = 1000
_SECOND = 19
"""Letters of a time in RFC 3339 up to its second, to which the end of a container is known."""

Read = Callable[[str, bool], Awaitable[list[tuple[str, str]]]]
"""A function that returns the times and lines of the container of a pod, or of the one before that."""


class EndedOutput:
    """The last lines of the servers that ended, by endpoint.

    Args:
        read: returns what the container of a pod printed, or with True the one before it.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._ends: dict[str, deque[list[ServerLine]]] = {}
        self._seen: dict[tuple[str, str], None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self, pods: Iterable[Pod]) -> None:
        """Read the output of each container whose end is new."""
        for pod in pods:
            for container in pod.status.container_statuses:
                for state in (container.last_state, container.state):
                    ended = state.terminated
                    if ended is not None and ended.finished_at:
                        self._note(pod, ended.finished_at)

    def lines(self, service: str) -> list[ServerLine]:
        """Return the lines of the servers of an endpoint that ended, the oldest end first. It may be called on any thread."""
        return [line for end in list(self._ends.get(service, ())) for line in end]

    def _note(self, pod: Pod, finished: str) -> None:
        key = (pod.metadata.uid, finished)
        if key in self._seen:
            return
        self._seen[key] = None
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        task = asyncio.get_running_loop().create_task(self._keep(pod, finished))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, pod: Pod, finished: str) -> None:
        """Keep what a container printed until its end. The next one may have begun meanwhile."""
        for previous in (False, True):
            found: list[tuple[str, str]] = []
            with suppress(FairwayError):
                found = await self._read(pod.metadata.name, previous)
            until = finished[:_SECOND]
            if found and found[0][0][:_SECOND] <= until:
                self._add(pod, [one for one in found if one[0][:_SECOND] <= until])
                return

    def _add(self, pod: Pod, found: list[tuple[str, str]]) -> None:
        service = pod.metadata.labels.get(naming.ENDPOINT_LABEL, "")
        kept, left = list[ServerLine](), _MOST_BYTES
        for time, text in reversed(found):
            left -= len(text)
            if left < 0:
                break
            kept.append(
                ServerLine(
                    endpoint=pod.metadata.annotations.get(naming.ENDPOINT_NAME, service),
                    revision=naming.selects(pod.metadata.labels),
                    pod=pod.metadata.name,
                    time=time,
                    text=text,
                    previous=True,
                )
            )
        self._ends.setdefault(service, deque(maxlen=_MOST_ENDS)).append(kept[::-1])

"""The watches of endpoints: what their Services, Deployments and pods look like now, without asking each time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from fairway.cluster import observed as cluster_observed
from fairway.cluster.client.kinds import DEPLOYMENT, POD, SERVICE, Kind
from fairway.cluster.endpoints import naming, observed
from fairway.cluster.endpoints.observed import Seen
from fairway.cluster.pods import INSTALL_LABEL
from fairway.spec.errors import FairwayError

_AGAIN_SECONDS = 2.0
_HEARD_SECONDS = 10.0


class Watched(Protocol):
    """The part of the Kubernetes client that watches."""

    def watch(self, kind: Kind, *, labels: str = "", type: Any) -> AsyncIterator[Any]:
        """Yield what there is, now and after each change."""
        ...


class View:
    """The endpoints of an installation as they are seen.

    Args:
        kube: watches.
        short: the value of the label of the installation.
        say: takes lines for the log.
    """

    def __init__(self, kube: Watched, short: str, say: Callable[[str], None]) -> None:
        self._kube = kube
        self._labels = f"{INSTALL_LABEL}={short},{naming.ENDPOINT_LABEL}"
        self._say = say
        self._items: dict[Kind, Mapping[str, Any]] = {}
        self._complete = asyncio.Event()
        self._pulse = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.changed: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Watch until `close`."""
        kube, labels = self._kube, self._labels
        watches: dict[Kind, Callable[[], AsyncIterator[Any]]] = {
            SERVICE: lambda: kube.watch(SERVICE, labels=labels, type=observed.Service),
            DEPLOYMENT: lambda: kube.watch(DEPLOYMENT, labels=labels, type=observed.Deployment),
            POD: lambda: kube.watch(POD, labels=labels, type=cluster_observed.Pod),
        }
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow(kind, watch)) for kind, watch in watches.items()]

    def close(self) -> None:
        """Watch no more."""
        for task in self._tasks:
            task.cancel()

    async def heard(self) -> None:
        """Wait until everything was listed once. Raises FairwayError if the cluster does not answer."""
        try:
            async with asyncio.timeout(_HEARD_SECONDS):
                await self._complete.wait()
        except TimeoutError:
            raise FairwayError(
                "the cluster does not show the endpoints yet",
                hint="look at the log of the control plane: `kubectl logs deployment/fairway`",
            ) from None

    def of(self, endpoint: str) -> Seen:
        """Return what is seen of an endpoint."""
        return observed.gather(
            naming.service(endpoint),
            self._items.get(SERVICE, {}),
            self._items.get(POD, {}).values(),
            self._items.get(DEPLOYMENT, {}).values(),
        )

    @property
    def pods(self) -> list[cluster_observed.Pod]:
        """The pods of all endpoints."""
        return list(self._items.get(POD, {}).values())

    async def wait(self, seconds: float) -> None:
        """Wait until something changes, but not longer than so many seconds."""
        pulse = self._pulse
        try:
            async with asyncio.timeout(seconds):
                await pulse.wait()
        except TimeoutError:
            pass

    async def _follow(self, kind: Kind, watch: Callable[[], AsyncIterator[Any]]) -> None:
        """Watch a kind. The first list may be refused for a while, such as before a Role is known everywhere."""
        while True:
            try:
                async for snapshot in watch():
                    if not snapshot.trouble:
                        self._take(kind, snapshot.items)
            except FairwayError as error:
                self._say(f"{kind.plural} of endpoints cannot be watched: {error.message}")
            await asyncio.sleep(_AGAIN_SECONDS)

    def _take(self, kind: Kind, items: Mapping[str, Any]) -> None:
        if self._items.get(kind) == items:
            return
        self._items[kind] = items
        if len(self._items) == len(self._tasks):
            self._complete.set()
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()
        self.changed()

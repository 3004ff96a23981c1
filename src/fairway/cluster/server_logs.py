"""The output of an endpoint's servers, read from the cluster with the user's own kubeconfig.

The cluster keeps what a container printed since its start, and what the one before it in the same pod printed.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec

from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.calls import Call
from fairway.cluster.client.errors import KubernetesError, NotThere
from fairway.cluster.client.output import printed
from fairway.cluster.endpoints import naming
from fairway.spec.endpoint import ServerLine

_LINES = 2000
_BYTES = 4 * 2**20
_POLL_SECONDS = 1.0


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    labels: dict[str, str] = {}
    creation_timestamp: str = ""


class _Container(msgspec.Struct, frozen=True):
    name: str


class _PodSpec(msgspec.Struct, frozen=True):
    containers: tuple[_Container, ...] = ()


class _ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    restart_count: int = 0


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    container_statuses: tuple[_ContainerStatus, ...] = ()


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()

    @property
    def revision(self) -> int:
        """The number of the revision; 0 if the pod does not say it."""
        return naming.selects(self.metadata.labels)

    @property
    def container(self) -> str:
        """The name of the container with the server; empty if the pod does not say it."""
        return self.spec.containers[0].name if self.spec.containers else ""

    @property
    def has_restarted(self) -> bool:
        """True if a container of the pod ended and was started again."""
        return any(one.restart_count for one in self.status.container_statuses)


async def lines(
    kube: Kubernetes, endpoint: str, *, follow: bool, earlier: Sequence[ServerLine] = ()
) -> AsyncIterator[ServerLine]:
    """Yield what the servers of an endpoint printed, pod after pod. With `follow`, go on with new lines for ever.

    Args:
        kube: the cluster.
        endpoint: the name of the endpoint.
        follow: True to go on.
        earlier: lines of servers that have ended, some of which the cluster may still have.

    Raises:
        KubernetesError: pods or their logs may not be read.
    """
    seen: dict[str, str] = {}
    labels = f"{naming.ENDPOINT_LABEL}={naming.service(endpoint)}"
    while True:
        pods = (await kube.list(kinds.POD, labels=labels, type=_Pod)).items
        if not seen:
            there = {pod.metadata.name for pod in pods}
            for line in earlier:
                if line.pod not in there:
                    yield line
        for pod in sorted(pods, key=lambda one: (one.revision, one.metadata.creation_timestamp)):
            name = pod.metadata.name
            if name not in seen:
                for line in await _before(kube, endpoint, pod, earlier):
                    yield line
            last = seen.setdefault(name, "")
            for time, text in await read(kube, name, pod.container, since=last):
                # The cluster starts at the whole second, so lines that were printed before come again.
                if time <= last:
                    continue
                seen[name] = time
                yield ServerLine(endpoint=endpoint, revision=pod.revision, pod=name, time=time, text=text)
        if not follow:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _before(
    kube: Kubernetes, endpoint: str, pod: _Pod, earlier: Sequence[ServerLine]
) -> list[ServerLine]:
    """Return what the containers of a pod printed before the present one. The cluster has the last of them alone."""
    if not pod.has_restarted:
        return []
    name = pod.metadata.name
    last = [
        ServerLine(endpoint=endpoint, revision=pod.revision, pod=name, time=time, text=text, previous=True)
        for time, text in await read(kube, name, pod.container, previous=True)
    ]
    return [line for line in earlier if line.pod == name and not (last and line.time >= last[0].time)] + last


async def read(
    kube: Kubernetes, pod: str, container: str = "", *, previous: bool = False, since: str = ""
) -> list[tuple[str, str]]:
    """Return the times and texts of lines of a pod. A pod that is gone, or has not started yet, has none.

    Args:
        kube: the cluster.
        pod: the name of the pod.
        container: the name of its container; empty for the only one.
        previous: True for the container before the present one.
        since: the time after which lines are wanted; empty for the last ones.
    """
    query = [("timestamps", "true"), ("limitBytes", str(_BYTES))]
    query.append(("sinceTime", f"{since[:19]}Z") if since else ("tailLines", str(_LINES)))
    if container:
        query.append(("container", container))
    if previous:
        query.append(("previous", "true"))
    call = Call(
        method="GET",
        path=kinds.POD.path(kube.access.namespace, pod, "log"),
        query=tuple(query),
        verb="get",
        resource="pods/log",
        kind=kinds.POD.name,
        name=pod,
        namespace=kube.access.namespace,
    )
    try:
        body = (await kube.transport.send(call)).body
    except NotThere:
        return []
    except KubernetesError as error:
        # So the cluster says that the container waits for its image, or that none ran before it.
        if error.status == 400:
            return []
        raise
    found = [line.partition(" ") for line in printed(body).decode("utf-8", "replace").splitlines()]
    return [(time, text) for time, _, text in found]

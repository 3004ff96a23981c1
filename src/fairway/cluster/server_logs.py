"""The output of an endpoint's servers, read from the cluster with the user's own kubeconfig.

The cluster keeps what a container printed since its start, and what the one before it in the same pod printed.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.calls import Call
from fairway.cluster.client.errors import KubernetesError, NotThere
from fairway.cluster.endpoints import naming

_LINES = 2000
_BYTES = 4 * 2**20
_POLL_SECONDS = 1.0


class ServerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a server printed.

    Attributes:
        endpoint: the name of the endpoint.
        revision: the number of the revision that the server serves.
        pod: the name of the pod.
        time: the time of the line, as the cluster wrote it: RFC 3339 with nanoseconds, in UTC.
        text: the line.
        previous: True if a container before the present one of the pod printed it.
    """

    endpoint: str
    revision: int
    pod: str
    time: str
    text: str
    previous: bool = False


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
    def has_restarted(self) -> bool:
        """True if a container of the pod ended and was started again."""
        return any(one.restart_count for one in self.status.container_statuses)


async def lines(kube: Kubernetes, endpoint: str, *, follow: bool) -> AsyncIterator[ServerLine]:
    """Yield what the servers of an endpoint printed, pod after pod. With `follow`, go on with new lines for ever.

    Args:
        kube: the cluster.
        endpoint: the name of the endpoint.
        follow: True to go on.

    Raises:
        KubernetesError: pods or their logs may not be read.
    """
    seen: dict[str, str] = {}
    while True:
        pods = (
            await kube.list(
                kinds.POD, labels=f"{naming.ENDPOINT_LABEL}={naming.service(endpoint)}", type=_Pod
            )
        ).items
        for pod in sorted(pods, key=lambda one: (one.revision, one.metadata.creation_timestamp)):
            name = pod.metadata.name
            if name not in seen and pod.has_restarted:
                for time, text in await _read(kube, pod, previous=True):
                    yield ServerLine(
                        endpoint=endpoint,
                        revision=pod.revision,
                        pod=name,
                        time=time,
                        text=text,
                        previous=True,
                    )
            last = seen.setdefault(name, "")
            for time, text in await _read(kube, pod, since=last):
                # The cluster starts at the whole second, so lines that were printed before come again.
                if time <= last:
                    continue
                seen[name] = time
                yield ServerLine(endpoint=endpoint, revision=pod.revision, pod=name, time=time, text=text)
        if not follow:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _read(
    kube: Kubernetes, pod: _Pod, *, previous: bool = False, since: str = ""
) -> list[tuple[str, str]]:
    """Return the times and texts of lines of a pod. A pod that is gone, or has not started yet, has none."""
    query = [("timestamps", "true"), ("limitBytes", str(_BYTES))]
    query.append(("sinceTime", f"{since[:19]}Z") if since else ("tailLines", str(_LINES)))
    if pod.spec.containers:
        query.append(("container", pod.spec.containers[0].name))
    if previous:
        query.append(("previous", "true"))
    call = Call(
        method="GET",
        path=kinds.POD.path(kube.access.namespace, pod.metadata.name, "log"),
        query=tuple(query),
        verb="get",
        resource="pods/log",
        kind=kinds.POD.name,
        name=pod.metadata.name,
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
    found = [line.partition(" ") for line in body.decode("utf-8", "replace").splitlines()]
    return [(time, text) for time, _, text in found]

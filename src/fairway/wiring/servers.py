"""The servers of an endpoint of a target: a port of this machine that leads to them, and their output."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING

from fairway.cluster import server_logs
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import NotThere
from fairway.cluster.forwarding import listening
from fairway.spec.errors import NotFound
from fairway.wiring.targets import access_to

if TYPE_CHECKING:
    from fairway.cluster.server_logs import ServerLine
    from fairway.spec.endpoint import EndpointStatus
    from fairway.wiring.targets import Target

SERVER_PORT = 8080
"""The port at which the model server of a pod listens."""


@contextlib.asynccontextmanager
async def opened(
    target: "Target", status: "EndpointStatus", port: int, note: Callable[[str], None]
) -> AsyncGenerator[str]:
    """Open an endpoint at a port of this machine for the time of a block, and yield its address. Raises FairwayError.

    Args:
        target: the target.
        status: the endpoint.
        port: the port of this machine; 0 for a free one.
        note: takes lines for the user.
    """
    service = service_of(status)
    async with Kubernetes(access_to(target)) as kube, contextlib.AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(listening(kube, service, SERVER_PORT, port, note))
        except NotThere:
            raise NotFound(
                f"there is no Service {service!r} in namespace {kube.access.namespace!r}",
                hint=f"`fairway endpoints --target {target.name}` says how {status.name} is",
            ) from None
        yield address


async def printed(target: "Target", status: "EndpointStatus", *, follow: bool) -> "AsyncIterator[ServerLine]":
    """Yield what the servers of an endpoint printed. With `follow`, go on for ever. Raises FairwayError."""
    async with Kubernetes(access_to(target)) as kube:
        async for line in server_logs.lines(kube, status.name, service_of(status), follow=follow):
            yield line


def service_of(status: "EndpointStatus") -> str:
    """Return the name of the Service of an endpoint, which is the first part of its address."""
    return status.address.partition("://")[2].partition("/")[0].partition(".")[0] or status.name

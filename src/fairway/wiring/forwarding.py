"""The opening of an endpoint of a target on this machine."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import NotThere
from fairway.cluster.forwarding import listening
from fairway.spec.errors import NotFound
from fairway.wiring.targets import access_to

if TYPE_CHECKING:
    from fairway.wiring.targets import Target

SERVER_PORT = 8080
"""The port at which the model server of a pod listens."""


@contextlib.asynccontextmanager
async def opened(
    target: "Target", endpoint: str, port: int, note: Callable[[str], None]
) -> AsyncGenerator[str]:
    """Open an endpoint at a port of this machine for the time of a block, and yield its address. Raises FairwayError.

    Args:
        target: the target.
        endpoint: the name of the endpoint, which is that of its Service.
        port: the port of this machine; 0 for a free one.
        note: takes lines for the user.
    """
    async with Kubernetes(access_to(target)) as kube, contextlib.AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(listening(kube, endpoint, SERVER_PORT, port, note))
        except NotThere:
            raise NotFound(
                f"there is no Service {endpoint!r} in namespace {kube.access.namespace!r}",
                hint=f"`fairway endpoints --target {target.name}` lists the endpoints",
            ) from None
        yield address

"""The servers of an endpoint of a target: a port of this machine that leads to them, their output and their objects."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING

import msgspec

from fairway.cluster import installed, server_logs, yaml
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import NotThere
from fairway.cluster.endpoints import naming, objects
from fairway.cluster.forwarding import listening
from fairway.spec.errors import FairwayError, NotFound
from fairway.wiring.targets import access_to, platform

if TYPE_CHECKING:
    from fairway.spec.endpoint import RevisionSpec, ServerLine
    from fairway.wiring.targets import Target

_ENDED_SECONDS = 10.0


@contextlib.asynccontextmanager
async def opened(
    target: "Target", endpoint: str, port: int, note: Callable[[str], None]
) -> AsyncGenerator[str]:
    """Open an endpoint at a port of this machine for the time of a block, and yield its address. Raises FairwayError.

    Args:
        target: the target.
        endpoint: the name of the endpoint.
        port: the port of this machine; 0 for a free one.
        note: takes lines for the user.
    """
    service = naming.service(endpoint)
    async with Kubernetes(access_to(target)) as kube, contextlib.AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(listening(kube, service, objects.PORT, port, note))
        except NotThere:
            raise NotFound(
                f"there is no Service {service!r} in namespace {kube.access.namespace!r}",
                hint=f"`fairway endpoints --target {target.name}` says how {endpoint} is",
            ) from None
        yield address


async def printed(target: "Target", endpoint: str, *, follow: bool) -> "AsyncIterator[ServerLine]":
    """Yield what the servers of an endpoint printed. With `follow`, go on for ever. Raises FairwayError."""
    earlier = await _ended(target, endpoint)
    async with Kubernetes(access_to(target)) as kube:
        async for line in server_logs.lines(kube, endpoint, follow=follow, earlier=earlier):
            yield line


async def _ended(target: "Target", endpoint: str) -> "list[ServerLine]":
    """Return what the control plane keeps of servers that have ended. Without it, there is only what the cluster keeps."""
    found = platform(target, lambda *lines: None)
    try:
        async with asyncio.timeout(_ENDED_SECONDS):
            return await found.ended_output(endpoint)
    except (FairwayError, TimeoutError):
        return []
    finally:
        await found.close()


async def rendered(target: "Target", revision: "RevisionSpec", namespace: str) -> str:
    """Return the objects that serve a revision without Fairway, as YAML. Raises FairwayError.

    Args:
        target: the target on which the revision serves.
        revision: the revision.
        namespace: the namespace of the objects; empty for the one in which the revision serves.
    """
    async with Kubernetes(access_to(target)) as kube:
        found = await installed.find(kube)
    if found is None:
        raise NotFound(
            f"Fairway is not installed in namespace {kube.access.namespace!r}",
            hint=f"`fairway install --target {target.name}` installs it",
        )
    install = found.settings.install
    return yaml.write(
        objects.render(revision, msgspec.structs.replace(install, namespace=namespace or install.namespace))
    )

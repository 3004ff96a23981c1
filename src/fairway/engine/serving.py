"""Endpoints over time, and requests to them, for whoever asks the platform of this process."""

import asyncio
from collections.abc import Awaitable, Callable

from fairway.spec.endpoint import EndpointStatus
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.serving import LONGEST_REQUEST, Deployment, Question, Reply, ServerOutput, Traffic

Asking = Callable[[str, Question], Reply]
"""Function that sends a question to an address and waits for the answer. Raises FairwayError."""


class ServingRecords:
    """The records of the endpoints of a store over time.

    Args:
        deployments: reads the deployments of an endpoint, or of all.
        output: reads what the servers of an endpoint printed.
        traffic: returns the traffic of an endpoint.
        endpoints: returns every endpoint as it is now.
        asking: sends a request to an endpoint.
    """

    def __init__(
        self,
        deployments: Callable[[str], list[Deployment]],
        output: Callable[[str], list[ServerOutput]],
        traffic: Callable[[str], Awaitable[Traffic]],
        endpoints: Callable[[], Awaitable[list[EndpointStatus]]],
        asking: Asking,
    ) -> None:
        self._deployments = deployments
        self._output = output
        self._traffic = traffic
        self._endpoints = endpoints
        self._asking = asking

    async def deployments(self, endpoint: str = "") -> list[Deployment]:
        """Return the newest deployments, newest first, of one endpoint or of all."""
        return await asyncio.to_thread(self._deployments, endpoint)

    async def output(self, endpoint: str) -> list[ServerOutput]:
        """Return the last lines that the servers of an endpoint printed, newest revision first. Raises NotFound."""
        await self._known(endpoint)
        return await asyncio.to_thread(self._output, endpoint)

    async def traffic(self, endpoint: str) -> Traffic:
        """Return the requests that an endpoint answered in the last hour and day. Raises NotFound."""
        await self._known(endpoint)
        return await self._traffic(endpoint)

    async def ask(self, endpoint: str, question: Question) -> Reply:
        """Send a request to an endpoint and return its answer. Raises FairwayError."""
        if len(question.body) > LONGEST_REQUEST:
            raise UsageError(f"a request from here has at most {LONGEST_REQUEST} bytes")
        status = next((one for one in await self._endpoints() if one.name == endpoint), None)
        if status is None or not status.url:
            raise NotFound(f"nothing serves as {endpoint!r}", hint="`fairway endpoints` lists what serves")
        return await asyncio.to_thread(self._asking, status.address, question)

    async def _known(self, endpoint: str) -> None:
        if not await asyncio.to_thread(self._deployments, endpoint):
            raise NotFound(f"there is no endpoint {endpoint!r}", hint="`fairway endpoints` lists them")

"""The part of a platform that knows endpoints over time, reached over HTTP."""

from urllib.parse import quote, urlencode

import msgspec

from fairway.remote.asking import Part
from fairway.spec.serving import Deployment, Question, Reply, ServerOutput, Traffic


class RemoteServing(Part):
    """The part of a platform that knows endpoints over time."""

    async def deployments(self, endpoint: str = "") -> list[Deployment]:
        """Return the newest deployments, newest first, of one endpoint or of all. Raises FairwayError."""
        return await self._ask("GET", f"/deployments?{urlencode({'endpoint': endpoint})}", list[Deployment])

    async def output(self, endpoint: str) -> list[ServerOutput]:
        """Return the last lines that the servers of an endpoint printed, newest revision first. Raises FairwayError."""
        return await self._ask("GET", f"/endpoints/{quote(endpoint, safe='')}/output", list[ServerOutput])

    async def traffic(self, endpoint: str) -> Traffic:
        """Return the requests that an endpoint answered in the last hour and day. Raises FairwayError."""
        return await self._ask("GET", f"/endpoints/{quote(endpoint, safe='')}/traffic", Traffic)

    async def ask(self, endpoint: str, question: Question) -> Reply:
        """Send a request to an endpoint and return its answer. Raises FairwayError."""
        body = msgspec.json.encode(question)
        return await self._ask("POST", f"/endpoints/{quote(endpoint, safe='')}/ask", Reply, body)

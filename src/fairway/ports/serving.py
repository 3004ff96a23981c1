"""The part of a platform that knows endpoints over time."""

from typing import Protocol

from fairway.ports import MetadataStore
from fairway.spec.serving import Deployment, Question, Reply, ServerOutput, Traffic


class Serving(Protocol):
    """The records of endpoints beyond their present state, and requests that are sent to them for somebody."""

    async def deployments(self, endpoint: str = "") -> list[Deployment]:
        """Return the newest deployments, newest first, of one endpoint or of all."""
        ...

    async def output(self, endpoint: str) -> list[ServerOutput]:
        """Return the last lines that the servers of an endpoint printed, newest revision first. Raises FairwayError."""
        ...

    async def traffic(self, endpoint: str) -> Traffic:
        """Return the requests that an endpoint answered in the last hour and day. Raises NotFound."""
        ...

    async def ask(self, endpoint: str, question: Question) -> Reply:
        """Send a request to an endpoint and return its answer.

        Raises:
            NotFound: nothing serves under that name.
            UsageError: the request is too large.
            FairwayError: no answer came in time.
        """
        ...


class EndpointRecords(MetadataStore, Protocol):
    """A store of the event log that also tells which revision served when."""

    def deployments(self, endpoint: str = "") -> list[Deployment]:
        """Return the newest deployments, newest first, of one endpoint or of all."""
        ...

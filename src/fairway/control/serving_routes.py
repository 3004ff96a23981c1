"""The routes that tell of endpoints over time, and send requests to them. Must not know who may ask."""

from starlette.requests import Request

from fairway.control import query_values as values
from fairway.control.handlers import BASE, Handlers
from fairway.control.routes import Entry, body
from fairway.spec.serving import Deployment, Question, Reply, ServerOutput, Traffic


class ServingRoutes(Handlers):
    """The handlers for endpoints over time."""

    def entries(self) -> list[Entry]:
        """Return all routes."""
        one = f"{BASE}/endpoints/{{name}}"
        return [
            Entry(
                method="GET",
                path=f"{BASE}/deployments",
                policy="viewer",
                handler=self.deployments,
                asks={"endpoint": str},
                gives=list[Deployment],
            ),
            Entry(
                method="GET",
                path=f"{one}/output",
                policy="viewer",
                handler=self.output,
                gives=list[ServerOutput],
            ),
            Entry(method="GET", path=f"{one}/traffic", policy="viewer", handler=self.traffic, gives=Traffic),
            Entry(
                method="POST",
                path=f"{one}/ask",
                policy="runner",
                handler=self.ask,
                takes=Question,
                gives=Reply,
            ),
        ]

    async def deployments(self, request: Request) -> object:
        """Return the newest deployments, newest first; `?endpoint=` asks for those of one endpoint."""
        return await self._platform().serving.deployments(values.text(request, "endpoint"))

    async def output(self, request: Request) -> object:
        """Return the last lines that the servers of an endpoint printed, newest revision first."""
        return await self._platform().serving.output(values.name(request))

    async def traffic(self, request: Request) -> object:
        """Return the requests that an endpoint answered in the last hour and day."""
        return await self._platform().serving.traffic(values.name(request))

    async def ask(self, request: Request) -> object:
        """Send a request to an endpoint from here, and return its answer."""
        return await self._platform().serving.ask(values.name(request), await body(request, Question))

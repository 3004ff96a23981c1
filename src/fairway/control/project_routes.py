"""The routes about the project in whose folder a platform lies. Must not know who may ask."""

from starlette.requests import Request

from fairway.control.handlers import BASE, Handlers
from fairway.control.routes import Entry, body
from fairway.spec.endpoint import DeployRequest
from fairway.spec.projects import BeginRequest, Begun, FunctionsRequest, ProjectFiles

_PATH = f"{BASE}/project"


class ProjectRoutes(Handlers):
    """The handlers for the project."""

    def entries(self) -> list[Entry]:
        """Return all routes."""
        return [
            Entry(method="GET", path=_PATH, policy="viewer", handler=self.files, gives=ProjectFiles),
            Entry(
                method="POST",
                path=_PATH,
                policy="runner",
                handler=self.begin,
                takes=BeginRequest,
                gives=Begun,
            ),
            Entry(
                method="POST",
                path=f"{_PATH}/functions",
                policy="deployer",
                handler=self.functions,
                takes=FunctionsRequest,
                gives=list[DeployRequest],
            ),
        ]

    async def files(self, request: Request) -> object:
        """Return the files of the project that may declare pipelines, and the templates that a new one can start from."""
        return await self._platform().projects.files()

    async def begin(self, request: Request) -> object:
        """Write a template as a new file of the project."""
        wanted: BeginRequest = await body(request, BeginRequest)
        return Begun(await self._platform().projects.begin(wanted.template))

    async def functions(self, request: Request) -> object:
        """Import a file of the project, and return the requests that would deploy its endpoint functions."""
        wanted: FunctionsRequest = await body(request, FunctionsRequest)
        return await self._platform().projects.functions(wanted.file)

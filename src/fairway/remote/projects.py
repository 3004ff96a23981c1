"""The part of a platform that knows its project, reached over HTTP."""

import msgspec

from fairway.remote.asking import Part
from fairway.spec.endpoint import DeployRequest
from fairway.spec.projects import BeginRequest, Begun, FunctionsRequest, ProjectFiles


class RemoteProjects(Part):
    """The project of a platform."""

    async def files(self) -> ProjectFiles:
        """Return the files that may declare pipelines. Raises FairwayError."""
        return await self._ask("GET", "/project", ProjectFiles)

    async def begin(self, template: str) -> str:
        """Write a template into the project and return the path of the file. Raises FairwayError."""
        body = msgspec.json.encode(BeginRequest(template=template))
        begun: Begun = await self._ask("POST", "/project", Begun, body)
        return begun.file

    async def functions(self, file: str) -> list[DeployRequest]:
        """Return the requests that would deploy the endpoint functions of a file. Raises FairwayError."""
        body = msgspec.json.encode(FunctionsRequest(file=file))
        return await self._ask("POST", "/project/functions", list[DeployRequest], body)

"""The part of a platform that knows the project in whose folder it lies."""

from typing import Protocol

from fairway.spec.endpoint import DeployRequest
from fairway.spec.projects import ProjectFiles


class Projects(Protocol):
    """The files of the project, and new ones from templates."""

    async def files(self) -> ProjectFiles:
        """Return the files that may declare pipelines. There are none on a platform that lies in no project."""
        ...

    async def begin(self, template: str) -> str:
        """Write a template into the project and return the absolute path of the file.

        Raises:
            UsageError: there is such a file, or no such template, or the platform lies in no project.
        """
        ...

    async def functions(self, file: str) -> list[DeployRequest]:
        """Import a file of the project, keep its sources, and return the requests that would deploy its endpoint functions.

        Raises:
            NotFound: the project has no such file that may declare endpoints.
            UsageError: the file declares none, or the platform lies in no project.
        """
        ...

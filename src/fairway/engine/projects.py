"""The project in whose folder a platform lies. It is read and written by functions that this module is given."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from fairway.engine.aside import Aside
from fairway.spec.endpoint import DeployRequest
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.projects import ProjectFiles

Prepare = Callable[[str], Awaitable[list[DeployRequest]]]


class Folder(Protocol):
    """The folder of a project on this disk."""

    def files(self) -> ProjectFiles:
        """Return the files that may declare pipelines."""
        ...

    def begin(self, template: str) -> str:
        """Write a template and return the path of the file."""
        ...


class ProjectHere:
    """The project of a platform that lies in its folder.

    Args:
        folder: the folder. It is read and written beside the loop.
        aside: calls a function that blocks.
        prepare: imports a file in a process of its own, keeps its sources, and returns the requests that serve its functions.
    """

    def __init__(self, folder: Folder, aside: Aside, prepare: Prepare) -> None:
        self._folder = folder
        self._aside = aside
        self._prepare = prepare

    async def files(self) -> ProjectFiles:
        """Return the files that may declare pipelines."""
        found = await self._aside(self._folder.files)
        assert isinstance(found, ProjectFiles)
        return found

    async def begin(self, template: str) -> str:
        """Write a template into the project and return the path of the file. Raises UsageError."""
        return str(await self._aside(self._folder.begin, template))

    async def functions(self, file: str) -> list[DeployRequest]:
        """Return the requests that would deploy the endpoint functions of a file. Raises NotFound, UsageError."""
        found = await self.files()
        if file not in found.serving:
            raise NotFound(
                f"the project has no file {file[:200]!r} that may declare endpoints",
                hint="put `@fw.endpoint` above a function",
            )
        return await self._prepare(f"{found.folder}/{file}")


class NoProject:
    """The answers of a platform that lies in no project. Projects come to it from elsewhere."""

    async def files(self) -> ProjectFiles:
        """Return no files."""
        return ProjectFiles()

    async def begin(self, template: str) -> str:
        """Refuse to write a file. Raises UsageError."""
        raise UsageError(
            "this platform lies in no project folder, so it writes no file",
            hint="write the project where you work: `fairway init`, then `fairway run FILE --target NAME`",
        )

    async def functions(self, file: str) -> list[DeployRequest]:
        """Refuse to look for functions. Raises UsageError."""
        raise UsageError(
            "this platform lies in no project folder, so it knows no file",
            hint="deploy from where the project is: `fairway deploy FILE`",
        )

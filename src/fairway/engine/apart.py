"""Runs that are carried out by other processes, each of which outlives this one (decision 0019).

This process follows a run by its record. Must not know how a process is started.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from fairway.engine.aside import Aside
from fairway.engine.following import RecordFollower
from fairway.engine.requests import refuse_code, refuse_without_file
from fairway.engine.runs import RunsHere
from fairway.spec.errors import NotAllowed
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunRequest
from fairway.spec.update import Foreseen, Update


class Descriptions(Protocol):
    """Descriptions of projects, kept while nothing changes that their imports depend on."""

    def mark(self, request: RunRequest) -> str:
        """Return a text that changes with what an import of the project may depend on. Empty if that is not known."""
        ...

    def kept(self, mark: str) -> ProjectSpec | None:
        """Return the description with a mark; None without one."""
        ...

    def keep(self, mark: str, project: ProjectSpec) -> None:
        """Keep a description."""
        ...


class ApartParts(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of the runs that other processes carry out.

    Attributes:
        describing: returns the runs of this process, which import a project for one question.
        start: starts the process of a run and returns the run's name once it is on record.
        is_inside: whether a file or folder belongs to the project of the store.
        descriptions: keeps what projects declare.
        aside: calls a function that blocks.
    """

    follower: RecordFollower
    describing: Callable[[], RunsHere]
    start: Callable[[RunRequest], Awaitable[str]]
    is_inside: Callable[[str], bool]
    descriptions: Descriptions
    aside: Aside


class RunsApart:
    """The runs of other processes: each run has an engine in a process of its own."""

    def __init__(self, parts: ApartParts) -> None:
        self._parts = parts

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Return what a project declares. A host imports it, unless it is as it was the last time. Raises FairwayError."""
        self._check(request)
        parts = self._parts
        mark = await parts.aside(parts.descriptions.mark, request)
        kept = await parts.aside(parts.descriptions.kept, mark)
        if kept is not None:
            return kept
        runs = parts.describing()
        try:
            project = await runs.describe(request)
        finally:
            await runs.close()
        # A file that was changed during the import may have been read before or after that.
        if mark and mark == await parts.aside(parts.descriptions.mark, request):
            await parts.aside(parts.descriptions.keep, mark, project)
        return project

    async def submit(self, request: RunRequest) -> str:
        """Start a process for the run and return the run's name once it is on record. Raises FairwayError."""
        self._check(request)
        return await self._parts.start(request)

    async def updates(self, run: str, after: str, wait: float) -> list[Update]:
        """Return the updates after a position. Raises FairwayError."""
        return await self._parts.follower.updates(run, after, wait)

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out, without running any of them. Raises FairwayError."""
        self._check(request)
        runs = self._parts.describing()
        try:
            return await runs.plan(request)
        finally:
            await runs.close()

    async def close(self) -> None:
        """Do nothing, because nothing is kept between two questions."""

    def _check(self, request: RunRequest) -> None:
        """Refuse to import or to read as code anything from outside this project. Raises NotAllowed, UsageError."""
        refuse_without_file(request)
        for path in filter(None, (request.file, request.folder)):
            if not self._parts.is_inside(path):
                raise NotAllowed(
                    f"{path} lies outside the project of this platform",
                    hint="go to the project's folder first, or run it here: leave out `--detach`",
                )
        refuse_code(request)

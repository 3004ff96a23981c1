"""The platform in another process or on another machine, reached over HTTP.

Must not know how that platform carries out requests, or where its token comes from.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar
from urllib.parse import quote, urlencode

import httpx2
import msgspec

from fairway.spec.artifact import Artifact
from fairway.spec.decoding import UNREADABLE
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.errors import FairwayError, NotAllowed, NotFound, StorageError, UsageError
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunRequest, RunStatus, RunSummary
from fairway.spec.update import Cancelled, Foreseen, LogPage, Outputs, Over, Submitted, Update

T = TypeVar("T")

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 300.0
_POLL_SECONDS = 20.0
_RETRY_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0
"""Seconds without any answer after which the following of a run ends."""

_KINDS: dict[int, type[FairwayError]] = {
    400: UsageError,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    507: StorageError,
}


class Unreachable(FairwayError):
    """An error: the platform did not answer, or broke off. The request may have been carried out, or not."""


class Said(msgspec.Struct):
    """The body of a refusal."""

    error: str
    hint: str = ""
    details: str = ""


class RemotePlatform:
    """The platform behind a URL.

    Args:
        url: such as "http://127.0.0.1:7700".
        token: the token that its API needs.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token

    @property
    def place(self) -> str:
        """URL of the platform."""
        return self.url

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project that a run is asked of, and return what it declares. Raises FairwayError."""
        return await self._ask("POST", "/describe", ProjectSpec, _encoded(request))

    async def submit(self, request: RunRequest) -> str:
        """Start or resume a run and return its name once it is on record. Raises FairwayError."""
        return (await self._ask("POST", "/runs", Submitted, _encoded(request))).run

    async def follow(self, run: str, after: str = "") -> AsyncIterator[Update]:
        """Yield the updates of a run after a position until the run is over.

        A broken connection is made again, and the run is followed from the last position.

        Raises:
            FairwayError: no answer came for a minute, or the run cannot be followed.
        """
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + _PATIENCE_SECONDS
        while True:
            try:
                found = await self.updates(run, after, _POLL_SECONDS)
            except Unreachable:
                if loop.time() > patient_until:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            patient_until = loop.time() + _PATIENCE_SECONDS
            for update in found:
                yield update
                after = update.position
                if isinstance(update.news, Over):
                    return

    async def updates(self, run: str, after: str = "", wait: float = 0.0) -> list[Update]:
        """Return the updates after a position, or a part of them. Wait at most `wait` seconds. Raises FairwayError."""
        query = urlencode({"after": after, "wait": f"{wait:g}"})
        return await self._ask("GET", f"/runs/{_part(run)}/follow?{query}", list[Update])

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out, without running any of them. Raises FairwayError."""
        return await self._ask("POST", "/plan", list[Foreseen], _encoded(request))

    async def cancel(self, run: str) -> Cancelled:
        """Stop a run, or put on record that an interrupted one will not go on. Raises FairwayError."""
        return await self._ask("POST", f"/runs/{_part(run)}/cancel", Cancelled)

    async def find(self, prefix: str) -> str:
        """Return the one run whose name starts with `prefix`; the newest for an empty one. Raises FairwayError."""
        query = urlencode({"prefix": prefix})
        return (await self._ask("GET", f"/find?{query}", Submitted)).run

    async def runs(self, limit: int = 50) -> list[RunSummary]:
        """Return the newest runs. Raises FairwayError."""
        return await self._ask("GET", f"/runs?limit={limit}", list[RunSummary])

    async def run(self, name: str) -> RunStatus:
        """Return one run with all its steps. Raises FairwayError."""
        return await self._ask("GET", f"/runs/{_part(name)}", RunStatus)

    async def outputs(self, run: str) -> Outputs:
        """Return the attempts of a run that have output. Raises FairwayError."""
        return await self._ask("GET", f"/runs/{_part(run)}/outputs", Outputs)

    async def logs(self, run: str, step: str, attempt: int, offset: int = 0) -> LogPage:
        """Return complete lines that an attempt printed, from an offset on. Raises FairwayError."""
        query = urlencode({"step": step, "attempt": attempt, "offset": offset})
        return await self._ask("GET", f"/runs/{_part(run)}/output?{query}", LogPage)

    async def read(self, artifact: Artifact) -> bytes:
        """Return the content of an artifact that is one file. Raises FairwayError."""
        return await self._ask("POST", "/content", bytes, msgspec.json.encode(artifact))

    async def models(self) -> list[ModelSummary]:
        """Return every model, by name. Raises FairwayError."""
        return await self._ask("GET", "/models", list[ModelSummary])

    async def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first. Raises FairwayError."""
        return await self._ask("GET", f"/models/{_part(model)}", list[ModelVersion])

    async def resolve(self, reference: str) -> ModelVersion:
        """Return the version that a reference means. Raises FairwayError."""
        return await self._ask("GET", f"/version?{urlencode({'of': reference})}", ModelVersion)

    async def aliases(self, model: str = "") -> dict[str, int]:
        """Return the version number of every "name@alias", of one model or of all. Raises FairwayError."""
        return await self._ask("GET", f"/aliases?{urlencode({'model': model})}", dict[str, int])

    async def alias(self, model: str, alias: str, version: int) -> ModelVersion:
        """Let an alias name a version; 0 removes it. Raises FairwayError."""
        body = msgspec.json.encode({"model": model, "alias": alias, "version": version})
        return await self._ask("POST", "/aliases", ModelVersion, body)

    async def sources(self, reference: str) -> dict[str, str]:
        """Return the source files that travel with a version, by name. Raises FairwayError."""
        return await self._ask("GET", f"/sources?{urlencode({'of': reference})}", dict[str, str])

    async def code(self, run: str) -> dict[str, str | None]:
        """Return the source files of a run's last work, by path; None for a file that is not kept. Raises NotFound."""
        return await self._ask("GET", f"/runs/{quote(run, safe='')}/code", dict[str, str | None])

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function and return when it answers. Raises FairwayError, nothing changed."""
        return await self._ask("POST", "/deploy", Deployed, msgspec.json.encode(request))

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the previous one. Raises FairwayError."""
        body = msgspec.json.encode({"revision": revision})
        return await self._ask("POST", f"/endpoints/{_part(endpoint)}/rollback", Deployed, body)

    async def undeploy(self, endpoint: str) -> None:
        """Remove an endpoint. Raises FairwayError."""
        await self._ask("DELETE", f"/endpoints/{_part(endpoint)}", dict[str, object])

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint as wanted and as observed. Raises FairwayError."""
        return await self._ask("GET", "/endpoints", list[EndpointStatus])

    async def deployed(self) -> list[EndpointStatus]:
        """Return every endpoint on record, also those that were removed. Raises FairwayError."""
        return await self._ask("GET", "/deployed", list[EndpointStatus])

    async def shutdown(self, *, endpoints: bool) -> None:
        """Stop the platform, and with `endpoints` all that serves. Return when that is done. Raises FairwayError."""
        body = msgspec.json.encode({"endpoints": endpoints})
        await self._ask("POST", "/shutdown", dict[str, object], body)

    async def close(self) -> None:
        """Do nothing, because nothing is kept between two questions."""

    async def _ask(self, method: str, path: str, kind: type[T], body: bytes = b"") -> T:
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=timeout) as client:
                answer = await client.request(
                    method, f"{self.url}/api/v1{path}", content=body, headers=headers
                )
        except httpx2.ConnectError:
            raise Unreachable(
                f"no platform answers at {self.url}", hint="start it with `fairway up`"
            ) from None
        except httpx2.TimeoutException:
            raise Unreachable(
                f"the platform at {self.url} did not answer in time", hint="look at `.fairway/platform/log`"
            ) from None
        except httpx2.HTTPError as error:
            raise Unreachable(
                f"the platform at {self.url} broke off: {type(error).__name__}",
                hint="start it with `fairway up`",
            ) from None
        if answer.status_code >= 400:
            raise _refusal(answer.status_code, answer.content)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except UNREADABLE:
            raise FairwayError(
                f"the platform at {self.url} answered what this version does not understand",
                hint="stop it with `fairway down` and start it with `fairway up`",
            ) from None


def _encoded(request: RunRequest) -> bytes:
    """Encode a request for sending. Raises UsageError for a text that is not Unicode, such as some file names."""
    try:
        return msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"a parameter cannot be sent, because it is no text: {error.object[:80]!r}",
            hint="rename the file, or run it here: leave out `--detach`",
        ) from None


def _part(name: str) -> str:
    """Return a name as one part of a path."""
    return quote(name, safe="")


def _refusal(status: int, content: bytes) -> FairwayError:
    try:
        said = msgspec.json.decode(content, type=Said)
    except UNREADABLE:
        said = Said(f"the platform answered with status {status}")
    return _KINDS.get(status, FairwayError)(said.error, hint=said.hint, details=said.details)

"""The platform in another process or on another machine, reached over HTTP.

Must not know how that platform carries out requests, or by which way its API is reached.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from fairway.remote.people import RemotePeople
from fairway.remote.projects import RemoteProjects
from fairway.remote.serving import RemoteServing
from fairway.remote.transport import JSON, Transport
from fairway.remote.webhooks import RemoteWebhooks
from fairway.sight import RETRY_SECONDS, Sight
from fairway.spec.artifact import Artifact
from fairway.spec.decoding import UNREADABLE
from fairway.spec.deeds import Deed, DeedQuery
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus, ServerLine
from fairway.spec.errors import (
    CorruptArtifact,
    FairwayError,
    NotAllowed,
    NotFound,
    StorageError,
    Unreachable,
    UsageError,
)
from fairway.spec.history import Removal, RunQuery, RunRecord
from fairway.spec.log import LogPage, LogPart, LogQuery, Outputs
from fairway.spec.model import ModelSummary, ModelVersion
from fairway.spec.project import ProjectSpec
from fairway.spec.run import RunRequest, RunStatus, RunSummary
from fairway.spec.schedule import ScheduleSpec, ScheduleStatus
from fairway.spec.update import Cancelled, Foreseen, Noted, Over, Submitted, Update
from fairway.spec.upkeep import Cleaned, Cleaning, Health, Snapshot, Tried

T = TypeVar("T")

_POLL_SECONDS = 20.0

_PAGE = 5000
"""The runs that a platform lists in one answer at most."""

_BASE = "/api/v1"
_BYTES = "application/octet-stream"

_KINDS: dict[int, type[FairwayError]] = {
    400: UsageError,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    410: CorruptArtifact,
    507: StorageError,
}


class Said(msgspec.Struct):
    """The body of a refusal."""

    error: str
    hint: str = ""
    details: str = ""


class RemotePlatform:
    """The platform at the other end of a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.people = RemotePeople(self._ask)
        self.serving = RemoteServing(self._ask)
        self.projects = RemoteProjects(self._ask)
        self.webhooks = RemoteWebhooks(self._ask)

    @property
    def place(self) -> str:
        """Place of the platform, for people."""
        return self._transport.place

    async def describe(self, request: RunRequest) -> ProjectSpec:
        """Import the project that a run is asked of, and return what it declares. Raises FairwayError."""
        return await self._ask("POST", "/describe", ProjectSpec, _encoded(request), again=True)

    async def submit(self, request: RunRequest) -> str:
        """Start or resume a run and return its name once it is on record. Raises FairwayError.

        The request has a key, so that it begins one run even if it has to be sent twice.
        """
        if self._transport.repeats and not request.key:
            request.key = os.urandom(16).hex()
        return (await self._ask("POST", "/runs", Submitted, _encoded(request), again=True)).run

    async def waiting(self, key: str) -> list[str]:
        """Return the notes about a request for a run that has no answer yet. Raises FairwayError."""
        return await self._ask("GET", f"/waiting?{urlencode({'key': key})}", list[str])

    async def follow(self, run: str, after: str = "") -> AsyncIterator[Update]:
        """Yield the updates of a run after a position until the run is over.

        A broken connection is made again, and the run is followed from the last position. A note tells that the platform
        has not been seen for a while.

        Raises:
            FairwayError: no answer came for too long, or the run cannot be followed.
        """
        sight = Sight(self._transport.patience)
        while True:
            try:
                found = await self.updates(run, after, _POLL_SECONDS)
            except Unreachable as error:
                for note in sight.lost(error):
                    yield Update(Noted(note), after)
                await asyncio.sleep(sight.pause)
                continue
            for note in sight.found():
                yield Update(Noted(note), after)
            for update in found:
                yield update
                after = update.position
                if isinstance(update.news, Over):
                    return

    async def updates(self, run: str, after: str = "", wait: float = 0.0) -> list[Update]:
        """Return the updates after a position, or a part of them. Wait at most `wait` seconds. Raises FairwayError."""
        query = urlencode({"after": after, "wait": f"{wait:g}"})
        return await self._ask("GET", f"/runs/{_part(run)}/follow?{query}", list[Update], again=False)

    async def plan(self, request: RunRequest) -> list[Foreseen]:
        """Return the steps that a run would carry out, without running any of them. Raises FairwayError."""
        return await self._ask("POST", "/plan", list[Foreseen], _encoded(request), again=True)

    async def cancel(self, run: str) -> Cancelled:
        """Stop a run, or put on record that an interrupted one will not go on. Raises FairwayError."""
        return await self._ask("POST", f"/runs/{_part(run)}/cancel", Cancelled, again=True)

    async def tag(self, run: str, tag: str, *, present: bool) -> None:
        """Put a word on a run, or take it off. Raises FairwayError."""
        body = msgspec.json.encode({"tag": tag, "present": present})
        await self._ask("POST", f"/runs/{_part(run)}/tag", dict[str, object], body, again=True)

    async def note(self, run: str, text: str) -> None:
        """Write a text on a run. An empty text removes it. Raises FairwayError."""
        body = msgspec.json.encode({"note": text})
        await self._ask("POST", f"/runs/{_part(run)}/note", dict[str, object], body, again=True)

    async def remove(self, names: list[str], *, really: bool) -> list[Removal]:
        """Remove runs and versions; without `really`, tell what would go. Raises FairwayError."""
        body = msgspec.json.encode({"names": names, "really": really})
        return await self._ask("POST", "/remove", list[Removal], body, again=not really)

    async def find(self, prefix: str) -> str:
        """Return the one run whose name starts with `prefix`; the newest for an empty one. Raises FairwayError."""
        query = urlencode({"prefix": prefix})
        return (await self._ask("GET", f"/find?{query}", Submitted)).run

    async def runs(self, limit: int = 50) -> list[RunSummary]:
        """Return the newest runs. Raises FairwayError."""
        return await self._ask("GET", f"/runs?limit={limit}", list[RunSummary])

    async def past(self, query: RunQuery) -> list[RunRecord]:
        """Return the runs that a query asks for, newest first. They are asked for in pages. Raises FairwayError."""
        found: list[RunRecord] = []
        while True:
            left = query.limit - len(found) if query.limit else _PAGE
            page = msgspec.structs.replace(
                query, limit=min(left, _PAGE), before=found[-1].name if found else query.before
            )
            some = await self._ask(
                "POST", "/runs/query", list[RunRecord], msgspec.json.encode(page), again=True
            )
            found += some
            if len(some) < page.limit or len(found) == query.limit:
                return found

    async def run(self, name: str) -> RunStatus:
        """Return one run with all its steps. Raises FairwayError."""
        return await self._ask("GET", f"/runs/{_part(name)}", RunStatus)

    async def change(self, run: str) -> int:
        """Return the place in the log of the last event of a run; 0 without one. Raises FairwayError."""
        return await self._ask("GET", f"/runs/{_part(run)}/change", int)

    async def outputs(self, run: str) -> Outputs:
        """Return the attempts of a run that have output. Raises FairwayError."""
        return await self._ask("GET", f"/runs/{_part(run)}/outputs", Outputs)

    async def logs(self, run: str, step: str, attempt: int, offset: int = 0) -> LogPage:
        """Return complete lines that an attempt printed, from an offset on. Raises FairwayError."""
        query = urlencode({"step": step, "attempt": attempt, "offset": offset})
        return await self._ask("GET", f"/runs/{_part(run)}/output?{query}", LogPage)

    async def log(self, run: str, query: LogQuery) -> LogPart:
        """Return the part of an attempt's output that a query asks for. Raises FairwayError."""
        path = f"/runs/{_part(run)}/log"
        return await self._ask("POST", path, LogPart, msgspec.json.encode(query), again=True)

    async def read(self, artifact: Artifact) -> bytes:
        """Return the content of an artifact that is one file. Raises FairwayError."""
        return await self._ask("POST", "/content", bytes, msgspec.json.encode(artifact), again=True)

    async def piece(self, digest: str, offset: int) -> bytes:
        """Return a piece of the content with a digest, from an offset on; empty behind its end. Raises FairwayError."""
        path = f"/content/{_part(digest)}?{urlencode({'offset': offset})}"
        return await self._answer("GET", path, b"", JSON, again=True)

    async def bring(self, digest: str, target: Path, *, check: bool = True) -> None:
        """Write the content with a digest to a new file. It is always checked. Raises FairwayError, and no file is left then."""
        found, offset = hashlib.sha256(), 0
        try:
            with open(target, "xb") as file:
                while piece := await self.piece(digest, offset):
                    found.update(piece)
                    file.write(piece)
                    offset += len(piece)
            if found.hexdigest() != digest:
                raise CorruptArtifact(
                    f"the content {digest[:12]} was changed on its way here", hint="ask again"
                )
        except BaseException:
            target.unlink(missing_ok=True)
            raise

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
        return await self._ask("POST", "/aliases", ModelVersion, body, again=True)

    async def sources(self, reference: str) -> dict[str, str]:
        """Return the source files that travel with a version, by name. Raises FairwayError."""
        return await self._ask("GET", f"/sources?{urlencode({'of': reference})}", dict[str, str])

    async def code(self, run: str) -> dict[str, str | None]:
        """Return the source files of a run's last work, by path; None for a file that is not kept. Raises NotFound."""
        return await self._ask("GET", f"/runs/{quote(run, safe='')}/code", dict[str, str | None])

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function and return when it answers. Raises FairwayError, nothing changed."""
        request = msgspec.structs.replace(request, key=request.key or os.urandom(16).hex())
        return await self._deployed("/deploy", msgspec.json.encode(request))

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the previous one. Raises FairwayError."""
        body = msgspec.json.encode({"revision": revision, "key": os.urandom(16).hex()})
        return await self._deployed(f"/endpoints/{_part(endpoint)}/rollback", body)

    async def undeploy(self, endpoint: str) -> None:
        """Remove an endpoint. Raises FairwayError."""
        query = urlencode({"key": os.urandom(16).hex(), "wait": f"{_POLL_SECONDS:g}"})
        path = f"/endpoints/{_part(endpoint)}?{query}"
        while (await self._ask("DELETE", path, dict[str, object], again=True)).get("pending"):
            pass

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint as wanted and as observed. Raises FairwayError."""
        return await self._ask("GET", "/endpoints", list[EndpointStatus])

    async def ended_output(self, endpoint: str) -> list[ServerLine]:
        """Return what servers of an endpoint printed that have ended, as far as the platform keeps it. Raises FairwayError."""
        return await self._ask("GET", f"/endpoints/{_part(endpoint)}/ended", list[ServerLine])

    async def deployed(self) -> list[EndpointStatus]:
        """Return every endpoint on record, also those that were removed. Raises FairwayError."""
        return await self._ask("GET", "/deployed", list[EndpointStatus])

    async def deeds(self, query: DeedQuery) -> list[Deed]:
        """Return the changes that people asked for, newest first. Raises FairwayError."""
        return await self._ask("POST", "/deeds", list[Deed], msgspec.json.encode(query), again=True)

    async def schedules(self) -> list[ScheduleStatus]:
        """Return every schedule with its last due times and the next one. Raises FairwayError."""
        return await self._ask("GET", "/schedules", list[ScheduleStatus])

    async def schedule(self, spec: ScheduleSpec) -> ScheduleStatus:
        """Keep a schedule from now on, in place of the one with its name. Raises FairwayError."""
        return await self._ask("POST", "/schedules", ScheduleStatus, msgspec.json.encode(spec), again=True)

    async def unschedule(self, name: str) -> None:
        """Remove a schedule. The runs that it started go on. Raises FairwayError."""
        await self._ask("DELETE", f"/schedules/{_part(name)}", dict[str, object])

    async def clean(self, request: Cleaning) -> Cleaned:
        """Remove content that nothing refers to, or count it. Raises FairwayError."""
        return await self._ask("POST", "/gc", Cleaned, msgspec.json.encode(request), again=True)

    async def health(self) -> Health:
        """Return the state of the platform and of the machine under it. Raises FairwayError."""
        return await self._ask("GET", "/health", Health)

    async def snapshot(self) -> Snapshot:
        """Keep the log as it is now, and list it with all that it refers to. Raises FairwayError."""
        return await self._ask("POST", "/backups", Snapshot, b"{}", again=True)

    async def snapshot_piece(self, name: str, path: str, offset: int) -> bytes:
        """Return a piece of a part of a snapshot; nothing at its end. Raises FairwayError."""
        query = urlencode({"path": path, "offset": offset})
        return await self._answer("GET", f"/backups/{_part(name)}?{query}", b"", JSON, again=True)

    async def tries(self) -> list[Tried]:
        """Try the object storage of the platform, and return what was found; nothing without any. Raises FairwayError."""
        return await self._ask("POST", "/tries", list[Tried], b"{}", again=True)

    async def shutdown(self, *, endpoints: bool) -> None:
        """Stop the platform, and with `endpoints` all that serves. Return when that is done. Raises FairwayError."""
        body = msgspec.json.encode({"endpoints": endpoints})
        await self._ask("POST", "/shutdown", dict[str, object], body)

    async def missing(self, digests: list[str]) -> list[str]:
        """Return the digests whose content the platform's store lacks. Raises FairwayError."""
        body = msgspec.json.encode({"digests": digests})
        return await self._ask("POST", "/store/missing", list[str], body, again=True)

    async def put(self, digest: str, content: bytes) -> None:
        """Put content with that digest into the platform's store. Raises FairwayError."""
        await self._answer("PUT", f"/store/blobs/{digest}", content, _BYTES, again=True)

    async def blob(self, digest: str) -> bytes:
        """Return the content with that digest. Raises FairwayError."""
        return await self._answer("GET", f"/store/blobs/{digest}", b"", JSON, again=True)

    async def close(self) -> None:
        """Close the connections to the platform."""
        await self._transport.close()

    async def _deployed(self, path: str, body: bytes) -> Deployed:
        """Return the outcome of a deployment, which is asked for again until it is over. Its key lets it begin only once."""
        path = f"{path}?{urlencode({'wait': f'{_POLL_SECONDS:g}'})}"
        while (answer := await self._ask("POST", path, Deployed, body, again=True)).pending:
            pass
        return answer

    async def _ask(
        self, method: str, path: str, kind: type[T], body: bytes = b"", *, again: bool | None = None
    ) -> T:
        """Return the answer to a question. Questions that change nothing are asked again after a broken connection."""
        repeated = method == "GET" if again is None else again
        content = await self._answer(method, path, body, JSON, again=repeated)
        try:
            return msgspec.json.decode(content, type=kind)
        except UNREADABLE:
            raise FairwayError(
                f"the platform at {self.place} answered what this version does not understand",
                hint=self._transport.outdated,
            ) from None

    async def _answer(self, method: str, path: str, body: bytes, kind: str, *, again: bool) -> bytes:
        """Return the content of an answer. Raises FairwayError if it is a refusal."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._transport.repeats if again else 0.0)
        while True:
            try:
                status, content = await self._transport.ask(method, f"{_BASE}{path}", body, kind)
                break
            except Unreachable:
                if loop.time() >= until:
                    raise
            await asyncio.sleep(RETRY_SECONDS)
        if status >= 400:
            raise _refusal(status, content)
        return content


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

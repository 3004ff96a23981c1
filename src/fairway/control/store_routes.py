"""The store of a control plane for its pods: content by digest, and the records of attempts.

Content goes through in pieces, so that memory holds a small part of it. It is verified while it is written, and never left in
half. Must not know who may ask: the gate has checked that before, and a record is compared with the run of the credential.
"""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar, cast
from urllib.parse import unquote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from fairway.control.bodies import BODY_LIMIT, Body
from fairway.control.handlers import BASE
from fairway.control.refused import Refused
from fairway.control.routes import BYTES, Entry, as_bytes, as_json, body
from fairway.ports import ResultStore
from fairway.server.protocol import MORE_TIME
from fairway.spec.artifact import Artifact
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import NotFound, StorageError, UsageError
from fairway.spec.quantities import whole_number
from fairway.spec.run import StepResult
from fairway.stores.refusals import StoreUnreachable

P = ParamSpec("P")
T = TypeVar("T")

STORE = f"{BASE}/store"
BODY = "fairway.body"
"""Key of the request's body in its scope."""

RUN = "fairway.run"
"""Key of the run that a request's credential belongs to, in the scope."""

_PIECE = 512 * 1024
_MOST_RECORD = 8 * BODY_LIMIT
_MOST_ATTEMPT = 2**31
_THREADS = 8
"""Threads that write and read content. A slow disk holds up these, and no thread that answers questions."""


class Written(Protocol):
    """A file that becomes a blob when its block ends."""

    def write(self, data: bytes | bytearray, /) -> int:
        """Add bytes and return their number."""
        ...

    def finish(self) -> str:
        """Write the rest and return the digest."""
        ...


class Blobs(Protocol):
    """The store of content."""

    def touch(self, digest: str) -> int | None:
        """Return the size of a blob, which counts as new from now on; None if there is none."""
        ...

    def missing(self, digests: list[str]) -> list[str]:
        """Return the digests that there is no blob for. The others count as new from now on."""
        ...

    def open(self, artifact: Artifact, *, verified: bool = False) -> Path | bytes:
        """Return the path of a blob. Raises CorruptArtifact, NotFound."""
        ...

    def doubt(self, digest: str) -> None:
        """Check a blob again when it is opened next."""
        ...

    def put_bytes(self, data: bytes) -> str:
        """Store data and return its digest once it is durable."""
        ...

    def writer(self) -> AbstractContextManager[Written]:
        """Open a file that becomes a blob when the block ends without an error."""
        ...


class MissingRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The digests that somebody wants to know about."""

    digests: list[str]


class StoreRoutes:
    """The handlers of the store routes.

    Args:
        artifacts: the store of content.
        results: makes a store of records for one thread.
        broke: called with an error of a store. It tells whether this process ends because of it.
    """

    def __init__(
        self,
        artifacts: Blobs,
        results: Callable[[], ResultStore],
        broke: Callable[[StorageError], bool] = lambda error: False,
    ) -> None:
        self._artifacts = artifacts
        self._make_results = results
        self._broke = broke
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(_THREADS, "store")

    def entries(self) -> list[Entry]:
        """Return all routes."""
        blob, record = f"{STORE}/blobs/{{digest}}", f"{STORE}/results/{{run}}/{{step}}/{{attempt}}"
        return [
            Entry(method="GET", path=blob, policy="runner", handler=self.blob, gives=bytes),
            Entry(method="PUT", path=blob, policy="runner", handler=self.put_blob),
            Entry(
                method="POST", path=f"{STORE}/missing", policy="runner", handler=self.missing,
                takes=MissingRequest, gives=list[str],
            ),
            Entry(method="GET", path=record, policy="pods", handler=self.record, gives=StepResult),
            Entry(method="PUT", path=record, policy="pods", handler=self.put_record),
        ]  # fmt: skip

    async def blob(self, request: Request) -> object:
        """Return a blob; `?check=1` compares it with its digest first."""
        digest = request.path_params["digest"]
        size = await self._aside(self._artifacts.touch, digest)
        if size is None:
            raise NotFound(
                f"artifact {digest[:12]} is not in the store", hint="run the pipeline again to make it again"
            )
        headers = {"content-length": str(size)}
        if request.method == "HEAD":
            return Response(None, 200, headers, BYTES)
        verified = request.query_params.get("check") != "1"
        if not verified:
            self._artifacts.doubt(digest)
        found = Artifact(format="", digest=digest, size=size)
        path = cast("Path", await self._aside(self._artifacts.open, found, verified=verified))
        if size <= _PIECE:
            return as_bytes(await self._aside(path.read_bytes))
        return StreamingResponse(self._pieces(path), 200, headers, BYTES)

    async def put_blob(self, request: Request) -> object:
        """Store the body under its digest. Refuse it if the digest is another one."""
        digest = request.path_params["digest"]
        pieces = _pieces_of(request)
        first = bytes(await anext(pieces, b""))
        if len(first) < _PIECE:
            await self._aside(self._put_small, digest, first)
            return {"stored": digest}
        block = self._artifacts.writer()
        file = await self._aside(block.__enter__)
        try:
            await self._aside(file.write, first)
            async for piece in pieces:
                await self._aside(file.write, piece)
            # Compared before the block ends, so that content with another digest never gets a name.
            _same(await self._aside(file.finish), digest)
        except BaseException as error:
            await self._aside(block.__exit__, type(error), error, error.__traceback__)
            raise
        await self._aside(block.__exit__, None, None, None)
        return {"stored": digest}

    async def missing(self, request: Request) -> object:
        """Return the digests that the store has no blob for. The others count as new from now on."""
        wanted: MissingRequest = await body(request, MissingRequest)
        return await self._aside(self._artifacts.missing, wanted.digests)

    async def record(self, request: Request) -> object:
        """Return the record of an attempt of the run that asks."""
        names = _names(request)
        found = await self._aside(lambda: self._results.read(*names))
        if found is None:
            raise NotFound(f"attempt {names[2]} of {names[1]} has no record")
        return found

    async def put_record(self, request: Request) -> object:
        """Create the record of an attempt of the run that asks. Answer 201, or 200 if there was one already."""
        names = _names(request)
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > _MOST_RECORD:
                raise Refused(413, f"a record has at most {_MOST_RECORD} bytes")
        try:
            result = msgspec.json.decode(content, type=StepResult)
        except UNREADABLE as error:
            raise UsageError(f"the record cannot be read: {error}") from None
        if (result.run, result.step, result.attempt) != names:
            raise UsageError("the record is of another attempt than its address")
        first = await self._aside(lambda: self._results.commit(result))
        return as_json({"first": first}, 201 if first else 200)

    @property
    def _results(self) -> ResultStore:
        """The store of records of this thread. It keeps folders open, so no two threads may share one."""
        try:
            return cast("ResultStore", self._own.results)
        except AttributeError:
            self._own.results = self._make_results()
            return self._own.results

    def _put_small(self, digest: str, data: bytes) -> None:
        _same(hashlib.sha256(data).hexdigest(), digest)
        self._artifacts.put_bytes(data)

    async def _aside(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that waits for the disk in a thread of the store."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(function, *args, **kwargs))
        except StoreUnreachable as error:
            # A pod sends its request again for minutes, and by then the store may be back.
            raise Refused(503, error.message, error.hint) from error
        except StorageError as error:
            if self._broke(error):
                raise Refused(
                    503, error.message, "ask again in a few seconds: another control plane starts"
                ) from error
            raise

    async def _pieces(self, path: Path) -> AsyncIterator[bytes]:
        file = await self._aside(path.open, "rb", buffering=0)
        try:
            while piece := await self._aside(file.read, _PIECE):
                yield piece
        finally:
            file.close()


async def _pieces_of(request: Request) -> AsyncIterator[bytearray]:
    """Yield the body in pieces that are worth a turn of a thread. A piece counts until the next one is asked for."""
    held = bytearray()
    counted: Body | None = request.scope.get(BODY)
    more_time = request.scope.get("extensions", {}).get(MORE_TIME)
    try:
        async for chunk in request.stream():
            held += chunk
            if len(held) >= _PIECE:
                yield held
                held = bytearray()
                if counted is not None:
                    counted.release()
                if more_time is not None:
                    more_time()
    except ClientDisconnect:
        raise Refused(400, "the body broke off") from None
    yield held


def _same(found: str, digest: str) -> None:
    if found != digest:
        raise UsageError(
            f"the body has the digest {found[:12]} and not {digest[:12]}",
            hint="it was changed on its way: send it again",
        )


def _names(request: Request) -> tuple[str, str, int]:
    """Return run, step and number of the attempt that a request names. Raises Refused if it is not of the run that asks."""
    run, step = (unquote(request.path_params[name]) for name in ("run", "step"))
    attempt = whole_number(request.path_params["attempt"], _MOST_ATTEMPT)
    if attempt is None:
        raise UsageError("the number of an attempt is a whole number")
    if request.scope.get(RUN) != run:
        raise Refused(403, "this credential is for another run")
    return run, step, attempt

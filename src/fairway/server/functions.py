"""The service of a custom endpoint: a function or class of the user's project, whose arguments are checked.

The project is a copy made at deployment. An exception in the function ends its request and nothing else.
"""

import asyncio
import inspect
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from fairway.author import describe, session, tracebacks
from fairway.author.endpoint import Endpoint
from fairway.author.files import File
from fairway.local import descent, importing, projects
from fairway.ports import ArtifactStore
from fairway.server import results, schemas, streams, uploads
from fairway.server.answers import Answer, ClientGone, Refusal, as_json, too_many
from fairway.server.list_batching import ListBatcher
from fairway.server.metrics import Metrics
from fairway.server.parameters import Arguments, Parameters
from fairway.server.repository import Repository
from fairway.server.requests import Request
from fairway.server.routes import Route
from fairway.server.sessions import ModelSession, offered
from fairway.spec.endpoint import WorkerSpec
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.text import legible, shortened

_THREADS = 8
_STREAMS = 64
"""Maximum number of threads for generators. Each generator has one, and most of them wait for their client."""

_JSON = b"application/json"
_UNFIT = (StopIteration, StopAsyncIteration)
"""Exceptions that a future does not accept."""

Found = TypeVar("Found")


class FunctionService:
    """The service of a function or class. Raises FairwayError if the project or the function cannot be loaded."""

    runtime = "python"
    samples = "none"

    def __init__(self, spec: WorkerSpec, store: ArtifactStore, metrics: Metrics) -> None:
        revision = spec.revision
        session.enter(ModelSession(offered(revision, store.open), store.open))
        endpoint = _declared(spec, store)
        self._endpoint = endpoint
        self._parameters = _parameters(endpoint)
        self.name = self._name = revision.endpoint
        self.number = self._number = str(revision.number)
        self._private = bool(revision.key_digest)
        self._limits = revision.limits
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="endpoint")
        self._readers = ThreadPoolExecutor(max_workers=_STREAMS, thread_name_prefix="stream")
        self._scratch = tempfile.TemporaryDirectory(prefix="fairway-") if self._parameters.files else None
        self._waiting = 0
        self._call = cast("Callable[..., Any]", _tried(endpoint.made))
        self._async = inspect.iscoroutinefunction(endpoint.answering)
        self._lazy = streams.is_generator(endpoint.answering)
        self._list_batcher = (
            ListBatcher(self._run, revision.limits.queue, revision.limits.batch, metrics.batch)
            if endpoint.batched
            else None
        )

    def routes(self) -> dict[str, Route]:
        """Return the routes by their exact paths."""
        base = f"/v2/models/{self._name}"
        routes = {
            "/": Route("predict", {"POST": self._answer, "GET": self._welcome}),
            "/v2": Route("server", {"GET": self._server}),
            "/openapi.json": Route("openapi", {"GET": self._openapi}),
        }
        routes |= Repository((self._name, self._number), self.runtime, None, self._metrics).routes()
        for path in (base, f"{base}/versions/{self._number}"):
            routes[path] = Route("metadata", {"GET": self._metadata})
            routes[f"{path}/ready"] = Route("model_ready", {"GET": self._ready})
            routes[f"{path}/infer"] = Route("infer", {"POST": self._no_tensors})
        return routes

    async def _answer(self, request: Request) -> "Answer | streams.Stream":
        kind = request.kind()
        if kind == _JSON:
            body = await request.body()
            if self._list_batcher is not None:
                return await self._batched(request, self._list_batcher, body)
            return await self._single(request, partial(self._parameters.from_json, body), None)
        if not self._parameters.files or (kind != uploads.FORM and not (self._parameters.raw and kind)):
            raise Refusal(415, f"send {self._accepted()}")
        body = await request.body()
        assert self._scratch is not None
        scratch = uploads.Scratch(Path(self._scratch.name))
        how = self._parameters.from_form if kind == uploads.FORM else self._parameters.from_raw
        return await self._single(
            request, partial(how, body, request.header(b"content-type"), scratch), scratch
        )

    async def _single(
        self, request: Request, read: Callable[[], Arguments], scratch: "uploads.Scratch | None"
    ) -> "Answer | streams.Stream":
        if self._waiting >= self._limits.queue:
            raise too_many()
        self._waiting += 1
        answer = None
        try:
            if scratch is None:
                arguments = read()
            else:
                arguments = await asyncio.get_running_loop().run_in_executor(self._pool, read)
            if self._lazy:
                args, kwargs = _spread(arguments)
                made = partial(self._call, *args, **kwargs)
            else:
                found = await self._within_time(request, self._run(arguments, whole=True))
                if isinstance(found, Answer):
                    return found
                made = partial(_same, found)
            answer = self._stream(request, made, partial(self._release, scratch))
            await answer.begin(request)
            return answer
        finally:
            if answer is None:
                self._release(scratch)

    def _release(self, scratch: "uploads.Scratch | None") -> None:
        self._waiting -= 1
        if scratch is not None:
            self._pool.submit(scratch.remove)

    def _stream(
        self, request: Request, made: Callable[[], Any], release: Callable[[], None]
    ) -> "streams.Stream":
        value = made() if not self._lazy or inspect.isasyncgenfunction(self._endpoint.answering) else None
        kind = b""
        if isinstance(value, File):
            kind, made = results.media_type(value), partial(streams.pieces_of, str(value.path))
        elif self._endpoint.streams and self._endpoint.item_type is bytes:
            kind = results.BYTES
        framing = streams.Framing(streams.wants_events(request.header(b"accept")), kind)
        if hasattr(value, "__anext__"):
            source: streams.Source = streams.InLoop(cast("AsyncIterator[object]", value), framing)
        else:
            source = streams.InThread(cast("Callable[[], Iterator[object]]", made), framing, self._readers)
        return streams.Stream(source, framing, self._limits.request_seconds, release)

    async def _batched(self, request: Request, batcher: ListBatcher, body: bytes) -> Answer:
        items, many = self._parameters.items(body)
        answers = cast("list[object]", await self._within_time(request, batcher.submit(items)))
        return Answer(200, results.encoded(answers if many else answers[0]))

    async def _run(self, arguments: Arguments, *, whole: bool = False) -> Any:
        """Call the function and return its result. With `whole`, return the finished answer, unless that comes in pieces."""
        args, kwargs = _spread(arguments)
        loop = asyncio.get_running_loop()
        if not self._async:
            return await loop.run_in_executor(self._pool, _called, self._call, args, kwargs, whole)
        try:
            value = await self._call(*args, **kwargs)
        except Exception:
            raise
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            raise _raised(error) from error
        if whole and results.takes_long(value):
            return await loop.run_in_executor(self._pool, _finished, value)
        return _finished(value) if whole else value

    async def _within_time(self, request: Request, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        request.when_left(_settle, left)
        seconds = self._limits.request_seconds
        try:
            await asyncio.wait({task, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if left.done():
                raise ClientGone
            raise Refusal(504, f"no answer within {seconds:g} seconds")
        finally:
            left.cancel()
            task.cancel()

    def _accepted(self) -> str:
        if not self._parameters.files:
            return "JSON with Content-Type: application/json"
        alone = ", or the file itself with its own Content-Type" if self._parameters.raw else ""
        return f"a form with Content-Type: multipart/form-data{alone}"

    async def _no_tensors(self, request: Request) -> Answer:
        raise Refusal(404, "this endpoint is a function; send its JSON to /")

    async def _welcome(self, request: Request) -> Answer:
        about = {"method": "POST", "path": "/"}
        return as_json(
            {"name": self._name, "revision": self._number, "ask": about, "openapi": "/openapi.json"}
        )

    async def _server(self, request: Request) -> Answer:
        return as_json({"name": "fairway", "version": "2", "extensions": []})

    async def _metadata(self, request: Request) -> Answer:
        return as_json(
            {
                "name": self._name,
                "versions": [self._number],
                "platform": "python",
                "inputs": [],
                "outputs": [],
            }
        )

    async def _ready(self, request: Request) -> Answer:
        return as_json({"name": self._name, "ready": True})

    async def _openapi(self, request: Request) -> Answer:
        return as_json(
            schemas.document(self._endpoint, self._parameters, self._name, self._number, self._private)
        )


def _declared(spec: WorkerSpec, store: ArtifactStore) -> Endpoint[..., object]:
    revision = spec.revision
    project = spec.project
    if not project and revision.source is not None:
        project = str(store.open(revision.source))
    place = projects.locate_copy(project, revision.module)
    module = _tried(partial(describe.load, place.file, place.module, place.roots))
    endpoint = describe.declared(module)[2].get(revision.function)
    if endpoint is None:
        raise NotFound(f"{revision.module} declares no endpoint {revision.function!r}")
    return endpoint


def _tried(work: Callable[[], Found]) -> Found:
    """Run the user's code at the start. A traceback goes to the log, where the supervisor finds it."""
    try:
        with descent.Marked(), importing.apart():
            return work()
    except FairwayError:
        raise
    except BaseException as error:
        print(legible(tracebacks.folded(error)), file=sys.stderr, flush=True)
        raise FairwayError(shortened(tracebacks.summary(error), tracebacks.HEADLINE)) from None


def _parameters(endpoint: Endpoint[..., object]) -> Parameters:
    try:
        return Parameters(endpoint)
    except UsageError as error:
        raise UsageError(f"endpoint {endpoint.__name__}: {error.message}", hint=error.hint) from None


def _spread(arguments: Arguments) -> tuple[tuple[object, ...], dict[str, object]]:
    return (arguments, {}) if isinstance(arguments, tuple) else ((), arguments)


def _called(function: Callable[..., object], args: Any, kwargs: Any, whole: bool) -> object:
    try:
        value = function(*args, **kwargs)
        return _finished(value) if whole else value
    except _UNFIT as error:
        raise _raised(error) from error
    except Exception:
        raise
    except BaseException as error:
        raise _raised(error) from error


def _raised(error: BaseException) -> RuntimeError:
    """Return an error that replaces an exception which would end the event loop, or which a future does not accept."""
    return RuntimeError(f"the function raised {tracebacks.summary(error)}")


def _finished(value: object) -> object:
    """Return the finished answer, or the value itself if it is answered in pieces."""
    return value if streams.is_iterator(value) or results.is_long(value) else results.answer(value)


def _same(value: object) -> object:
    return value


def _settle(left: "asyncio.Future[None]") -> None:
    if not left.done():
        left.set_result(None)

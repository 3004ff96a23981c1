"""Serves a custom endpoint: a function of the user's project, its annotations checked on the way in.

The project is a snapshot made at deployment. What the function raises ends its request and nothing else.
"""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec

from fairway import formats
from fairway.author import describe, session
from fairway.author.endpoint import Endpoint, bare
from fairway.server import openapi, tables
from fairway.server.answers import Answer, ClientGone, Refusal, as_json, too_many
from fairway.server.gathering import Gatherer
from fairway.server.metrics import Metrics
from fairway.server.models import json_body
from fairway.server.provenance import made_by_a_run
from fairway.server.repository import Repository
from fairway.server.requests import Request
from fairway.server.routes import Route
from fairway.spec.artifact import RefData
from fairway.spec.endpoint import WorkerSpec
from fairway.spec.errors import FairwayError, NotFound
from fairway.spec.model import ModelVersion
from fairway.spec.run import MetricPoint, StepSpec
from fairway.stores import FileArtifacts, Layout, SqliteMetadata

_THREADS = 8


class EndpointSession:
    """What `fw.model` needs inside an endpoint. References mean what they meant when the revision was made."""

    pipeline = False

    def __init__(self, spec: WorkerSpec, store: FileArtifacts) -> None:
        self._aliases = spec.revision.aliases
        self._metadata = SqliteMetadata(Layout(Path(spec.store)))
        self._store = store
        self._loaded: dict[str, object] = {}

    def model(self, reference: str) -> tuple[ModelVersion, object]:
        """The version, and a function that loads its model once."""
        pinned = self._aliases.get(reference)
        name = reference.partition("@")[0]
        version = self._metadata.resolve(f"{name}:{pinned}" if pinned else reference)
        return version, lambda: self._load(version)

    def log(self, points: tuple[MetricPoint, ...]) -> None:
        """Metrics of training have no place here."""

    def show(self, title: str, value: object) -> None:
        """Pictures have no place here."""

    def revealed(self, name: str, value: str) -> None:
        """What this process prints loses the value already."""

    def call(self, spec: StepSpec, arguments: dict[str, object]) -> RefData:
        """Never used: a task called here just runs."""
        raise FairwayError(f"{spec.task} cannot be started inside an endpoint")

    def wait(self, ref: RefData) -> object:
        """Never used: there are no refs here."""
        raise FairwayError(f"{ref.step} is not known inside an endpoint")

    def _load(self, version: ModelVersion) -> object:
        artifact = version.candidate.artifact
        if artifact.digest not in self._loaded:
            content = self._store.open(artifact)
            trusted = made_by_a_run(version, self._store.root)
            self._loaded[artifact.digest] = formats.decode(
                artifact.format, content, artifact.kind, allow_pickle=trusted
            )
        return self._loaded[artifact.digest]


class FunctionService:
    """Answers with a function. Raises FairwayError when the project or the function cannot be loaded."""

    runtime = "python"
    samples = "none"

    def __init__(self, spec: WorkerSpec, store: FileArtifacts, metrics: Metrics) -> None:
        revision = spec.revision
        session.enter(EndpointSession(spec, store))
        module = describe.load(str(Path(spec.project) / revision.module))
        endpoint = describe.declared(module)[2].get(revision.function)
        if endpoint is None:
            raise NotFound(f"{revision.module} declares no endpoint {revision.function!r}")
        self._endpoint = endpoint
        self.name = self._name = revision.endpoint
        self.number = self._number = str(revision.number)
        self._private = bool(revision.key_digest)
        self._limits = revision.limits
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="endpoint")
        self._waiting = 0
        self._call = cast("Callable[..., Any]", endpoint.function)
        self._async = inspect.iscoroutinefunction(endpoint.function)
        self._gatherer = (
            Gatherer(self._run, revision.limits.queue, revision.limits.batch, metrics.batch)
            if endpoint.batched
            else None
        )

    def routes(self) -> dict[str, Route]:
        """What it answers."""
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

    async def _answer(self, request: Request) -> Answer:
        given = await json_body(request)
        if self._gatherer is not None:
            return await self._batched(request, self._gatherer, given)
        if self._waiting >= self._limits.queue:
            raise too_many()
        arguments = _arguments(self._endpoint, given)
        self._waiting += 1
        try:
            return _encoded(await self._within_time(request, self._run(arguments)))
        finally:
            self._waiting -= 1

    async def _batched(self, request: Request, gatherer: Gatherer, given: object) -> Answer:
        annotation = self._endpoint.request_type
        many = isinstance(given, list) and not _is_list(annotation)
        items = [_converted(annotation, item) for item in (cast("list[object]", given) if many else [given])]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if not items:
            raise Refusal(400, "a request needs at least one row")
        answers = await self._within_time(request, gatherer.submit(items))
        return _encoded(answers if many else cast("list[object]", answers)[0])

    async def _run(self, arguments: "tuple[object, ...] | dict[str, object]") -> Any:
        args, kwargs = (arguments, {}) if isinstance(arguments, tuple) else ((), arguments)
        try:
            if self._async:
                return await self._call(*args, **kwargs)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, lambda: self._call(*args, **kwargs))
        except (SystemExit, KeyboardInterrupt) as error:  # the event loop would end with them
            raise RuntimeError(f"the function raised {type(error).__name__}") from error

    async def _within_time(self, request: Request, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        watcher = asyncio.ensure_future(request.left())
        seconds = self._limits.request_seconds
        try:
            await asyncio.wait({task, watcher}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if watcher.done():
                raise ClientGone
            raise Refusal(504, f"no answer within {seconds:g} seconds")
        finally:
            watcher.cancel()
            task.cancel()

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
        wanted, answer = _wanted(self._endpoint), _schema(self._endpoint.response_type)
        if self._endpoint.batched and not _is_list(self._endpoint.request_type):
            wanted, answer = openapi.one_or_many(wanted), openapi.one_or_many(answer)
        return as_json(openapi.describe(self._name, self._number, wanted, answer, private=self._private))


def _arguments(endpoint: "Endpoint[..., object]", given: object) -> "tuple[object, ...] | dict[str, object]":
    parameters = endpoint.parameters
    if not parameters:
        return ()
    if len(parameters) == 1:
        return (_converted(next(iter(parameters.values())), given),)
    if not isinstance(given, dict):
        raise Refusal(400, f"send an object with {', '.join(parameters)}")
    fields = cast("dict[str, object]", given)
    unknown = [name for name in fields if name not in parameters]
    if unknown:
        raise Refusal(400, f"unknown field {unknown[0]!r}; it takes {', '.join(parameters)}")
    required = inspect.signature(endpoint.function).parameters
    missing = [
        name
        for name in parameters
        if name not in fields and required[name].default is inspect.Parameter.empty
    ]
    if missing:
        raise Refusal(400, f"field {missing[0]!r} is missing")
    return {name: _converted(parameters[name], value, name) for name, value in fields.items()}


def _converted(annotation: object, value: object, field: str = "") -> object:
    """The value as its annotation says. Raises Refusal 400."""
    where = f"field {field!r}: " if field else ""
    try:
        special = _special(bare(annotation))
        if special is not None:
            return special(value)
        return (  # pyright: ignore[reportUnknownVariableType]
            msgspec.convert(value, cast("type", annotation), strict=True)
            if annotation is not object
            else value
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise Refusal(400, f"{where}{error}") from None
    except TypeError as error:
        raise Refusal(400, f"{where}cannot be read as {annotation}: {error}") from None


def _special(annotation: object) -> Callable[[object], object] | None:
    """How rows become an array or a data frame; None for other types."""
    if _is_frame(annotation):
        return tables.frame
    return partial(tables.array, annotation) if _is_array(annotation) else None


def _is_frame(annotation: object) -> bool:
    module, name = getattr(annotation, "__module__", ""), getattr(annotation, "__name__", "")
    return module.partition(".")[0] == "pandas" and name == "DataFrame"


def _is_array(annotation: object) -> bool:
    return str(annotation).startswith(("numpy.ndarray", "<class 'numpy.ndarray'>"))


def _encoded(value: object) -> Answer:
    return Answer(200, msgspec.json.encode(value, enc_hook=_plain))


def _plain(value: Any) -> object:
    if hasattr(value, "to_dicts"):  # a frame of polars
        return value.to_dicts()
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict("records")
    if hasattr(value, "to_dict") and type(value.index).__name__ != "RangeIndex":
        return value.to_dict()
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "to_list"):
        return value.to_list()
    raise TypeError(f"an answer of type {type(value).__name__} has no JSON form")


def _is_list(annotation: object) -> bool:
    annotation = bare(annotation)
    return annotation is list or getattr(annotation, "__origin__", None) is list


def _wanted(endpoint: "Endpoint[..., object]") -> dict[str, object]:
    """Schema of one request: the only parameter's own, or an object with a field for each of several."""
    parameters = endpoint.parameters
    if len(parameters) < 2:
        return _schema(endpoint.request_type) if parameters else {}
    known = inspect.signature(endpoint.function).parameters
    return {
        "type": "object",
        "properties": {name: _schema(annotation) for name, annotation in parameters.items()},
        "required": [name for name in parameters if known[name].default is inspect.Parameter.empty],
        "additionalProperties": False,
    }


def _schema(annotation: object) -> dict[str, object]:
    if _is_frame(bare(annotation)):
        return {"type": "array", "items": {"type": ["object", "array"]}}
    if _is_array(bare(annotation)):
        return {"type": ["array", "number"]}
    try:
        schema, found = msgspec.json.schema_components([cast("type", annotation)], ref_template="{name}")
    except (TypeError, ValueError):
        return {}
    return _inlined(schema[0], found)


def _inlined(schema: Any, components: dict[str, Any], depth: int = 0) -> Any:
    """A schema with its references replaced by what they name."""
    if isinstance(schema, dict):
        fields = cast("dict[str, Any]", schema)
        if "$ref" in fields and depth < 8:
            return _inlined(components.get(fields["$ref"], {}), components, depth + 1)
        return {name: _inlined(value, components, depth) for name, value in fields.items() if name != "$ref"}
    if isinstance(schema, list):
        return [_inlined(item, components, depth) for item in cast("list[Any]", schema)]
    return schema

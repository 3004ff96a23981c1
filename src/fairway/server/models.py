"""The service of a registered model: the Open Inference Protocol v2, and plain rows in JSON."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from fairway import formats
from fairway.ports import ArtifactStore
from fairway.server import openapi, tensors
from fairway.server.answers import Answer, ClientGone, Refusal, as_json, unreadable
from fairway.server.batching import Batcher
from fairway.server.metrics import Metrics
from fairway.server.repository import EXTENSIONS, Repository
from fairway.server.requests import JSON, Request
from fairway.server.routes import Route
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.model import ModelVersion

_OCTETS = b"application/octet-stream"
_BYTES_PER_VALUE = 4
"""An answer may hold one value for every this many bytes of the largest permitted body."""


class ModelService:
    """The service of one version of a model. Raises FairwayError if the model does not reproduce its samples."""

    def __init__(
        self,
        revision: RevisionSpec,
        store: ArtifactStore,
        metrics: Metrics,
        under_way: Callable[[], int] = lambda: 0,
    ) -> None:
        self._version = cast("ModelVersion", revision.model)
        self._revision = revision
        self.name = self._name = revision.endpoint
        self.number = self._number = str(self._version.version)
        self._predictor = formats.load_predictor(self._version, store.open, trusted=lambda: revision.trusted)
        self._signature = self._predictor.signature
        self._wanted = tensors.wanted_of(self._signature)
        self._by_column = tensors.columns_of(self._signature)
        self._dates = tensors.dates_of(self._signature)
        self._nullable: frozenset[str] = frozenset()
        self._example: object = None
        self.runtime = self._predictor.runtime
        self.samples = self._reproduce(store)
        limits = revision.limits
        self._most_rows = max(1, limits.body // (_BYTES_PER_VALUE * tensors.values_per_row(self._signature)))
        self._batcher = Batcher(self._predictor.predict, limits.queue, limits.batch, metrics.batch, under_way)
        self._metrics = metrics
        self._seconds = revision.limits.request_seconds
        self._encode = msgspec.json.Encoder().encode

    def routes(self) -> dict[str, Route]:
        """Return the routes by their exact paths."""
        base = f"/v2/models/{self._name}"
        versioned = f"{base}/versions/{self._number}"
        routes = {"/": Route("predict", {"POST": self._rows, "GET": self._welcome})}
        routes["/v2"] = Route("server", {"GET": self._server})
        routes["/openapi.json"] = Route("openapi", {"GET": self._openapi})
        routes |= Repository(
            (self._name, self._number), self.runtime, self._signature, self._metrics
        ).routes()
        for path in (base, versioned):
            routes[path] = Route("metadata", {"GET": self._metadata})
            routes[f"{path}/ready"] = Route("model_ready", {"GET": self._ready})
            routes[f"{path}/infer"] = Route("infer", {"POST": self._infer})
        return routes

    def _reproduce(self, store: ArtifactStore) -> str:
        """Compute the samples and compare them with the registered outputs. Return the count, such as "32/32"."""
        samples = self._version.candidate.samples
        if samples is None:
            return "none"
        inputs, expected = formats.decode_samples(_content(store, samples))
        parity = formats.check_parity(self._predictor, inputs, expected)
        if not parity.ok:
            raise FairwayError(
                f"{self._version} reproduced {parity.reproduced} of {parity.rows} samples: {parity.note}",
                hint="serve it with the packages it was registered with, or register it again",
            )
        self._nullable = formats.nullable_columns(self._signature, inputs)
        self._example = self._first_row(inputs)
        return f"{parity.reproduced}/{parity.rows}"

    def _first_row(self, inputs: dict[str, Any]) -> object:
        first = {name: array[:1].tolist()[0] for name, array in inputs.items()}
        if self._signature.layout == "columns":
            return first
        row = first[self._signature.inputs[0].name]
        return dict(zip(self._signature.columns, row, strict=True)) if self._signature.columns else row

    async def _compute(self, request: Request, inputs: dict[str, Any]) -> dict[str, Any]:
        if self._batcher.free:
            return self._batcher.compute(inputs)
        future = self._batcher.submit(inputs)
        self._metrics.depth = self._batcher.depth
        request.when_left(_give_up, future, ClientGone())
        if self._batcher.quick:
            # A quick model needs no timer: it computes in the event loop, where no timer can fire meanwhile.
            return await future
        late = Refusal(504, f"no answer within {self._seconds:g} seconds")
        timer = asyncio.get_running_loop().call_later(self._seconds, _give_up, future, late)
        try:
            return await future
        finally:
            timer.cancel()

    async def _infer(self, request: Request) -> Answer:
        length = request.header(b"inference-header-content-length")
        if request.kind() not in (JSON, _OCTETS):
            raise Refusal(
                415, "send Content-Type: application/json, or application/octet-stream with binary data"
            )
        body = await request.body()
        asked, binary = tensors.decode(body, length)
        if self._by_column and asked.inputs and asked.inputs[0].name in self._by_column:
            inputs = tensors.stacked(tensors.inputs_of(asked, binary, self._by_column), self._signature)
        else:
            inputs = tensors.inputs_of(asked, binary, self._wanted, self._dates)
        try:
            if binary or b"null" in body:  # only these two can contain a missing value
                formats.refuse_missing(self._signature, inputs, self._nullable)
            inputs = formats.check_features(self._signature, inputs)
        except UsageError as error:
            raise Refusal(400, error.message, hint=error.hint) from None
        if len(body) > self._most_rows:
            self._check_rows(inputs)
        outputs = await self._compute(request, inputs)
        return tensors.answer(asked, outputs, self._predictor, self._name, self._number)

    async def _rows(self, request: Request) -> Answer:
        given = await json_body(request)
        rows, single = self._as_rows(given)
        try:
            inputs = formats.rows_to_inputs(self._signature, rows, self._nullable)
        except UsageError as error:
            raise Refusal(400, error.message, hint=error.hint) from None
        if len(rows) > self._most_rows:
            self._check_rows(inputs)
        outputs = await self._compute(request, inputs)
        answers = formats.outputs_to_rows(self._signature, outputs)
        return Answer(200, self._encode(answers[0] if single else answers))

    def _check_rows(self, inputs: dict[str, Any]) -> None:
        rows = len(next(iter(inputs.values())))
        if rows > self._most_rows:
            raise Refusal(
                413,
                f"the answer to {rows} rows would be too large",
                hint=f"send at most {self._most_rows} rows at once",
            )

    def _as_rows(self, given: object) -> tuple[list[Any], bool]:
        """Return the rows of a body, and true if the body was a single row."""
        if isinstance(given, dict):
            fields = cast("dict[str, object]", given)
            if list(fields) == ["rows"] and isinstance(fields["rows"], list):
                return cast("list[Any]", fields["rows"]), False
            return [fields], True
        if isinstance(given, list):
            rows = cast("list[Any]", given)
            one = bool(rows) and not isinstance(rows[0], dict | list) and self._width() > 1
            return ([rows], True) if one else (rows, False)
        return [given], True

    def _width(self) -> int:
        shape = self._signature.inputs[0].shape
        return (
            len(self._signature.inputs)
            if self._signature.layout == "columns" or len(shape) < 2
            else abs(shape[1])
        )

    async def _welcome(self, request: Request) -> Answer:
        return as_json(
            {
                "name": self._name,
                "model": self._version.name,
                "version": self._version.version,
                "runtime": self.runtime,
                "example": {"method": "POST", "path": "/", "body": self._example},
                "openapi": "/openapi.json",
            }
        )

    async def _server(self, request: Request) -> Answer:
        return as_json({"name": "fairway", "version": "2", "extensions": EXTENSIONS})

    async def _metadata(self, request: Request) -> Answer:
        body: dict[str, object] = {
            "name": self._name,
            "versions": [self._number],
            "platform": self.runtime,
            "inputs": [_tensor(spec) for spec in self._signature.inputs],
            "outputs": [_tensor(spec) for spec in self._signature.outputs],
        }
        parameters: dict[str, object] = {}
        if self._signature.columns:
            parameters["columns"] = list(self._signature.columns)
        if features := openapi.describe_features(self._signature, self._nullable):
            parameters["features"] = features
        if parameters:
            body["parameters"] = parameters
        return as_json(body)

    async def _ready(self, request: Request) -> Answer:
        return as_json({"name": self._name, "ready": True})

    async def _openapi(self, request: Request) -> Answer:
        document = openapi.describe(
            self._name,
            self._number,
            openapi.one_or_many(openapi.row_schema(self._signature, self._nullable)),
            openapi.one_or_many(openapi.answer_schema(self._signature)),
            example=self._example,
            private=bool(self._revision.key_digest),
        )
        return as_json(openapi.with_tensors(document, self._name))


async def json_body(request: Request) -> object:
    """Read and decode the JSON body. Raises Refusal 415 or 400."""
    if request.kind() != JSON:
        raise Refusal(415, "send JSON with Content-Type: application/json")
    body = await request.body()
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable("not valid JSON", error, body) from None


def _give_up(future: "asyncio.Future[dict[str, Any]]", reason: Exception) -> None:
    """End the wait for an answer. If the request is still in the queue, the batcher drops it."""
    if not future.done():
        future.set_exception(reason)


def _tensor(spec: object) -> dict[str, object]:
    return cast("dict[str, object]", msgspec.to_builtins(spec))


def _content(store: ArtifactStore, artifact: Artifact) -> bytes:
    content = store.open(artifact)
    return content if isinstance(content, bytes) else content.read_bytes()

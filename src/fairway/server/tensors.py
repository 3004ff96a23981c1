"""The Open Inference Protocol v2 over REST: it turns requests into arrays and arrays into answers, as JSON or binary.

Every refusal names the input, the expected form and the given form. Knows no model.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np

from fairway.formats import MAX_RANK, Predictor, flat
from fairway.server.answers import Answer, Refusal, unreadable
from fairway.spec.model import Signature, TensorSpec
from fairway.spec.quantities import whole_number

Arrays = dict[str, Any]

_CODES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_DTYPES = {datatype: np.dtype(code) for datatype, code in _CODES.items()}
_FLOATS = frozenset({int, float, type(None)})
_INTEGERS = frozenset({int})
_TEXTS = frozenset({str, type(None)})
_TRUTHS = frozenset({bool})
_ACCEPTED = {"f": _FLOATS, "b": _TRUTHS, "i": _INTEGERS, "u": _INTEGERS}
_PLAIN = (None, "np", "pd")
"""Content types that add nothing to the datatypes."""


class TensorParameters(msgspec.Struct):
    """Parameters that change the meaning of a tensor. Those that are not supported are read so that they can be refused."""

    binary_data_size: int | None = None
    binary_data: bool | None = None
    content_type: str | None = None
    classification: int | None = None
    shared_memory_region: str | None = None


class RequestTensor(msgspec.Struct):
    """An input of a request."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: TensorParameters | None = None


class RequestedOutput(msgspec.Struct):
    """An output that the client asks for."""

    name: str
    parameters: TensorParameters | None = None


class RequestParameters(msgspec.Struct):
    """Parameters that change the meaning of a request. Those that are not supported are read so that they can be refused."""

    binary_data_output: bool = False
    content_type: str | None = None
    sequence_id: int | str | None = None
    sequence_start: bool = False
    sequence_end: bool = False


class InferRequest(msgspec.Struct):
    """The JSON part of a request."""

    inputs: list[RequestTensor]
    id: str | None = None
    parameters: RequestParameters | None = None
    outputs: list[RequestedOutput] | None = None


_decoder = msgspec.json.Decoder(InferRequest)
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, json_length: bytes) -> tuple[InferRequest, memoryview]:
    """Decode a request and return it with its binary part. Raises Refusal 400.

    Args:
        body: the whole body.
        json_length: the header of the binary extension, or empty.
    """
    end = len(body)
    if json_length:
        length = whole_number(json_length, len(body))
        if length is None:
            raise Refusal(400, "Inference-Header-Content-Length does not fit the body")
        end = length
    try:
        request = _decoder.decode(body if end == len(body) else body[:end])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable("not a valid request", error, body[:end]) from None
    return request, memoryview(body)[end:]


Wanted = dict[str, TensorSpec]


def wanted_of(signature: Signature) -> Wanted:
    """Return the inputs of a model by name."""
    return {spec.name: spec for spec in signature.inputs}


def columns_of(signature: Signature) -> Wanted:
    """Return the columns of a model with one input. Clients that send tables send each column as an input of its own."""
    if signature.layout != "tensor" or not signature.columns or len(signature.inputs[0].shape) != 2:
        return {}
    spec = signature.inputs[0]
    if spec.name in signature.columns:
        return {}
    return {name: TensorSpec(name=name, datatype=spec.datatype, shape=(-1,)) for name in signature.columns}


def stacked(columns: Arrays, signature: Signature) -> Arrays:
    """Join the columns into the one input of the model."""
    return {signature.inputs[0].name: np.stack([columns[name] for name in signature.columns], axis=1)}


def values_per_row(signature: Signature) -> int:
    """Return the number of values that an answer has for each row. A free dimension counts as one."""
    return max(1, sum(math.prod(max(size, 1) for size in spec.shape[1:]) for spec in signature.outputs))


def dates_of(signature: Signature) -> frozenset[str]:
    """Return the names of the inputs whose texts are dates or moments."""
    return frozenset(feature.name for feature in signature.features if feature.kind in ("datetime", "date"))


def inputs_of(
    request: InferRequest, binary: memoryview, wanted: Wanted, dates: frozenset[str] = frozenset()
) -> Arrays:
    """Return the arrays of a request by input. Raises Refusal 400.

    Args:
        request: the JSON part.
        binary: the binary part.
        wanted: the inputs of the model.
        dates: names of inputs for which a client may use the content type of dates.
    """
    if request.parameters is not None:
        _check_request(request.parameters)
    arrays: Arrays = {}
    place = 0
    for tensor in request.inputs:
        spec = wanted.get(tensor.name)
        if spec is None:
            raise Refusal(400, f"unknown input {tensor.name!r}; the model takes {', '.join(wanted)}")
        if tensor.name in arrays:
            raise Refusal(400, f"input {tensor.name!r} is given twice")
        shape = _shape(tensor, spec)
        size = None
        if tensor.parameters is not None:
            _check_input(tensor, tensor.parameters, tensor.name in dates)
            size = tensor.parameters.binary_data_size
        if size is not None:
            if tensor.data is not None:
                raise Refusal(400, f"input {tensor.name!r} has data in JSON and in binary")
            if size < 0 or place + size > len(binary):
                raise Refusal(400, f"input {tensor.name!r}: binary_data_size does not fit the body")
            array = _from_binary(tensor, binary[place : place + size], math.prod(tensor.shape))
            place += size
        else:
            array = _from_json(tensor, spec)
        arrays[tensor.name] = _fitted(array, tensor, spec, shape)
    if place != len(binary):
        raise Refusal(400, f"{len(binary) - place} bytes behind the JSON part belong to no input")
    if len(arrays) != len(wanted):
        missing = next(name for name in wanted if name not in arrays)
        raise Refusal(400, f"input {missing!r} is missing; the model takes {', '.join(wanted)}")
    rows = set(map(len, arrays.values()))
    if len(rows) != 1:
        raise Refusal(400, "the inputs have different numbers of rows")
    if 0 in rows:
        raise Refusal(400, "a request needs at least one row")
    return arrays


def answer(request: InferRequest, outputs: Arrays, predictor: Predictor, name: str, version: str) -> Answer:
    """Return the answer, with binary data if the client asks for it. Raises Refusal 400 for an unknown output."""
    chosen = request.outputs or None  # an empty list means every output, like no list
    everything = request.parameters is not None and request.parameters.binary_data_output
    if chosen is None and not everything:
        return _plain(request, outputs, predictor, (name, version))
    specs = {spec.name: spec for spec in predictor.signature.outputs}
    asked_for: set[str] = set()
    written: list[object] = []
    chunks: list[bytes] = []
    for output in chosen if chosen is not None else [RequestedOutput(name=known) for known in specs]:
        spec = specs.get(output.name)
        if spec is None or output.name not in outputs:
            raise Refusal(400, f"unknown output {output.name!r}; the model gives {', '.join(specs)}")
        if output.name in asked_for:
            raise Refusal(400, f"output {output.name!r} is asked for twice")
        asked_for.add(output.name)
        if output.parameters is not None:
            _check_output(output.name, output.parameters)
        array = outputs[output.name]
        asked = output.parameters.binary_data if output.parameters else None
        tensor: dict[str, object] = {"name": spec.name, "shape": list(array.shape), "datatype": spec.datatype}
        if everything if asked is None else asked:
            data = to_binary(array, spec.datatype)
            tensor["parameters"] = {"binary_data_size": len(data)}
            chunks.append(data)
        else:
            tensor["data"] = array.ravel().tolist()
        written.append(tensor)
    head = _head(request, written, (name, version))
    if not chunks:
        return Answer(200, head)
    extra = ((b"inference-header-content-length", b"%d" % len(head)),)
    return Answer(200, b"".join([head, *chunks]), b"application/octet-stream", extra)


def to_binary(array: Any, datatype: str) -> bytes:
    """Return the elements of an array in row-major, little-endian form. A text has its length in front."""
    if datatype != "BYTES":
        return np.ascontiguousarray(array, dtype=_DTYPES[datatype]).tobytes()
    parts: list[bytes] = []
    for item in array.ravel().tolist():
        data = item if isinstance(item, bytes) else str(item).encode()
        parts += [len(data).to_bytes(4, "little"), data]
    return b"".join(parts)


def _plain(request: InferRequest, outputs: Arrays, predictor: Predictor, who: tuple[str, str]) -> Answer:
    written: list[object] = []
    for spec in predictor.signature.outputs:
        array = outputs.get(spec.name)
        if array is not None:
            data = array.ravel().tolist()
            written.append({"name": spec.name, "shape": array.shape, "datatype": spec.datatype, "data": data})
    return Answer(200, _head(request, written, who))


def _head(request: InferRequest, written: Sequence[object], who: tuple[str, str]) -> bytes:
    body: dict[str, object] = {"model_name": who[0], "model_version": who[1]}
    if request.id:
        body["id"] = request.id
    body["outputs"] = written
    return _encode(body)


def _shape(tensor: RequestTensor, spec: TensorSpec) -> tuple[int, ...]:
    """Return the shape of the array for the model. A single column may have the shape (rows, 1)."""
    given = tuple(tensor.shape)
    wanted = spec.shape
    if given and given[1:] == wanted[1:] and min(given) >= 0:
        return given
    if len(given) > MAX_RANK or any(size < 0 for size in given):
        raise Refusal(400, f"input {tensor.name!r} has an impossible shape")
    if len(wanted) == 1 and len(given) == 2 and given[1] == 1:
        return given[:1]
    if len(given) != len(wanted) or any(
        want not in (-1, got) for want, got in zip(wanted, given, strict=True)
    ):
        raise Refusal(400, f"input {tensor.name!r} must have the shape {list(wanted)}, not {list(given)}")
    return given


def _from_json(tensor: RequestTensor, spec: TensorSpec) -> Any:
    """Return a flat array. A missing number is NaN and a missing text None. Later checks refuse them where none may be."""
    data = tensor.data
    if data is None:
        raise Refusal(400, f"input {tensor.name!r} has no data")
    if tensor.datatype not in _DTYPES and tensor.datatype != "BYTES":
        raise Refusal(400, f"input {tensor.name!r} has the unknown datatype {tensor.datatype!r}")
    try:
        cells = flat(cast("list[Any]", data) if type(data) is list else [data])[0]
    except ValueError:
        raise Refusal(400, f"input {tensor.name!r}: data is not a regular array") from None
    types = set(map(type, cells))
    if tensor.datatype == "BYTES":
        if not types <= _TEXTS:
            _refuse_ragged(tensor, types)
            raise Refusal(400, f"input {tensor.name!r} is of type BYTES and must hold texts")
        array = np.empty(len(cells), dtype=object)
        array[:] = cells
        return array
    dtype = _DTYPES[tensor.datatype]
    accepted = _ACCEPTED[dtype.kind]
    wanted = _DTYPES.get(spec.datatype, dtype)
    if accepted is _INTEGERS and wanted.kind == "f" and type(None) in types:
        accepted, dtype = _FLOATS - {float}, wanted
    if accepted is _FLOATS and float in types:
        types.discard(bool)  # numbers and truth values together make one array of numbers
    if not types <= accepted:
        _refuse_ragged(tensor, types)
        raise Refusal(400, f"input {tensor.name!r} is of type {tensor.datatype}, and its data is not")
    if accepted is _FLOATS and wanted.kind == "f":
        dtype = wanted
    return _numbers(tensor, cells, dtype)


def _numbers(tensor: RequestTensor, cells: list[Any], dtype: Any) -> Any:
    try:
        array = np.array(cells, dtype=dtype)
    except OverflowError:
        raise Refusal(
            400, f"input {tensor.name!r} holds a number that does not fit {tensor.datatype}"
        ) from None
    if dtype.kind == "f" and dtype.itemsize < 8:
        values = array.tolist()
        # JSON has no infinity. An infinity in the array means that a number was too large for the datatype.
        if math.inf in values or -math.inf in values:
            raise Refusal(400, f"input {tensor.name!r} holds a number that does not fit {dtype.name}")
    return array


def _refuse_ragged(tensor: RequestTensor, types: set[type]) -> None:
    if list in types:
        raise Refusal(400, f"input {tensor.name!r}: data is not a regular array")


def _from_binary(tensor: RequestTensor, data: memoryview, count: int) -> Any:
    if tensor.datatype == "BYTES":
        return _texts(tensor, data, count)
    if tensor.datatype not in _DTYPES:
        raise Refusal(400, f"input {tensor.name!r} has the unknown datatype {tensor.datatype!r}")
    dtype = _DTYPES[tensor.datatype]
    if len(data) != count * dtype.itemsize:
        raise Refusal(400, f"input {tensor.name!r} needs {count * dtype.itemsize} bytes, not {len(data)}")
    return np.frombuffer(data, dtype=dtype)


def _texts(tensor: RequestTensor, data: memoryview, count: int) -> Any:
    texts: list[str] = []
    place = 0
    while place + 4 <= len(data) and len(texts) < count:
        length = int.from_bytes(data[place : place + 4], "little")
        place += 4
        if place + length > len(data):
            break
        try:
            texts.append(bytes(data[place : place + length]).decode())
        except UnicodeDecodeError:
            raise Refusal(400, f"input {tensor.name!r} holds a text that is not UTF-8") from None
        place += length
    if len(texts) != count or place != len(data):
        raise Refusal(400, f"input {tensor.name!r}: its binary data does not hold {count} texts")
    return np.array(texts, dtype=object)


def _fitted(array: Any, tensor: RequestTensor, spec: TensorSpec, shape: tuple[int, ...]) -> Any:
    """Convert an array to the element type and shape of the model. Raises Refusal 400 if the conversion would lose values."""
    if array.size != (shape[0] * shape[1] if len(shape) == 2 else math.prod(shape)):
        raise Refusal(
            400, f"input {tensor.name!r} has the shape {list(tensor.shape)} and {array.size} values"
        )
    if not array.size and shape[0]:
        raise Refusal(400, f"input {tensor.name!r} holds no values")
    given = array.dtype
    if spec.datatype == "BYTES" or given.kind == "O":
        if spec.datatype != "BYTES" or given.kind != "O":
            raise _type_refused(tensor, spec)
        return array.reshape(shape)
    dtype = _DTYPES[spec.datatype]
    if given == dtype:
        return array.reshape(shape)
    wanted = dtype.kind
    if not (given.kind == wanted or (given.kind in "iu" and wanted in "fiu")) and array.size:
        raise _type_refused(tensor, spec)
    if wanted in "iu" and array.size:
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise Refusal(400, f"input {tensor.name!r} holds a number that does not fit {spec.datatype}")
    return array.astype(dtype).reshape(shape)


def _type_refused(tensor: RequestTensor, spec: TensorSpec) -> Refusal:
    return Refusal(400, f"input {tensor.name!r} must be of type {spec.datatype}, not {tensor.datatype}")


def _check_request(parameters: RequestParameters) -> None:
    if parameters.content_type not in _PLAIN:
        raise _not_read(parameters.content_type)
    if parameters.sequence_id or parameters.sequence_start or parameters.sequence_end:
        raise Refusal(400, "requests of a sequence are not answered: no state is kept between requests")


def _check_input(tensor: RequestTensor, parameters: TensorParameters, is_date: bool) -> None:
    if parameters.shared_memory_region is not None:
        raise _no_shared_memory(tensor.name)
    kind = parameters.content_type
    if kind == "datetime" and not is_date:
        raise Refusal(
            400,
            f"input {tensor.name!r} says that it holds dates, and the model takes none there",
            hint="`GET` of the model's own path says in `parameters.features` which inputs hold dates",
        )
    texts = ("str", "datetime") if tensor.datatype == "BYTES" else ()
    if kind not in (*_PLAIN, *texts):
        raise _not_read(kind)


def _check_output(name: str, parameters: TensorParameters) -> None:
    if parameters.shared_memory_region is not None:
        raise _no_shared_memory(name)
    if parameters.classification:
        raise Refusal(
            400,
            f"output {name!r}: classification is not offered",
            hint="ask for the output `probabilities`, where the model gives it",
        )
    if parameters.content_type not in (*_PLAIN, "str"):
        raise _not_read(parameters.content_type)


def _not_read(kind: str | None) -> Refusal:
    return Refusal(
        400,
        f"the content_type {kind!r} is not read",
        hint="send numbers under their datatype and texts as BYTES, without content_type",
    )


def _no_shared_memory(name: str) -> Refusal:
    return Refusal(400, f"{name!r}: shared memory is not read", hint="send the data in the request")

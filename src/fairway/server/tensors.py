"""The Open Inference Protocol v2 over REST: requests to arrays and arrays to answers, in JSON and in binary.

Every refusal names the input, what was expected and what came. Knows no model.
"""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from fairway.formats import Predictor
from fairway.server.answers import Answer, Refusal
from fairway.spec.model import Signature, TensorSpec
from fairway.spec.quantities import whole_number

Arrays = dict[str, Any]

_CODES = {
    "BOOL": "?", "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
_DTYPES = {datatype: np.dtype(code) for datatype, code in _CODES.items()}
_MAX_RANK = 16


class TensorParameters(msgspec.Struct):
    """Parameters of a tensor that mean something here."""

    binary_data_size: int | None = None
    binary_data: bool | None = None


class RequestTensor(msgspec.Struct):
    """One input of a request."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: TensorParameters | None = None


class RequestedOutput(msgspec.Struct):
    """One output that the client asks for."""

    name: str
    parameters: TensorParameters | None = None


class RequestParameters(msgspec.Struct):
    """Parameters of a request that mean something here."""

    binary_data_output: bool = False


class InferRequest(msgspec.Struct):
    """The JSON part of a request."""

    inputs: list[RequestTensor]
    id: str | None = None
    parameters: RequestParameters | None = None
    outputs: list[RequestedOutput] | None = None


_decoder = msgspec.json.Decoder(InferRequest)
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, json_length: bytes) -> tuple[InferRequest, memoryview]:
    """The request and its binary part. `json_length` is the header of the binary extension, or empty. Raises Refusal."""
    end = len(body)
    if json_length:
        length = whole_number(json_length, len(body))
        if length is None:
            raise Refusal(400, "Inference-Header-Content-Length does not fit the body")
        end = length
    try:
        request = _decoder.decode(body if end == len(body) else body[:end])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(400, f"not a valid request: {error}") from None
    return request, memoryview(body)[end:]


Wanted = dict[str, TensorSpec]


def wanted_of(signature: Signature) -> Wanted:
    """The inputs that a model takes, by name."""
    return {spec.name: spec for spec in signature.inputs}


def inputs_of(request: InferRequest, binary: memoryview, wanted: Wanted) -> Arrays:
    """Arrays by the names of the wanted inputs. Raises Refusal 400."""
    arrays: Arrays = {}
    place = 0
    for tensor in request.inputs:
        spec = wanted.get(tensor.name)
        if spec is None:
            raise Refusal(400, f"unknown input {tensor.name!r}; the model takes {', '.join(wanted)}")
        if tensor.name in arrays:
            raise Refusal(400, f"input {tensor.name!r} is given twice")
        shape = _shape(tensor, spec)
        size = tensor.parameters.binary_data_size if tensor.parameters else None
        if size is not None:
            if size < 0 or place + size > len(binary):
                raise Refusal(400, f"input {tensor.name!r}: binary_data_size does not fit the body")
            array = _from_binary(tensor, binary[place : place + size], math.prod(tensor.shape))
            place += size
        else:
            array = _from_json(tensor)
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
    """The response, binary where it was asked for. Raises Refusal 400 for an unknown output."""
    chosen = request.outputs or None  # an empty list asks for nothing in particular
    everything = request.parameters is not None and request.parameters.binary_data_output
    if chosen is None and not everything:
        return _plain(request, outputs, predictor, (name, version))
    specs = {spec.name: spec for spec in predictor.signature.outputs}
    written: list[object] = []
    chunks: list[bytes] = []
    for output in chosen if chosen is not None else [RequestedOutput(name=known) for known in specs]:
        spec = specs.get(output.name)
        if spec is None or output.name not in outputs:
            raise Refusal(400, f"unknown output {output.name!r}; the model gives {', '.join(specs)}")
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
    """An array's elements, little-endian and row-major; text with its length before it."""
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
    """The shape that the model gets. One column may come as (rows, 1)."""
    given = tuple(tensor.shape)
    wanted = spec.shape
    if given and given[1:] == wanted[1:] and min(given) >= 0:
        return given
    if len(given) > _MAX_RANK or any(size < 0 for size in given):
        raise Refusal(400, f"input {tensor.name!r} has an impossible shape")
    if len(wanted) == 1 and len(given) == 2 and given[1] == 1:
        return given[:1]
    if len(given) != len(wanted) or any(
        want not in (-1, got) for want, got in zip(wanted, given, strict=True)
    ):
        raise Refusal(400, f"input {tensor.name!r} must have the shape {list(wanted)}, not {list(given)}")
    return given


def _from_json(tensor: RequestTensor) -> Any:
    if tensor.data is None:
        raise Refusal(400, f"input {tensor.name!r} has no data")
    if tensor.datatype == "FP16":
        raise Refusal(400, f"input {tensor.name!r}: FP16 can be sent as binary data only")
    if tensor.datatype == "BYTES":
        array = np.array(tensor.data, dtype=object).ravel()
        if not all(isinstance(item, str) for item in array):
            raise Refusal(400, f"input {tensor.name!r} is of type BYTES and must hold texts")
        return array
    if tensor.datatype not in _DTYPES:
        raise Refusal(400, f"input {tensor.name!r} has the unknown datatype {tensor.datatype!r}")
    try:
        array = np.array(tensor.data)
    except (ValueError, OverflowError, RecursionError):
        raise Refusal(400, f"input {tensor.name!r}: data is not a regular array") from None
    given, wanted = array.dtype.kind, _DTYPES[tensor.datatype].kind
    fits = (
        given == wanted
        or (wanted == "f" and given in "iu")
        or (wanted in "iu" and given in "iu")
        or not array.size
    )
    if not fits:
        raise Refusal(400, f"input {tensor.name!r} is of type {tensor.datatype}, and its data is not")
    return array.ravel()


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
    """The array in the model's element type and shape, where that loses nothing that the types promise."""
    if array.size != (shape[0] * shape[1] if len(shape) == 2 else math.prod(shape)):
        raise Refusal(
            400, f"input {tensor.name!r} has the shape {list(tensor.shape)} and {array.size} values"
        )
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

"""ONNX models, and the checks of a model before anything runs it.

A model may not refer to files beside it and may not use operators outside the standard sets. The check reads the
protocol buffers of the file itself, so that serving does not need the package `onnx`. This module knows no runtime.
"""

from collections.abc import Iterator
from typing import Any

from fairway.formats.encoded import Content, Encoded, as_bytes, kind_of
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator sets that a model may use."""

_MODEL_OPSETS, _MODEL_GRAPH, _MODEL_FUNCTIONS = 8, 7, 25
_EXTERNAL = b"location"


def encode(value: Any) -> Encoded | None:
    """Encode a ModelProto. Other values give None. Raises SerializationError when `check` refuses the model."""
    if type(value).__name__ != "ModelProto":
        return None
    data: bytes = value.SerializeToString(deterministic=True)
    check(data)
    opset = max((opset.version for opset in value.opset_import), default=0)
    note = f"{value.producer_name or 'unknown producer'}, opset {opset}"
    return Encoded(format="onnx", kind=kind_of(value), note=note, data=data)


def decode(content: Content, kind: str = "") -> object:
    """Return the ModelProto. Raises SerializationError when `check` refuses it."""
    onnx = load("onnx")

    data = as_bytes(content)
    check(data)
    return onnx.load_model_from_string(data)


def check(data: bytes) -> None:
    """Refuse a serialised model that needs other files or foreign operators.

    Raises:
        SerializationError: the model needs one of these. The message names it.
    """
    try:
        for number, wire, value in _fields(data, 0, len(data)):
            if number == _MODEL_OPSETS and wire == 2:
                _check_domain(data, *value)
            elif number == _MODEL_FUNCTIONS and wire == 2:
                for inner, inner_wire, span in _fields(data, *value):
                    if inner == 9 and inner_wire == 2:
                        _check_domain(data, *span)
    except (IndexError, ValueError) as error:
        raise SerializationError("the file is not an ONNX model, or is damaged") from error
    # The search for a word is cheap and rules out most models, so few are walked through as a whole.
    if _EXTERNAL in data and _has_external(data):
        raise SerializationError(
            "the ONNX model keeps weights in files beside it, which are never opened",
            hint="save it with its weights inside: `onnx.save(model, path, save_as_external_data=False)`",
        )


def _check_domain(data: bytes, start: int, end: int) -> None:
    """Refuse an operator set outside the standard ones. Raises SerializationError."""
    domain = ""
    for number, wire, value in _fields(data, start, end):
        if number == 1 and wire == 2:
            domain = data[value[0] : value[1]].decode("utf-8", "replace")
    if domain not in DOMAINS:
        raise SerializationError(
            f"the ONNX model uses operators of {domain!r}, which are not standard",
            hint="export it with standard operators only",
        )


def _has_external(data: bytes) -> bool:
    """Tell whether any tensor is stored in another file, however deep in subgraphs and functions it is."""
    spans = [("model", 0, len(data))]
    while spans:
        message, start, end = spans.pop()
        children = _CHILDREN[message]
        for number, wire, value in _fields(data, start, end):
            if message == "tensor" and ((number == 14 and value == 1) or number == 13):
                return True
            if wire == 2 and number in children:
                spans.append((children[number], *value))
    return False


_CHILDREN: dict[str, dict[int, str]] = {
    "model": {_MODEL_GRAPH: "graph", _MODEL_FUNCTIONS: "function", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""The fields of each message in onnx.proto that can lead to a tensor, by number."""


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and value of each field. The value of a length-delimited field is its span."""
    at = start
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, wire, value
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("a field is longer than its message")
            yield key >> 3, wire, (at, at + size)
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError("a field has an unknown type")
    if at != end:
        raise ValueError("a field is cut short")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of variable length, and return it with the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")

"""PyTorch tensors and state dicts as safetensors, a format that holds data only and is read by memory mapping.

A module is code and data in one. Between the steps of one project it is stored as a pickle or as TorchScript. It gets
a safe form when it is registered and compiled to ONNX. This module knows no other framework.
"""

import io
import math
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from fairway.formats.encoded import SMALL, Content, Encoded, as_bytes, kind_of
from fairway.formats.frameworks import load
from fairway.spec.errors import SerializationError

_PIECE = 2**20
_DICTS: tuple[type, ...] = (dict, OrderedDict)
_SINGLE = "tensor"
_DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}


_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "F8_E4M3": 1,
    "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""The size of an element of each type in bytes."""
_MAX_HEADER = 100 * 10**6
"""The longest header in bytes that the format allows."""


class _Place(msgspec.Struct):
    """The entry of a tensor in the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def encode(value: Any) -> Encoded | None:
    """Encode a dense tensor or a TorchScript module. Other values, such as modules and sparse tensors, give None."""
    torch = load("torch")

    if type(value) in (torch.Tensor, torch.nn.Parameter) and _dense(value):
        kind = "torch.Tensor" if type(value) is torch.Tensor else "torch.Parameter"
        return _safetensors({_SINGLE: value}, kind, f"{_dtype(value)} {tuple(value.shape)}")
    if isinstance(value, torch.jit.ScriptModule):
        buffer = io.BytesIO()
        torch.jit.save(value, buffer)
        return Encoded(format="torchscript", kind=kind_of(value), data=buffer.getvalue())
    return None


def is_state_dict(value: object) -> bool:
    """Tell whether a value is a dict from texts to tensors only. Types are told by their names."""
    if type(value) not in _DICTS:
        return False
    items = cast(dict[object, object], value).items()
    return bool(items) and all(
        type(key) is str and type(item).__module__.startswith("torch") for key, item in items
    )


def encode_state_dict(value: Any) -> Encoded | None:
    """Encode a dict of dense tensors. A dict that holds anything else gives None."""
    torch = load("torch")

    if not all(type(item) in (torch.Tensor, torch.nn.Parameter) and _dense(item) for item in value.values()):
        return None
    if "__metadata__" in value:
        return None
    size = sum(item.numel() for item in value.values())
    tensors: dict[str, Any] = {**value}
    kind = "torch.StateDict" if type(value) is OrderedDict else "dict"
    return _safetensors(tensors, kind, f"{len(tensors)} tensors, {size} numbers")


def decode(content: Content, kind: str = "") -> object:
    """Return the tensor or state dict on the CPU, in its old order."""
    _check_header(content)
    json = load("json")
    torch = load("torch")
    safetensors = load("safetensors.torch")

    metadata: dict[str, str] = {}
    if isinstance(content, Path):
        with load("safetensors").safe_open(str(content), framework="pt") as stored:
            metadata = stored.metadata() or {}
            names: list[str] = stored.keys()
            tensors = {name: stored.get_tensor(name) for name in names}
    else:
        data = as_bytes(content)
        tensors = safetensors.load(data)
        size = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + size]).get("__metadata__", {})
    order = json.loads(metadata.get("order", "null")) or list(tensors)
    learned = set(json.loads(metadata.get("learned", "[]")))
    parameters = set(json.loads(metadata.get("parameters", "[]")))
    values = {
        name: torch.nn.Parameter(tensors[name], requires_grad=name in learned)
        if name in parameters
        else tensors[name].requires_grad_(name in learned)
        for name in order
    }
    if kind in ("torch.Tensor", "torch.Parameter"):
        return values[_SINGLE]
    return OrderedDict[str, Any](values) if kind == "torch.StateDict" else values


def _check_header(content: Content) -> None:
    """Refuse a file whose header does not describe exactly the bytes behind it. Raises SerializationError."""
    if isinstance(content, Path):
        with open(content, "rb") as stream:
            whole = os.fstat(stream.fileno()).st_size
            head = stream.read(8)
            size = int.from_bytes(head, "little")
            text = stream.read(min(size, _MAX_HEADER))
    else:
        data = as_bytes(content)
        whole, head = len(data), data[:8]
        size = int.from_bytes(head, "little")
        text = data[8 : 8 + size]
    if len(head) < 8 or size > min(_MAX_HEADER, whole - 8):
        raise SerializationError("the safetensors file is cut short, or its header is longer than the file")
    try:
        header = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        header.pop("__metadata__", None)
        places = [msgspec.json.decode(raw, type=_Place) for raw in header.values()]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise SerializationError(f"the header of the safetensors file cannot be read: {error}") from None
    # Tensors must follow each other without gaps or overlaps, and fill the file up to its end.
    at = 0
    for place in sorted(places, key=lambda place: place.data_offsets):
        begin, end = place.data_offsets
        wanted = math.prod(place.shape) * _BYTES.get(place.dtype, 0)
        if begin != at or end - begin != wanted or any(length < 0 for length in place.shape):
            raise SerializationError("the header of the safetensors file does not fit what is in it")
        at = end
    if at != whole - 8 - size:
        raise SerializationError("the header of the safetensors file does not fit its length")


def decode_script(content: Content, kind: str = "") -> object:
    """Return the TorchScript module. It can run code, so the caller must trust the content."""
    torch = load("torch")

    return torch.jit.load(io.BytesIO(as_bytes(content)), map_location="cpu")


def _dense(value: Any) -> bool:
    """Tell whether safetensors can hold a tensor."""
    torch = load("torch")

    return (
        value.layout == torch.strided
        and not value.is_quantized
        and not value.is_meta
        and _dtype(value) in _DTYPES
    )


def _dtype(value: Any) -> str:
    """Return the name of a tensor's element type."""
    return str(value.dtype).removeprefix("torch.")


def _safetensors(tensors: dict[str, Any], kind: str, note: str) -> Encoded:
    """Encode tensors by name."""

    def write(stream: BinaryIO) -> None:
        _write(stream, tensors)

    encoded = Encoded(format="safetensors", kind=kind, note=note, write=write)
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) <= SMALL:
        return Encoded(format="safetensors", kind=kind, note=note, data=encoded.to_bytes())
    return encoded


def _write(stream: BinaryIO, tensors: dict[str, Any]) -> None:
    """Write tensors in the safetensors format: the length of the header, the JSON header, then the tensors.

    The format wants larger element types first.
    """
    json = load("json")
    torch = load("torch")

    places = sorted(
        tensors, key=lambda name: (-tensors[name].element_size(), _DTYPES[_dtype(tensors[name])], name)
    )
    metadata = {
        "order": json.dumps(list(tensors)),
        "learned": json.dumps([name for name, tensor in tensors.items() if tensor.requires_grad]),
        "parameters": json.dumps(
            [name for name, tensor in tensors.items() if type(tensor) is torch.nn.Parameter]
        ),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name in places:
        tensor = tensors[name]
        size = tensor.numel() * tensor.element_size()
        shape = list(tensor.shape)
        header[name] = {
            "dtype": _DTYPES[_dtype(tensor)],
            "shape": shape,
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for name in places:
        flat = tensors[name].detach().cpu().contiguous().resolve_conj().resolve_neg().reshape(-1)
        data = memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else memoryview(b"")
        for start in range(0, len(data), _PIECE):
            stream.write(data[start : start + _PIECE])

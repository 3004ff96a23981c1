"""Stored values as files in open formats: Parquet, CSV, JSON, npy, PNG, or the stored content as it is.

A value is read as `look` reads it, so no content runs code here. Models and pickles are copied and never opened.
"""

import csv
import struct
import zlib
from pathlib import Path
from typing import Any, cast

import msgspec

from fairway.formats import codecs
from fairway.formats.arrow import read_table
from fairway.formats.encoded import as_bytes
from fairway.formats.frameworks import load
from fairway.formats.untagged import untagged
from fairway.spec.errors import SerializationError, UsageError

_STORED = {
    "json": (),
    "npy": (".npy",),
    "arrow": (".arrow", ".feather"),
    "onnx": (".onnx",),
    "ubj": (".ubj",),
    "safetensors": (".safetensors",),
    "lightgbm-text": (".txt",),
    "skops": (".skops",),
    "torchscript": (".pt",),
    "pickle": (".pickle", ".pkl"),
    "keras": (".keras",),
}
"""The suffixes of files that hold stored content as it is, by format."""

_CONVERTED = {
    "json": (".json", ".txt", ".csv"),
    "npy": (".csv", ".json", ".png"),
    "arrow": (".parquet", ".csv", ".json"),
    "bundle": (".json",),
}
"""The suffixes of the files that a value can be converted to, by format."""

READ = frozenset(_CONVERTED)
"""The formats of values that become JSON."""

_LARGEST_JSON = 64 * 2**20


def usual_suffix(format: str) -> str:
    """Return the suffix of the file that a value of a format becomes if nobody asks for another; empty for a folder or file."""
    suffixes = (*_CONVERTED.get(format, ()), *_STORED.get(format, ()))
    return ".npy" if format == "npy" else next(iter(suffixes), "")


def is_stored_as(format: str, suffix: str) -> bool:
    """Tell whether a file with a suffix holds the stored content as it is.

    Raises:
        UsageError: a value of the format cannot become such a file.
    """
    if format not in _STORED and format not in _CONVERTED:
        return True
    if suffix in _CONVERTED.get(format, ()):
        return False
    if suffix in _STORED.get(format, ()):
        return True
    can = ", ".join((*_CONVERTED.get(format, ()), *_STORED.get(format, ())))
    raise UsageError(
        f"a value stored as {format} cannot become a file {suffix or 'without a suffix'}",
        hint=f"end the name with one of {can}",
    )


def export(format: str, content: bytes | Path, kind: str, target: Path) -> None:
    """Write a value to a file in the open format of the file's suffix.

    Raises:
        SerializationError: the value cannot be read without running code, or does not fit the format.
    """
    suffix = target.suffix
    try:
        if suffix == ".json":
            target.write_bytes(msgspec.json.format(as_json(format, content, kind), indent=2) + b"\n")
        elif format == "json":
            _write_plain(untagged(as_bytes(content)), target)
        elif format == "npy":
            _write_array(codecs.look(format, content, kind), target)
        else:
            _write_table(format, content, kind, target)
    except ImportError as error:
        raise SerializationError(
            f"a {kind} needs {error.name} to become a file {suffix}", hint=f"`pip install {error.name}`"
        ) from None
    except (OverflowError, ValueError, TypeError, AttributeError) as error:
        raise SerializationError(f"a {kind} cannot become a file {suffix}: {error}") from error


def as_json(format: str, content: bytes | Path, kind: str) -> bytes:
    """Return a value as JSON. Raises SerializationError."""
    if format == "json":
        return msgspec.json.encode(untagged(as_bytes(content)))
    if isinstance(content, Path) and content.is_file() and content.stat().st_size > _LARGEST_JSON:
        raise SerializationError(f"a {kind} is too large for JSON", hint="write it with `-o FILE`")
    return msgspec.json.encode(_tree(codecs.look(format, content, kind)), enc_hook=str)


def _tree(value: Any) -> object:
    """Return a value that was looked at with dicts, lists, texts and numbers in place of arrays and tables."""
    if isinstance(value, dict):
        return {str(key): _tree(item) for key, item in cast("dict[object, object]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_tree(item) for item in cast("list[object]", value)]
    if hasattr(value, "to_dicts"):
        return _tree(value.to_dicts())
    if hasattr(value, "to_pylist"):
        return _tree(value.to_pylist())
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return _tree(value.to_dict(orient="records"))
    if hasattr(value, "tolist"):
        return _tree(value.tolist())
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def _write_plain(value: object, target: Path) -> None:
    """Write plain data as text, or as CSV if it is a list of rows."""
    if target.suffix == ".txt":
        target.write_text(value if isinstance(value, str) else f"{value}\n", encoding="utf-8")
        return
    rows: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    with open(target, "w", encoding="utf-8", newline="") as file:
        if rows and all(isinstance(row, dict) for row in rows):
            names: dict[str, None] = dict.fromkeys(key for row in rows for key in row)
            named = csv.DictWriter(file, list(names))
            named.writeheader()
            named.writerows(rows)
        else:
            lines: list[list[Any]] = [row if isinstance(row, list) else [row] for row in rows]
            csv.writer(file).writerows(lines)


def _write_array(array: Any, target: Path) -> None:
    if target.suffix == ".png":
        target.write_bytes(_png(array))
        return
    if array.ndim > 2:
        raise ValueError(f"it has {array.ndim} dimensions, and a table has two")
    with open(target, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(array.reshape(len(array) if array.ndim else 1, -1).tolist())


def _png(array: Any) -> bytes:
    """Return an array of pixels, grey or with 3 or 4 channels, as a PNG. Raises ValueError."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != "uint8" or array.ndim not in (2, 3) or channels not in (1, 3, 4) or not array.size:
        raise ValueError(
            "a picture is an array of uint8 with the shape (height, width) or (height, width, 3)"
        )
    height, width = array.shape[:2]
    lines = load("numpy").zeros((height, width * channels + 1), dtype="uint8")
    lines[:, 1:] = array.reshape(height, width * channels)
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _write_table(format: str, content: bytes | Path, kind: str, target: Path) -> None:
    """Write a table with the library that it is of. Without that library, write its columns with pyarrow."""
    try:
        value: Any = codecs.look(format, content, kind)
    except SerializationError:
        value = read_table(content)
    if kind == "pandas.Series":
        value = value.to_frame(value.name if value.name is not None else "value")
    elif kind == "pandas.Index":
        value = value.to_frame(index=False)
    is_csv = target.suffix == ".csv"
    if hasattr(value, "to_parquet"):
        if is_csv:
            value.to_csv(target, index=type(value.index).__name__ != "RangeIndex")
        else:
            value.to_parquet(target)
    elif hasattr(value, "write_parquet"):
        value = value.to_frame() if kind == "polars.Series" else value
        (value.write_csv if is_csv else value.write_parquet)(target)
    elif is_csv:
        load("pyarrow.csv").write_csv(_as_table(value), target)
    else:
        load("pyarrow.parquet").write_table(_as_table(value), target)


def _as_table(value: Any) -> Any:
    pa = load("pyarrow")
    return value if isinstance(value, pa.Table) else pa.Table.from_batches([value])

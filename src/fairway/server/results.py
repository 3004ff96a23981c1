"""The conversion of a function's result to an answer: JSON, or the content of a file, bytes or a picture."""

import mimetypes
from typing import Any, cast

import msgspec

from fairway.author.files import File, Folder
from fairway.server import tables, validating
from fairway.server.answers import Answer

BYTES = b"application/octet-stream"
SANDBOX = ((b"content-security-policy", b"default-src 'none'; sandbox"),)
"""Headers for content that a browser can show. A script in it gets no origin and can load nothing."""

MANY = 2**20
"""Size in bytes above which a file is answered in pieces."""


def answer(value: object) -> Answer:
    """Return the whole answer. Raises TypeError for a value without a JSON form, OSError for a file that cannot be read."""
    if isinstance(value, bytes | bytearray | memoryview):
        return Answer(200, bytes(cast("bytes", value)), BYTES, SANDBOX)
    if isinstance(value, File):
        return Answer(200, _content(value), media_type(value), SANDBOX)
    if tables.is_picture(type(value)):
        return Answer(200, *tables.drawn(value), SANDBOX)
    return Answer(200, encoded(value))


def encoded(value: object) -> bytes:
    """Encode a value as JSON. Raises TypeError for a value without a JSON form."""
    return msgspec.json.encode(value, enc_hook=plain)


def media_type(file: File) -> bytes:
    """Return the media type of a file by its name."""
    kind, compressed = mimetypes.guess_type(file.name)
    return (kind if kind and not compressed else BYTES.decode()).encode()


def is_long(value: object) -> bool:
    """Tell whether the value is a file that is answered in pieces."""
    return isinstance(value, File) and value.path.is_file() and value.path.stat().st_size > MANY


def takes_long(value: object) -> bool:
    """Return true if the answer needs to read a file or encode a picture."""
    return isinstance(value, File) or tables.is_picture(type(value))


def plain(value: Any) -> object:
    """Convert a value that msgspec does not know to one that it can write as JSON. Raises TypeError."""
    if hasattr(value, "to_dicts"):  # a frame of polars
        return value.to_dicts()
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict("records")
    if hasattr(value, "to_dict") and hasattr(value, "index") and type(value.index).__name__ != "RangeIndex":
        return value.to_dict()
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "to_list"):
        return value.to_list()
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if hasattr(value, "isoformat"):  # moments and durations of pandas
        return value.isoformat()
    if type(value).__name__ == "Period":
        return str(value)
    return validating.plain(value)


def _content(file: File) -> bytes:
    if isinstance(file, Folder):
        raise TypeError("a folder has no form in an answer; return a file")
    return file.path.read_bytes()

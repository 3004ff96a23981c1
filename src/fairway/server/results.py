"""What a function returned, as the answer to a request: JSON, or the content of a file, bytes or a picture."""

import mimetypes
from typing import Any, cast

import msgspec

from fairway.author.files import File, Folder
from fairway.server import tables, validating
from fairway.server.answers import Answer

BYTES = b"application/octet-stream"
SANDBOX = ((b"content-security-policy", b"default-src 'none'; sandbox"),)
"""With content that a browser may show: it may hold a script, which then has no origin and may load nothing."""

MANY = 2**20
"""A file that is larger is answered in pieces."""


def answer(value: object) -> Answer:
    """The whole answer. Raises TypeError for what has no JSON form, OSError for a file that cannot be read."""
    if isinstance(value, bytes | bytearray | memoryview):
        return Answer(200, bytes(cast("bytes", value)), BYTES, SANDBOX)
    if isinstance(value, File):
        return Answer(200, _content(value), media_type(value), SANDBOX)
    if tables.is_picture(type(value)):
        return Answer(200, *tables.drawn(value), SANDBOX)
    return Answer(200, encoded(value))


def encoded(value: object) -> bytes:
    """JSON text. Raises TypeError for what has no JSON form."""
    return msgspec.json.encode(value, enc_hook=plain)


def media_type(file: File) -> bytes:
    """Of a file, by its name."""
    kind, compressed = mimetypes.guess_type(file.name)
    return (kind if kind and not compressed else BYTES.decode()).encode()


def is_long(value: object) -> bool:
    """Whether it is a file to be answered in pieces."""
    return isinstance(value, File) and value.path.is_file() and value.path.stat().st_size > MANY


def takes_long(value: object) -> bool:
    """Whether making the answer reads a disk or encodes a picture."""
    return isinstance(value, File) or tables.is_picture(type(value))


def plain(value: Any) -> object:
    """What values that msgspec does not know are in JSON. Raises TypeError."""
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

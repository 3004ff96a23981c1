"""Files in requests: the parts of a multipart form, or a body that is itself a file.

The body is already bounded in size. This module also bounds the number of parts and the length of names. The parser comes from a
library, because the forms of browsers differ in more ways than a short parser can know.
"""

import mimetypes
import shutil
import tempfile
import types
from pathlib import Path
from typing import Literal, Union, get_args, get_origin

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from fairway.author.endpoint import bare
from fairway.author.files import File, Folder
from fairway.server import tables
from fairway.server.answers import Refusal

Kind = Literal["", "bytes", "file", "picture"]

FORM = b"multipart/form-data"
_PARTS = 64
_NAME = 128
_PLAIN = (b"", b"binary", b"8bit", b"7bit")


class Part:
    """A part of a form. `filename` is empty for a plain field."""

    __slots__ = ("content", "field", "filename")

    def __init__(self, field: str, filename: str, content: bytearray) -> None:
        self.field = field
        self.filename = filename
        self.content = content

    def text(self) -> str:
        """Return the content as text. Raises Refusal 400."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise Refusal(400, f"field {self.field!r}: not text in UTF-8") from None


class Scratch:
    """The folder for the files of one request. The first file creates it."""

    __slots__ = ("_count", "_folder", "_root")

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = ""
        self._count = 0

    def write(self, name: str, content: bytearray) -> Path:
        """Write content to a file and return its path. Only harmless letters of the client's file name are used."""
        if not self._folder:
            self._folder = tempfile.mkdtemp(dir=self._root)
        self._count += 1
        folder = Path(self._folder, str(self._count))
        folder.mkdir()
        path = folder / _harmless(name)
        path.write_bytes(content)
        return path

    def remove(self) -> None:
        """Remove the folder."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def kind_of(annotation: object) -> Kind:
    """Return the form in which a parameter takes a file; empty if it takes none."""
    kind = bare(annotation)
    if get_origin(kind) in (Union, types.UnionType):
        members = [member for member in get_args(kind) if member is not type(None)]
        return kind_of(members[0]) if len(members) == 1 else ""
    if get_origin(kind) is list:
        return kind_of(get_args(kind)[0])
    if kind is bytes:
        return "bytes"
    if isinstance(kind, type) and issubclass(kind, File) and not issubclass(kind, Folder):
        return "file"
    return "picture" if tables.is_picture(annotation) else ""


def received(kind: Kind, part: Part, scratch: Scratch) -> object:
    """Convert a part to the value of a parameter that takes a file. Raises ValueError."""
    if kind == "bytes":
        return bytes(part.content)
    if kind == "picture":
        return tables.picture(bytes(part.content))
    return File(scratch.write(part.filename, part.content))


def named(kind: bytes) -> str:
    """Return a file name for a body that has none."""
    return f"body{mimetypes.guess_extension(kind.decode('latin-1')) or ''}"


def parts(body: bytes, kind: bytes) -> list[Part]:
    """Parse a multipart form and return its parts. Raises Refusal 400, or 413 for too many parts.

    Args:
        body: the whole body.
        kind: the Content-Type with its boundary.
    """
    boundary = parse_options_header(kind)[1].get(b"boundary", b"")
    collected = _Collected()
    try:
        parser = MultipartParser(boundary, collected.callbacks())  # pyright: ignore[reportArgumentType]
        parser.write(body)
    except (MultipartParseError, ValueError) as error:
        raise Refusal(400, f"not a valid form: {error}") from None
    if not collected.ended:
        raise Refusal(400, "not a valid form: its last boundary is missing")
    return collected.parts


class _Collected:
    """The parts that the parser has found so far."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._name = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> dict[str, object]:
        """Return the callbacks of the parser by their names."""
        return {
            "on_part_begin": self._begin, "on_header_field": self._on_name, "on_header_value": self._on_value,
            "on_header_end": self._on_header, "on_headers_finished": self._on_head, "on_part_data": self._on_data,
            "on_end": self._end,
        }  # fmt: skip

    def _begin(self) -> None:
        if len(self.parts) >= _PARTS:
            raise Refusal(413, f"the form has more than {_PARTS} parts")
        self._headers = {}

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_head(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        if disposition != b"form-data" or not options.get(b"name"):
            raise Refusal(400, "not a valid form: a part has no name")
        if self._headers.get(b"content-transfer-encoding", b"").strip().lower() not in _PLAIN:
            raise Refusal(400, "not a valid form: a part is encoded; send it as it is")
        filename = options.get(b"filename", b"").decode(errors="replace")
        if b"filename" in options and not filename:
            filename = "file"
        self.parts.append(Part(options[b"name"].decode(errors="replace"), filename, bytearray()))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += memoryview(data)[start:end]

    def _end(self) -> None:
        self.ended = True


def _harmless(name: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter if letter.isprintable() else "_" for letter in last).strip(" .")
    encoded = kept.encode(errors="replace")
    if len(encoded) > _NAME:
        stem, dot, ending = kept.rpartition(".")
        short = ending if dot and len(ending.encode()) < 16 else ""
        kept = stem.encode()[: _NAME - 20].decode(errors="ignore") + (f".{short}" if short else "")
    return kept or "file"

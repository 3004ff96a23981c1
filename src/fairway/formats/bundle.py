"""Containers that hold arrays, tables, models or files, without pickling the container.

The container becomes JSON (`value.json`) in which each such leaf is a reference; small leaves stay inside
it, and larger ones follow each other in `leaves.bin`, aligned, so that they are still read by memory
mapping. A leaf that is a folder gets one of its own. When everything is small the JSON alone is the
content. Knows no format of a leaf.
"""

import base64
import mmap
import os
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any, BinaryIO, cast

from fairway.formats.encoded import Content, Encoded, kind_of
from fairway.formats.plain import NotPlain, Reader, Tree, Writer
from fairway.spec.errors import SerializationError
from fairway.spec.text import legible

INLINE = 4096
"""A leaf of at most this many bytes stays in the JSON."""

_ALIGN = 64
_JSON = "value.json"
_LEAVES = "leaves.bin"
_CONTAINERS: tuple[type[Sized], ...] = (list, tuple, dict, set, frozenset)

Leaf = Callable[[object], Encoded | None]
"""Encodes a value that is not plain; None when only pickle could."""

ReadLeaf = Callable[[str, Content, str], object]
"""Decodes a leaf, given format, content and kind."""


def encode(value: object, leaf: Leaf) -> Encoded:
    """A container or record whose leaves all have a format of their own. Raises NotPlain for one without."""
    large: list[Encoded] = []
    size = len(value) if isinstance(value, _CONTAINERS) else None
    seen: dict[int, tuple[Tree, object]] = {}
    refers: set[object] = set()

    def put(item: object) -> Tree:
        if id(item) not in seen:
            encoded = leaf(item)
            if encoded is None:
                raise NotPlain(item)
            refers.update(encoded.refers)
            seen[id(item)] = (_reference(encoded, large), item)
        return seen[id(item)][0]

    writer = Writer(put)
    skeleton = writer.encode(value)
    refers |= writer.classes
    count = len(seen)
    note = f"{count} part{'s' if count != 1 else ''}"
    if size is not None:
        note = f"{size} items, {note}"
    if not large:
        return Encoded(format="bundle", kind=kind_of(value), note=note, data=skeleton, refers=tuple(refers))

    def folder(root: Path) -> None:
        _write(root, skeleton, large)

    return Encoded(format="bundle", kind=kind_of(value), note=note, folder=folder, refers=tuple(refers))


def decode(content: Content, read_leaf: ReadLeaf, *, importing: bool, only: str = "") -> object:
    """The container. Leaves are read as they are met; a leaf that was shared is shared again."""
    root = content if isinstance(content, Path) and content.is_dir() else None
    sections = _Sections(root / _LEAVES) if root else None
    folders: dict[int, object] = {}

    def get(tree: Tree) -> object:
        if "$leaf" not in tree:
            raise SerializationError(f"a stored value has the unknown form {next(iter(tree))!r}")
        format, kind = tree["$leaf"], tree.get("kind", "")
        if "data" in tree:
            return read_leaf(format, base64.b64decode(tree["data"]), kind)
        place = tree["place"]
        if root is None or sections is None:
            raise SerializationError("a stored container lacks its parts")
        if place not in folders:
            part = _part(root, place, tree.get("file", ""))
            folders[place] = read_leaf(format, part if part.exists() else sections[place], kind)
        return folders[place]

    if isinstance(content, Path):
        content = (root / _JSON if root else content).read_bytes()
    return Reader(importing=importing, only=only, leaf=get).decode(content)


def _reference(encoded: Encoded, large: list[Encoded]) -> Tree:
    head = {"$leaf": encoded.format, "kind": encoded.kind}
    if encoded.data is not None and len(encoded.data) <= INLINE:
        return {**head, "data": base64.b64encode(encoded.data).decode("ascii")}
    large.append(encoded)
    if encoded.source is not None and not encoded.source.is_dir():
        head["file"] = legible(encoded.source.name)
    return {**head, "place": len(large) - 1}


def _part(root: Path, place: int, file: str) -> Path:
    """Where a leaf is that is a folder or a user's file; it may be nowhere else."""
    if Path(file).name != file:
        raise SerializationError(f"a stored container names the file {file!r}, which is not in its folder")
    return root / f"part-{int(place)}" / file


def _write(root: Path, skeleton: bytes, large: list[Encoded]) -> None:
    offsets: list[int] = []
    with open(root / _LEAVES, "wb") as stream:
        for place, encoded in enumerate(large):
            start = -(-stream.tell() // _ALIGN) * _ALIGN
            stream.write(b"\0" * (start - stream.tell()))
            if encoded.data is not None:
                stream.write(encoded.data)
            elif encoded.write is not None:
                encoded.write(cast(BinaryIO, _Section(stream, start)))
            else:
                _write_part(root / f"part-{place}", encoded)
            offsets += [start, stream.tell()]
        table = b"".join(offset.to_bytes(8, "little") for offset in (*offsets, len(large)))
        stream.write(table)
    (root / _JSON).write_bytes(skeleton)


def _write_part(target: Path, encoded: Encoded) -> None:
    import shutil

    if encoded.folder is not None:
        target.mkdir()
        encoded.folder(target)
    elif encoded.source is not None and encoded.source.is_dir():
        shutil.copytree(encoded.source, target)
    elif encoded.source is not None:
        target.mkdir()
        shutil.copyfile(encoded.source, target / legible(encoded.source.name))


class _Section:
    """A part of a file that is being written, which seems a file of its own to who writes it."""

    closed = False

    def __init__(self, stream: BinaryIO, start: int) -> None:
        self._stream = stream
        self._start = start

    def write(self, data: Any) -> int:
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell() - self._start

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


class _Sections:
    """The leaves of a file that `_write` wrote, as views into its memory mapping."""

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            self._view = (
                memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
                if size >= 8
                else memoryview(b"")
            )
        self._count = int.from_bytes(self._view[-8:], "little") if size >= 8 else 0
        self._table = size - 8 - 16 * self._count
        if self._table < 0:
            raise SerializationError("the parts of a stored container are cut short")

    def __getitem__(self, place: int) -> memoryview:
        if not 0 <= place < self._count:
            raise SerializationError("a stored container lacks one of its parts")
        at = self._table + 16 * place
        start, end = (int.from_bytes(self._view[at + 8 * n : at + 8 * n + 8], "little") for n in (0, 1))
        if not start <= end <= self._table:
            raise SerializationError("the parts of a stored container are damaged")
        return self._view[start:end]

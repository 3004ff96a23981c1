"""Containers that hold arrays, tables, models or files, stored without a pickle of the container.

The container becomes JSON (`value.json`), in which a reference stands for each such leaf. Small leaves stay inside
the JSON. Larger leaves follow each other in `leaves.bin`, aligned, so that they are read by memory mapping. A leaf
that is a folder gets a folder of its own. When all leaves are small, the JSON alone is the content. This module knows
no format of a leaf.
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
"""The number of bytes up to which a leaf stays in the JSON."""

_ALIGN = 64
"""The alignment of leaves in bytes, enough for a mapped array of any type."""
_JSON = "value.json"
_LEAVES = "leaves.bin"
_CONTAINERS: tuple[type[Sized], ...] = (list, tuple, dict, set, frozenset)

Leaf = Callable[[object], Encoded | None]
"""A function that encodes a value that is not plain. It returns None for a value that only pickle could hold."""

ReadLeaf = Callable[[str, Content, str], object]
"""A function that decodes a leaf from its format, content and kind."""


def encode(value: object, leaf: Leaf) -> Encoded:
    """Encode a container or record whose leaves all have a format of their own.

    Args:
        value: the container.
        leaf: encodes each leaf.

    Raises:
        NotPlain: a leaf has no format of its own.
    """
    large: list[Encoded] = []
    size = len(value) if isinstance(value, _CONTAINERS) else None
    seen: dict[int, tuple[Tree, object]] = {}
    refers: set[object] = set()

    def put(item: object) -> Tree:
        # The item is kept beside its tree, so that no later item gets its id.
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
    """Return the container. A leaf that occurred several times is one object again.

    Args:
        content: the JSON, or the folder that holds it.
        read_leaf: decodes each leaf.
        importing: True allows imports of the modules of stored classes.
        only: the one package whose classes may be made; any package when empty.

    Raises:
        SerializationError: the content is damaged, or has a form that is unknown.
    """
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
    """Return the reference to a leaf, and add a large leaf to the list."""
    head = {"$leaf": encoded.format, "kind": encoded.kind}
    if encoded.data is not None and len(encoded.data) <= INLINE:
        return {**head, "data": base64.b64encode(encoded.data).decode("ascii")}
    large.append(encoded)
    if encoded.source is not None and not encoded.source.is_dir():
        head["file"] = legible(encoded.source.name)
    return {**head, "place": len(large) - 1}


def _part(root: Path, place: int, file: str) -> Path:
    """Return the path of a leaf that is a folder or a user's file.

    Raises SerializationError for a path outside the bundle.
    """
    if Path(file).name != file:
        raise SerializationError(f"a stored container names the file {file!r}, which is not in its folder")
    return root / f"part-{int(place)}" / file


def _write(root: Path, skeleton: bytes, large: list[Encoded]) -> None:
    """Write the leaves, then the table of their offsets, then the JSON."""
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
        # The table comes last, because the length of a leaf is known only when it is written.
        table = b"".join(offset.to_bytes(8, "little") for offset in (*offsets, len(large)))
        stream.write(table)
    (root / _JSON).write_bytes(skeleton)


def _write_part(target: Path, encoded: Encoded) -> None:
    """Write a leaf that is a folder or a user's file."""
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
    """A part of a file that is being written. It looks like a file of its own to the code that writes it."""

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
    """The leaves in a file that `_write` wrote, as views of its memory mapping."""

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

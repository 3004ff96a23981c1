"""Immutable content, and the arguments of a step, written down before their values exist.

An argument of a step is a `Node`: an `Artifact` (content in the store, or inline when small), a `RefData` (the output
of a step that may not have ended), or a `Group` (a list, tuple or dict of nodes). This module knows neither formats
nor stores.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

INLINE_LIMIT = 4096
"""The number of bytes up to which content travels inside results and events, and does not become a file."""

_DIGITS = frozenset("0123456789abcdef")


def is_digest(text: str) -> bool:
    """Tell whether a text has the form of a digest. No other text may become a path."""
    return len(text) == 64 and _DIGITS.issuperset(text)


class Artifact(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="artifact", omit_defaults=True):
    """An immutable value in the store.

    Attributes:
        format: the name of the codec that reads it: "json", "npy", "arrow", "safetensors", "folder", "pickle", …
        digest: the sha256 of the content in hex. For content in several files, the sha256 of its encoded `Manifest`.
        size: the bytes of the whole content.
        kind: the value's type for people, such as "numpy.ndarray" or "pandas.DataFrame".
        note: a few words that a person sees at a glance, such as "float64 (569, 30)".
        inline: the content itself when it has at most `INLINE_LIMIT` bytes. There is no file then.
        files: True when `digest` names a manifest of files and not one file.
        code: the digest of a manifest of the project's source files that reading the content needs. It may be empty.
        refers: code of the project that the content names and does not hold, each as "module:name", sorted.
    """

    format: str
    digest: str
    size: int
    kind: str = ""
    note: str = ""
    inline: bytes | None = None
    files: bool = False
    code: str = ""
    refers: tuple[str, ...] = ()


class RefData(msgspec.Struct, frozen=True, gc=False, tag="ref", omit_defaults=True):
    """The output of a step.

    `item` is one element of an output that is declared as a tuple, and −1 is the whole output.
    """

    step: str
    item: int = -1


class Group(msgspec.Struct, frozen=True, gc=False, tag="group", omit_defaults=True):
    """A container of nodes. `keys` of a dict are parallel to `items`, and they are empty for other containers."""

    container: Literal["list", "tuple", "dict"]
    items: "tuple[Node, ...]" = ()
    keys: "tuple[Node, ...]" = ()


Node = Artifact | RefData | Group


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an artifact with several files.

    `path` is relative, with forward slashes, and never leads above its root.
    """

    path: str
    digest: str
    size: int
    executable: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The files of an artifact, sorted by path. The artifact's digest covers the encoding of the manifest."""

    files: tuple[FileEntry, ...]


def sources_of(artifact: Artifact) -> Artifact:
    """Return the folder of source files that an artifact with `code` needs, as an artifact itself."""
    return Artifact(format="folder", digest=artifact.code, size=0, files=True)


def walk(node: Node) -> Iterator[Artifact | RefData]:
    """Yield every leaf of a node, in order."""
    if isinstance(node, Group):
        for child in (*node.keys, *node.items):
            yield from walk(child)
    else:
        yield node

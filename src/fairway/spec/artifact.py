"""Immutable content, and how a value that steps hand to each other is written down before it exists.

An argument of a step is a `Node`: an `Artifact` (content in the store, or inline when small), a `RefData` (the output
of a step that may not have ended), or a `Group` (a list, tuple or dict that holds such things). Knows no format and no
store.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

INLINE_LIMIT = 4096
"""Content up to this many bytes travels inside results and events instead of becoming a file."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True, tag="artifact", omit_defaults=True):
    """One immutable value in the store.

    Attributes:
        format: the codec that reads it: "json", "npy", "arrow", "safetensors", "folder", "pickle", …
        digest: sha256 of the content, in hex; of content in several files, sha256 of its encoded `Manifest`.
        size: bytes of content in all.
        kind: the value's type for people, such as "numpy.ndarray" or "pandas.DataFrame".
        note: what a person should see at a glance, such as "float64 (569, 30)".
        inline: the content itself when it is small (at most `INLINE_LIMIT` bytes); then no file exists.
        files: whether `digest` names a manifest of files rather than one file.
        code: digest of a manifest of the project's source files that reading the content needs; empty when it needs none.
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


class RefData(msgspec.Struct, frozen=True, tag="ref", omit_defaults=True):
    """The output of a step. `item` picks one element of an output declared as a tuple; −1 is the whole output."""

    step: str
    item: int = -1


class Group(msgspec.Struct, frozen=True, tag="group", omit_defaults=True):
    """A container that holds nodes. For a dict, `keys` are parallel to `items`; otherwise empty."""

    container: Literal["list", "tuple", "dict"]
    items: "tuple[Node, ...]" = ()
    keys: "tuple[Node, ...]" = ()


Node = Artifact | RefData | Group


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an artifact that holds several. `path` is relative, with forward slashes, never above its root."""

    path: str
    digest: str
    size: int
    executable: bool = False


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The files of an artifact, sorted by path; the artifact's digest covers its encoding."""

    files: tuple[FileEntry, ...]


def sources_of(artifact: Artifact) -> Artifact:
    """The folder of source files that an artifact with `code` needs, as an artifact itself."""
    return Artifact(format="folder", digest=artifact.code, size=0, files=True)


def walk(node: Node) -> Iterator[Artifact | RefData]:
    """Every leaf of a node, in order."""
    if isinstance(node, Group):
        for child in (*node.keys, *node.items):
            yield from walk(child)
    else:
        yield node

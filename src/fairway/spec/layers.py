"""Layers of an environment that lie in the store of a target, because nobody may push to a registry there.

A list names the layers. The list is content of the store like any other, and its digest is in the reference to it.
"""

import hashlib
import re

import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import CorruptArtifact

PREFIX = "layers:"
"""The beginning of a reference, which stands where otherwise the name of an image stands."""

PLACE = "/opt/fairway/env"
"""The folder in a pod that holds the packages of an environment."""

_REFERENCE = re.compile(rf"{PREFIX}([0-9a-f]{{64}}):([1-9][0-9]{{0,15}})")


class StoredLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer as a compressed archive, in parts.

    Attributes:
        digest: the sha256 of the compressed archive.
        size: the bytes of the compressed archive.
        unpacked: the bytes of the archive.
        parts: the digests of the parts, in their order.
    """

    digest: str
    size: int
    unpacked: int
    parts: tuple[str, ...]


class LayerList(msgspec.Struct, frozen=True, kw_only=True):
    """The layers of an environment, and the version of Python that they are for."""

    python: str
    layers: tuple[StoredLayer, ...]

    @property
    def room(self) -> int:
        """The most bytes that the layers take while they are unpacked."""
        files = sum(2 * layer.unpacked for layer in self.layers)
        return files + max((layer.size for layer in self.layers), default=0) + 2**24

    def encode(self) -> bytes:
        """Return the list as content of a store."""
        return msgspec.json.encode(self)


def decode_list(content: bytes) -> LayerList:
    """Return the list that content of a store is. Raises CorruptArtifact."""
    try:
        return msgspec.json.decode(content, type=LayerList)
    except UNREADABLE:
        digest = hashlib.sha256(content).hexdigest()
        raise CorruptArtifact(f"{digest[:12]} is no list of layers", hint="start the run again") from None


class LayerReference(msgspec.Struct, frozen=True):
    """The reference to a list of layers: its digest, and the room that the layers take."""

    digest: str
    room: int

    def __str__(self) -> str:
        return f"{PREFIX}{self.digest}:{self.room}"


def parse_reference(text: str) -> LayerReference | None:
    """Return the reference that a text is. None for the name of an image."""
    found = _REFERENCE.fullmatch(text)
    return LayerReference(found[1], int(found[2])) if found else None

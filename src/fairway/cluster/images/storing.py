"""The layers of an environment in the store of a target, for pods that fetch them. Nothing is sent that the store has."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from fairway.cluster.images.layers import Layer
from fairway.cluster.images.workshop import Workshop
from fairway.spec.layers import LayerList, LayerReference, StoredLayer
from fairway.spec.quantities import format_memory

_PART = 16 * 2**20
"""The bytes of a part. A broken connection costs one of them."""

_TOGETHER = 4
_ASKED_AT_ONCE = 5000


class Store(Protocol):
    """The store of a target."""

    async def missing(self, digests: list[str]) -> list[str]:
        """Return the digests whose content the store lacks."""
        ...

    async def put(self, digest: str, content: bytes) -> None:
        """Put content with that digest into the store."""
        ...


async def store_layers(
    layers: Sequence[Layer], python: str, store: Store, workshop: Workshop
) -> LayerReference:
    """Put layers into a store, and return the reference to them. The list comes last, so that a list is whole.

    Args:
        layers: the layers, with their files on this machine.
        python: the version of Python that they are for.
        store: the store.
        workshop: the tools.

    Raises:
        FairwayError: the store cannot be reached, or refused.
    """
    listed: list[StoredLayer] = []
    for layer in layers:
        parts = await asyncio.to_thread(_digests, Path(layer.file))
        await _send(layer, parts, store, workshop)
        digest = layer.digest.removeprefix("sha256:")
        listed.append(
            StoredLayer(digest=digest, size=layer.size, unpacked=layer.unpacked, parts=tuple(parts))
        )
    whole = LayerList(python=python, layers=tuple(listed))
    content = whole.encode()
    digest = hashlib.sha256(content).hexdigest()
    if await store.missing([digest]):
        await store.put(digest, content)
    return LayerReference(digest, whole.room)


async def _send(layer: Layer, parts: list[str], store: Store, workshop: Workshop) -> None:
    """Send the parts of a layer that the store lacks."""
    lacking: set[str] = set()
    for start in range(0, len(parts), _ASKED_AT_ONCE):
        lacking |= set(await store.missing(parts[start : start + _ASKED_AT_ONCE]))
    room = asyncio.Semaphore(_TOGETHER)

    async def put(number: int, digest: str) -> None:
        async with room:
            await store.put(digest, await asyncio.to_thread(_part, Path(layer.file), number))

    sending = [
        asyncio.ensure_future(put(number, digest)) for number, digest in enumerate(parts) if digest in lacking
    ]
    try:
        await asyncio.gather(*sending)
    finally:
        for task in sending:
            task.cancel()
    how = f"sent, {format_memory(layer.size)}" if sending else f"there already, {format_memory(layer.size)}"
    workshop.note(f"{layer.comment}: {how}")


def _digests(file: Path) -> list[str]:
    return [hashlib.sha256(piece).hexdigest() for piece in _pieces(file)]


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(_PART):
            yield piece


def _part(file: Path, number: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(number * _PART)
        return opened.read(_PART)

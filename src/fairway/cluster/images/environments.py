"""Environments of projects and tasks as layers, and as images that everybody with the same lock finds again.

A lock and a target decide the content. An image with it is named after them, so it is looked for before anything is fetched
or made. The layers alone are under a name of their own, so that the next version of Fairway takes them over.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import msgspec

from fairway.cluster.images.assembling import Push, Pushed, assemble, building
from fairway.cluster.images.bases import Base
from fairway.cluster.images.bytecode import compiled
from fairway.cluster.images.documents import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    digest_of,
    encode,
)
from fairway.cluster.images.layers import Entry, Layer, entries_below, write_layer
from fairway.cluster.images.locking import Lock
from fairway.cluster.images.names import ImageName
from fairway.cluster.images.packing import ROOT, SHARED
from fairway.cluster.images.programs import find_python
from fairway.cluster.images.refusals import NoSuchImage, RegistryDenied
from fairway.cluster.images.uploading import Blob, push_blob
from fairway.cluster.images.wheels import Target, files_of, lay_out
from fairway.cluster.images.workshop import Workshop, key_of
from fairway.spec.quantities import format_memory, whole_number

LARGE = 100_000_000
"""The size, in bytes as files, from which a package gets a layer of its own."""

REPOSITORY = "fairway-env"
"""The repository of all images but that of an installation, so that few have to be made where each must be."""

_COMMENT = "dev.fairway.comment"
_UNPACKED = "dev.fairway.unpacked"
_DIFF_ID = "dev.fairway.diff-id"


def environment_key(lock: Lock, target: Target) -> str:
    """Return the name of an environment: a digest of everything that decides its content."""
    return key_of("environment", lock.content, target.python, target.platform)[:20]


async def environment_layers(
    lock: Lock, target: Target, workshop: Workshop, *, large: int = LARGE
) -> list[Layer]:
    """Return the layers of an environment, those of large packages first. They are made once on a machine.

    Args:
        lock: the packages.
        target: the Python and platform of the nodes.
        workshop: the tools.
        large: the size from which a package gets a layer of its own.

    Raises:
        FairwayError: a package has no wheel for the target, or cannot be fetched.
    """
    if not lock.lines:
        return []
    has_python = bool(find_python(target.python, workshop.environment))
    key = key_of(environment_key(lock, target), str(has_python), str(large))
    if (found := workshop.recall(key)) is not None:
        return found
    workshop.note(
        f"fetching {len(lock.lines)} packages for Python {target.python} on linux/{target.architecture}"
    )
    with workshop.scratch() as scratch:
        folder = scratch / "packages"
        await lay_out(lock.text, target, folder, workshop)
        parts = await asyncio.to_thread(_cut, folder, target, large)
        limit = asyncio.Semaphore(os.cpu_count() or 1)

        async def make(number: int, comment: str, entries: list[Entry]) -> Layer:
            part = _key_of_part(comment, entries, target, has_python)
            if made := workshop.recall(part):
                return made[0]
            async with limit:
                workshop.note(f"making the layer with {comment}")
                entries += await compiled(entries, target.python, scratch / str(number), workshop)
                layer = await asyncio.to_thread(write_layer, entries, comment, workshop.layers, shared=SHARED)
            workshop.remember(part, [layer])
            return layer

        layers = await asyncio.gather(*(make(number, *part) for number, part in enumerate(parts)))
    workshop.remember(key, layers)
    return layers


async def environment_image(
    base: str, lock: Lock, registry: str, platform: str, workshop: Workshop
) -> Pushed:
    """Return the image of an environment in a registry. Push it first if the registry does not have it.

    Args:
        base: the image of Fairway by digest.
        lock: the packages.
        registry: the registry that gets it, such as `ghcr.io/acme`.
        platform: the platform of the nodes, such as `linux/amd64`. Empty for that of the base.
        workshop: the tools.

    Raises:
        FairwayError: a registry refuses, or a package has no wheel for the platform.
    """
    async with building(base, registry, REPOSITORY, platform, workshop) as (found, push):
        return await _Shelf(push, workshop).image(found, lock)


class _Shelf:
    """The environments in one repository of a registry."""

    def __init__(self, push: Push, workshop: Workshop) -> None:
        self._push = push
        self._registry = push.registry
        self._repository = push.repository
        self._workshop = workshop

    async def image(self, base: Base, lock: Lock) -> Pushed:
        """Return the image of an environment on a base, found or pushed. Raises FairwayError."""
        key = environment_key(lock, base.target)
        tag = f"{key_of(key, base.name.digest)[:20]}-{base.target.architecture}"
        if known := await self._push.known(tag, base):
            return known
        shelved = ImageName(self._repository, f"layers-{key}-{base.target.architecture}")
        layers = await self._shelved(shelved)
        if layers is None:
            layers = await environment_layers(lock, base.target, self._workshop)
            await self._put(shelved, layers, base.target)
        labels = {"dev.fairway.environment": key}
        return await self._push.one(assemble(base, layers, labels), tag)

    async def _shelved(self, name: ImageName) -> list[Layer] | None:
        """Return the layers that somebody pushed for an environment; None if they are not all there."""
        try:
            document = await self._registry.manifest(name)
        except (NoSuchImage, RegistryDenied):
            return None
        manifest = _manifest(document.content)
        layers = [_layer(one) for one in manifest.layers] if manifest is not None else [None]
        for layer in layers:
            if layer is None or not await self._registry.has_blob(self._repository, layer.digest):
                return None
        return [layer for layer in layers if layer is not None]

    async def _put(self, name: ImageName, layers: Sequence[Layer], target: Target) -> None:
        """Send layers and a name for them, which is an image without a base."""
        for layer in layers:
            await self._push.layer(layer)
        rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
        config = encode({"architecture": target.architecture, "os": "linux", "rootfs": rootfs})
        blob = Blob(digest_of(config), len(config), config)
        await push_blob(self._registry, self._repository, blob)
        manifest = Manifest(
            schema_version=2,
            media_type=OCI_MANIFEST,
            config=Descriptor(OCI_CONFIG, blob.digest, blob.size),
            layers=[_described(layer) for layer in layers],
        )
        await self._registry.put_manifest(name, OCI_MANIFEST, encode(manifest))


def _manifest(content: bytes) -> Manifest | None:
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _described(layer: Layer) -> Descriptor:
    annotations = {_COMMENT: layer.comment, _UNPACKED: str(layer.unpacked), _DIFF_ID: layer.diff_id}
    return Descriptor(OCI_LAYER, layer.digest, layer.size, annotations=annotations)


def _layer(described: Descriptor) -> Layer | None:
    """Return the layer that a descriptor describes, without a file on this machine; None if it says too little."""
    notes = described.annotations or {}
    unpacked = whole_number(notes.get(_UNPACKED, ""))
    if not notes.get(_DIFF_ID) or unpacked is None:
        return None
    return Layer(notes[_DIFF_ID], described.digest, described.size, unpacked, notes.get(_COMMENT, ""))


def _cut(folder: Path, target: Target, large: int) -> list[tuple[str, list[Entry]]]:
    """Return the parts of an environment, each with its content in words: each large package, and all the others."""
    at = PurePosixPath(f"{ROOT}/env/python{target.python}/site-packages")
    left = {str(PurePosixPath(entry.name).relative_to(at)): entry for entry in entries_below(folder, str(at))}
    records = {record.parent.name: files_of(record) for record in sorted(folder.glob("*.dist-info/RECORD"))}
    owners = Counter(name for names in records.values() for name in set(names))
    parts: list[tuple[str, list[Entry]]] = []
    for package, names in records.items():
        # A file that two packages bring stays with the small ones, so that the layer of a large one is always the same.
        own = [left[name] for name in names if name in left and owners[name] == 1]
        size = sum(entry.source.stat().st_size for entry in own if isinstance(entry.source, Path))
        if size < large:
            continue
        for entry in own:
            del left[str(PurePosixPath(entry.name).relative_to(at))]
        name, _, version = package.removesuffix(".dist-info").partition("-")
        parts.append((f"{name} {version}, {format_memory(size)}", own))
    rest = [entry for entry in left.values() if entry.source is not None or entry.link]
    if rest:
        parts.append((f"{len(records) - len(parts)} packages", rest))
    return parts


def _key_of_part(comment: str, entries: Sequence[Entry], target: Target, has_python: bool) -> str:
    """Return the key of a layer: its list of files, which has their digests."""
    records = [
        digest_of(entry.source.read_bytes())
        for entry in entries
        if isinstance(entry.source, Path) and entry.name.endswith(".dist-info/RECORD")
    ]
    names = digest_of("\n".join(sorted(entry.name for entry in entries)).encode())
    return key_of("part", comment, names, *sorted(records), target.python, target.platform, str(has_python))

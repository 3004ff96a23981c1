"""The image of an endpoint: an environment, and one layer with the content that is served.

The layer is a folder in the layout of a store of files, which a model server opens and only reads. So a server needs nobody to
start, and a node that has pulled the image starts further servers without any transfer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from fairway.cluster.images.assembling import Pushed, assemble, building
from fairway.cluster.images.environments import REPOSITORY
from fairway.cluster.images.layers import Entry, Layer, write_layer
from fairway.cluster.images.packing import ROOT, SHARED
from fairway.cluster.images.workshop import Workshop, key_of
from fairway.spec.artifact import FileEntry

SERVED = f"{ROOT}/served"
"""The folder of the content that is served, without a leading slash."""

MOST = 2 * 2**30
"""The bytes of content up to which it becomes a layer. A file of it is held in memory while it is fetched."""

_BLOBS = f"{SERVED}/blobs"


class Content(msgspec.Struct, frozen=True):
    """Content on this machine.

    Attributes:
        blobs: the files by the sha256 of their content.
        folders: the files of each folder, by the digest of the list of them, which is among the blobs.
    """

    blobs: Mapping[str, Path]
    folders: Mapping[str, Sequence[FileEntry]]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The content for a layer, before it is here.

    Attributes:
        digests: the digests that decide the content.
        comment: the content in words.
        fetch: brings the content into a folder of this machine. It is called only if the registry lacks the layer.
    """

    digests: tuple[str, ...]
    comment: str
    fetch: Callable[[Path], Awaitable[Content]]


async def served_image(base: str, wanted: Wanted, registry: str, platform: str, workshop: Workshop) -> Pushed:
    """Return the image that serves content. Push it first if the registry does not have it.

    Args:
        base: the image of the environment, by digest.
        wanted: the content.
        registry: the registry that gets it, such as `ghcr.io/acme`.
        platform: the platform of the nodes, such as `linux/amd64`. Empty for that of the base.
        workshop: the tools.

    Raises:
        FairwayError: a registry refuses, or the content cannot be fetched.
    """
    async with building(base, registry, REPOSITORY, platform, workshop) as (found, push):
        key = key_of("served", found.name.digest, *sorted(wanted.digests))[:20]
        tag = f"served-{key}-{found.target.architecture}"
        if known := await push.known(tag, found):
            return known
        layer = await served_layer(wanted, workshop)
        return await push.one(assemble(found, [layer], {"dev.fairway.served": key}), tag)


async def served_layer(wanted: Wanted, workshop: Workshop) -> Layer:
    """Return the layer with content, which is made once on a machine. Raises FairwayError."""
    key = key_of("content", *sorted(wanted.digests))
    if made := workshop.recall(key):
        return made[0]
    with workshop.scratch() as scratch:
        content = await wanted.fetch(scratch)
        entries = served_entries(content)
        layer = await asyncio.to_thread(write_layer, entries, wanted.comment, workshop.layers, shared=SHARED)
    workshop.remember(key, [layer])
    return layer


def served_entries(content: Content) -> list[Entry]:
    """Return the entries of a layer. Folders are laid out, because a server cannot do that in a folder that it only reads."""
    entries = [Entry(_blob(digest), source) for digest, source in content.blobs.items()]
    for folder, files in content.folders.items():
        for file in files:
            name = f"{_BLOBS}/tree/{folder}/{file.path}"
            if file.executable:
                entries.append(Entry(name, content.blobs[file.digest], executable=True))
            else:
                entries.append(Entry(name, same=_blob(file.digest)))
    return entries


def _blob(digest: str) -> str:
    return f"{_BLOBS}/{digest[:2]}/{digest}"

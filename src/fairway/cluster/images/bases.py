"""Images to build on: found in a registry for one platform, and known by digest from then on."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from fairway.cluster.images.documents import (
    INDEXES,
    MANIFESTS,
    Descriptor,
    Index,
    Manifest,
    digest_of,
    oci_layer,
)
from fairway.cluster.images.names import ImageName, Repository
from fairway.cluster.images.refusals import RegistryError, RegistryUnreachable, no_image
from fairway.cluster.images.registry import Document, Registry
from fairway.cluster.images.wheels import Target, make_target
from fairway.cluster.images.workshop import Workshop, write_whole
from fairway.spec.errors import UsageError
from fairway.spec.quantities import format_memory

_T = TypeVar("_T")
_CONFIG_MOST = 4 * 2**20
_USUAL = "amd64"


class Base(msgspec.Struct, frozen=True):
    """An image to build on.

    Attributes:
        name: its name with the digest of its manifest for the platform.
        layers: its layers.
        config: its configuration.
        target: its Python and platform.
    """

    name: ImageName
    layers: tuple[Descriptor, ...]
    config: dict[str, Any]
    target: Target


class _Settings(msgspec.Struct, rename="pascal"):
    """The part of a configuration that is about starting, as far as it is read here."""

    env: list[str] | None = None
    labels: dict[str, str] | None = None


class _Rootfs(msgspec.Struct):
    """The layers of a configuration."""

    diff_ids: list[str]


class _Config(msgspec.Struct):
    """The form that a configuration must have."""

    architecture: str
    rootfs: _Rootfs
    config: _Settings | None = None
    history: list[dict[str, Any]] | None = None


async def read_base(
    registry: Registry, name: ImageName, python: str, platform: str, workshop: Workshop
) -> Base:
    """Return an image to build on.

    Args:
        registry: the registry that has it.
        name: its name.
        python: the version of its Python; empty reads it from the image.
        platform: the platform, such as `linux/amd64`. Empty for that of the image, and the usual one of several.
        workshop: the tools.

    Raises:
        FairwayError: there is no such image, none for the platform, or its Python is not known.
    """
    architecture = make_target("3.11", platform).architecture if platform else ""
    document = await _document(registry, name, workshop)
    if document.media_type in INDEXES:
        digest = _chosen(document, name, architecture)
        document = await _document(registry, ImageName(name.repository, name.tag, digest), workshop)
    if document.media_type not in MANIFESTS:
        raise no_image(str(name), f"it is of the type {document.media_type!r}, which is no image")
    manifest = _decoded(document.content, Manifest, name)
    layers = tuple(_layer(layer, name) for layer in manifest.layers)
    content = await _kept(registry, name.repository, manifest.config.digest, workshop)
    config = _decoded(content, dict[str, Any], name)
    known = _decoded(content, _Config, name)
    if len(known.rootfs.diff_ids) != len(layers):
        raise _damaged(name)
    if known.architecture != (architecture or known.architecture):
        raise no_image(
            str(name),
            f"it is for the platform linux/{known.architecture}, and linux/{architecture} is wanted",
        )
    pinned = ImageName(name.repository, name.tag, document.digest)
    return Base(pinned, layers, config, make_target(_python(config, python, pinned), known.architecture))


async def fetch_layer(
    registry: Registry, repository: Repository, layer: Descriptor, workshop: Workshop
) -> Path:
    """Return the file of a layer of a base, which is fetched if it is not here. Raises FairwayError."""
    file = workshop.blob(layer.digest)
    if file.is_file() and file.stat().st_size == layer.size:
        return file
    workshop.note(f"fetching layer {layer.digest[7:19]} of the base, {format_memory(layer.size)}")
    for left in (2, 1, 0):
        try:
            return await workshop.keep_blob(layer.digest, registry.read_blob(repository, layer.digest))
        except RegistryUnreachable:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that says how a container is started."""
    found = config.get("config")
    return dict(cast("dict[str, Any]", found)) if isinstance(found, dict) else {}


def variables_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment that an image sets."""
    pairs = [str(line).partition("=") for line in settings_of(config).get("Env") or ()]
    return {name: value for name, _, value in pairs}


async def _document(registry: Registry, name: ImageName, workshop: Workshop) -> Document:
    """Return a manifest or index. One that is asked for by digest and was read before needs no registry."""
    kept = workshop.blob(name.digest)
    if name.digest and kept.is_file():
        content = kept.read_bytes()
        media_type = msgspec.json.decode(content, type=dict[str, Any]).get("mediaType", "")
        if digest_of(content) == name.digest and media_type:
            return Document(media_type, name.digest, content)
    document = await registry.manifest(name)
    write_whole(workshop.blob(document.digest), document.content)
    return document


async def _kept(registry: Registry, repository: Repository, digest: str, workshop: Workshop) -> bytes:
    kept = workshop.blob(digest)
    if kept.is_file() and digest_of(content := kept.read_bytes()) == digest:
        return content
    content = await registry.blob(repository, digest, _CONFIG_MOST)
    write_whole(kept, content)
    return content


def _chosen(document: Document, name: ImageName, architecture: str) -> str:
    """Return the digest of the manifest for an architecture, or for the usual one or the only one. Raises NoSuchImage."""
    index = _decoded(document.content, Index, name)
    offered = [one for one in index.manifests if one.platform is not None and one.platform.os == "linux"]
    by_name = {one.platform.architecture: one.digest for one in reversed(offered) if one.platform is not None}
    architecture = architecture or (next(iter(by_name)) if len(by_name) == 1 else _USUAL)
    if architecture in by_name:
        return by_name[architecture]
    names = sorted({str(one.platform) for one in offered}) or ["none that is known"]
    raise no_image(
        str(name), f"there is nothing for linux/{architecture}; the platforms are {', '.join(names)}"
    )


def _layer(layer: Descriptor, name: ImageName) -> Descriptor:
    found = oci_layer(layer)
    if found is None:
        raise RegistryError(
            f"{name} has a layer of the type {layer.media_type!r}, which registries do not pass on",
            hint="name another base",
        )
    return found


def _python(config: Mapping[str, Any], wanted: str, name: ImageName) -> str:
    """Return the version of an image's Python: what it says, or what the user says of it. Raises UsageError."""
    known = variables_of(config).get("PYTHON_VERSION", "")
    if not re.fullmatch(r"\d+\.\d+[\w.]*", known):
        known = ""
    if not known and not wanted:
        raise UsageError(
            f"{name} does not say which version of Python it has (there is no PYTHON_VERSION among its variables)",
            hint="`--python 3.11` says it",
        )
    if known and wanted and not f"{known}.".startswith(f"{wanted}."):
        raise UsageError(
            f"{name} has Python {known}, and Python {wanted} is wanted",
            hint="name another base, such as `--base python:" + ".".join(wanted.split(".")[:2]) + "-slim`",
        )
    return re.sub(r"[^\d.].*", "", known).rstrip(".") or wanted


def _decoded(content: bytes, kind: type[_T], name: ImageName) -> _T:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _damaged(name) from None


def _damaged(name: ImageName) -> RegistryError:
    return RegistryError(
        f"{name} is damaged: a part of it is not what an image consists of", hint="name another base"
    )

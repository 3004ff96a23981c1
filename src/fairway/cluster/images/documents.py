"""The documents of a registry: manifests and indexes of images, as OCI and Docker write them."""

import hashlib
from typing import Any

import msgspec

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_INDEX)
ACCEPTED = ", ".join((*MANIFESTS, *INDEXES))
"""The value of `Accept` for a request that takes a manifest or an index."""

_LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """The platform of an image in an index."""

    architecture: str = ""
    os: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A reference to a blob or manifest: its type, digest and size."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class Manifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A manifest of an image."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor
    layers: list[Descriptor]
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """An index of the images of several platforms."""

    schema_version: int
    media_type: str = ""
    manifests: list[Descriptor]
    annotations: dict[str, str] | None = None


def digest_of(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encode(document: Manifest | Index | dict[str, Any]) -> bytes:
    """Return the bytes of a document. The same document has the same bytes."""
    return msgspec.json.encode(document, order="deterministic" if isinstance(document, dict) else None)


def oci_layer(layer: Descriptor) -> Descriptor | None:
    """Return the descriptor of a layer with the type that OCI gives it; None for a type that registries do not store."""
    media_type = _LAYER_TYPES.get(layer.media_type, layer.media_type)
    if not media_type.startswith("application/vnd.oci.image.layer.v1.tar"):
        return None
    return Descriptor(media_type, layer.digest, layer.size)

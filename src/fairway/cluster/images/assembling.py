"""The assembly of an image: a base by digest, layers on top of it, and their push to a registry.

Nothing is sent that the registry has. The name of an image contains its digest, so that the same content has the same name
everywhere and a tag is never moved.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from fairway.cluster.images.bases import Base, fetch_layer, read_base, settings_of, variables_of
from fairway.cluster.images.documents import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    Platform,
    digest_of,
    encode,
)
from fairway.cluster.images.layers import Layer
from fairway.cluster.images.names import (
    DOCKER_HUB,
    ImageName,
    Repository,
    below,
    parse_image,
    parse_registry,
    spoken_as,
)
from fairway.cluster.images.packing import PROGRAMS, ROOT, START, WORK, fairway_layers, version
from fairway.cluster.images.refusals import RegistryDenied
from fairway.cluster.images.registry import Registry, open_registry
from fairway.cluster.images.standard import standard_layers
from fairway.cluster.images.uploading import Blob, mount_blob, push_blob
from fairway.cluster.images.wheels import make_target
from fairway.cluster.images.workshop import Workshop
from fairway.spec.errors import UsageError
from fairway.spec.install import PLATFORMS
from fairway.spec.quantities import format_memory

DEFAULT_BASE = f"{DOCKER_HUB}/library/python:3.11-slim"
DEFAULT_PLATFORM = PLATFORMS[0]
_REPOSITORY = "fairway"
_USER = "65532"
"""The user of a container, which is not root. A number, because Kubernetes cannot look up a name."""

_HOME = "/tmp/home"
_CACHES = {
    "MPLCONFIGDIR": "matplotlib",
    "NUMBA_CACHE_DIR": "numba",
    "HF_HOME": "huggingface",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
}
"""The variables of libraries that fail where their usual folder cannot be written to."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order for the image of Fairway.

    Attributes:
        registry: the registry that gets it, such as `ghcr.io/acme`, or `http://10.0.0.5:5000` without TLS.
        base: the image to build on.
        python: the version of the base's Python; empty reads it from the base.
        platforms: the platforms of the nodes.
        plain: True for HTTP without TLS.
    """

    registry: str
    base: str = DEFAULT_BASE
    python: str = ""
    platforms: tuple[str, ...] = (DEFAULT_PLATFORM,)
    plain: bool = False


class Pushed(msgspec.Struct, frozen=True):
    """An image in a registry.

    Attributes:
        image: its name by digest.
        tag: its name by tag.
        python: the version of its Python.
        sent: the number of bytes that were sent for it.
    """

    image: str
    tag: str
    python: str
    sent: int


class Image(msgspec.Struct, frozen=True):
    """An image that is ready to be pushed.

    Attributes:
        base: the image that it is built on.
        layers: the layers on top of the base.
        config: its configuration.
        manifest: its manifest.
    """

    base: Base
    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes

    def descriptor(self) -> Descriptor:
        """Return the reference to it for an index."""
        platform = Platform(self.base.target.architecture, "linux")
        return Descriptor(OCI_MANIFEST, digest_of(self.manifest), len(self.manifest), platform)


async def push_fairway(order: Order, workshop: Workshop) -> Pushed:
    """Make the image of Fairway and push it. It is found again, and nothing is sent, if the registry has it.

    Raises:
        FairwayError: a name has no meaning, a registry refuses, or a package has no wheel for a platform.
    """
    root = parse_registry(order.registry, plain=order.plain)
    named = spoken_as(parse_image(order.base), root)
    if not order.platforms or len(set(order.platforms)) < len(order.platforms):
        raise UsageError(
            "an image is for one platform or several different ones", hint="`--platform linux/amd64`"
        )
    for platform in order.platforms:
        make_target("3.11", platform)
    async with await open_registry(named.repository, workshop.environment, workshop.home) as source:
        images: list[Image] = []
        for platform in order.platforms:
            base = await read_base(source, named, order.python, platform, workshop)
            workshop.note(f"base {base.name}, Python {base.target.python}, linux/{base.target.architecture}")
            layers = [
                *await standard_layers(source, base, workshop),
                *await fairway_layers(base.target, workshop),
            ]
            images.append(assemble(base, layers, {"org.opencontainers.image.version": version()}))
        repository = below(root, _REPOSITORY)
        async with await open_registry(repository, workshop.environment, workshop.home) as registry:
            return await Push(registry, source, repository, workshop).all(images, version())


def assemble(base: Base, layers: Sequence[Layer], labels: dict[str, str]) -> Image:
    """Return the image of a base with layers on top. The same content gives the same bytes."""
    config = encode(_config(base, layers, labels))
    described = [Descriptor(OCI_LAYER, layer.digest, layer.size) for layer in layers]
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=Descriptor(OCI_CONFIG, digest_of(config), len(config)),
        layers=[*base.layers, *described],
        annotations={
            "org.opencontainers.image.base.digest": base.name.digest,
            "org.opencontainers.image.base.name": f"{base.name.repository}",
        },
    )
    return Image(base, tuple(layers), config, encode(manifest))


def _config(base: Base, layers: Sequence[Layer], labels: dict[str, str]) -> dict[str, Any]:
    config = dict(base.config)
    rootfs = dict(config.get("rootfs") or {"type": "layers", "diff_ids": []})
    rootfs["diff_ids"] = [*rootfs["diff_ids"], *(layer.diff_id for layer in layers)]
    history = config.get("history")
    if isinstance(history, list):
        made = [{"created_by": "fairway", "comment": layer.comment} for layer in layers]
        config["history"] = [*history, *made]
    variables = _variables(base)
    settings = settings_of(config)
    settings["Env"] = [f"{name}={value}" for name, value in variables.items()]
    settings["User"] = _USER
    settings["WorkingDir"] = f"/{WORK}"
    settings["Entrypoint"] = ["python3"]
    settings["Cmd"] = None
    settings["Labels"] = (settings.get("Labels") or {}) | labels
    # A build host's name and such belong to the base, and the name of its last container means nothing here.
    for name in ("container", "container_config"):
        config.pop(name, None)
    return config | {
        "config": {key: value for key, value in settings.items() if value is not None},
        "rootfs": rootfs,
    }


def _variables(base: Base) -> dict[str, str]:
    """Return the environment of the image. What the base sets stays, and what is set twice is not added again."""
    own = variables_of(base.config)
    usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    packages = f"/{ROOT}/env/python{base.target.python}/site-packages/bin"
    path = [packages, *(own.get("PATH") or usual).split(":"), f"/{PROGRAMS}"]
    modules = [f"/{START}", *(own.get("PYTHONPATH") or "").split(":")]
    caches = {name: f"{_HOME}/.cache/{folder}" for name, folder in _CACHES.items()}
    return (
        {
            "HOME": _HOME,
            "USER": "fairway",
            "LOGNAME": "fairway",
            "XDG_CACHE_HOME": f"{_HOME}/.cache",
            **caches,
        }
        | own
        | {
            "HOME": _HOME,
            "PATH": ":".join(dict.fromkeys(path)),
            "PYTHONPATH": ":".join(dict.fromkeys(part for part in modules if part)),
            "PYTHON_VERSION": own.get("PYTHON_VERSION") or base.target.python,
        }
    )


class Push:
    """The push of images into one repository.

    Args:
        registry: the registry that gets them.
        source: the registry that has their base.
        repository: the repository that gets them.
        workshop: the tools.
    """

    def __init__(
        self, registry: Registry, source: Registry, repository: Repository, workshop: Workshop
    ) -> None:
        self.registry = registry
        self.repository = repository
        self._source = source
        self._workshop = workshop
        self._sent = 0
        self._present: set[str] = set()

    async def all(self, images: Sequence[Image], tag: str) -> Pushed:
        """Send images of several platforms under one tag, which gets the beginning of the digest. Raises FairwayError."""
        media_type, content = OCI_MANIFEST, images[0].manifest
        if len(images) > 1:
            listed = [image.descriptor() for image in images]
            media_type = OCI_INDEX
            content = encode(Index(schema_version=2, media_type=OCI_INDEX, manifests=listed))
        digest = digest_of(content)
        name = ImageName(self.repository, f"{tag.replace('+', '_')}-{digest[7:19]}")
        if await self.found(name) != digest:
            for image in images:
                await self.blobs(image)
                if len(images) > 1:
                    by_digest = ImageName(self.repository, digest=digest_of(image.manifest))
                    await self.registry.put_manifest(by_digest, OCI_MANIFEST, image.manifest)
            await self.registry.put_manifest(name, media_type, content)
        by_digest = ImageName(self.repository, digest=digest)
        return Pushed(str(by_digest), str(name), images[0].base.target.python, self._sent)

    async def one(self, image: Image, tag: str) -> Pushed:
        """Send an image under exactly this tag. Raises FairwayError."""
        name = ImageName(self.repository, tag)
        await self.blobs(image)
        await self.registry.put_manifest(name, OCI_MANIFEST, image.manifest)
        by_digest = ImageName(self.repository, digest=digest_of(image.manifest))
        return Pushed(str(by_digest), str(name), image.base.target.python, self._sent)

    async def found(self, name: ImageName) -> str:
        """Return the digest of an image in the registry; empty if it is not there or nobody may know. Raises FairwayError."""
        try:
            return await self.registry.find(name)
        except RegistryDenied:
            # Some registries deny what does not exist. The push tells whether it is a right that is missing.
            return ""

    async def known(self, tag: str, base: Base) -> Pushed | None:
        """Return the image on a base that the registry has under a tag; None without one. Raises FairwayError."""
        name = ImageName(self.repository, tag)
        digest = await self.found(name)
        if not digest:
            return None
        return Pushed(str(ImageName(self.repository, digest=digest)), str(name), base.target.python, 0)

    async def blobs(self, image: Image) -> None:
        """Make everything that an image consists of present. Raises FairwayError."""
        # A repository that has the base has all of its layers.
        for layer in image.base.layers if image.base.name.repository != self.repository else ():
            await self._send_base_layer(layer, image.base)
        for layer in image.layers:
            await self.layer(layer)
        config = Blob(digest_of(image.config), len(image.config), image.config)
        self._sent += await push_blob(self.registry, self.repository, config)

    async def layer(self, layer: Layer) -> None:
        """Make a layer present. Raises FairwayError."""
        if not layer.file or layer.digest in self._present:
            return
        blob = Blob(layer.digest, layer.size, Path(layer.file))
        sent = await push_blob(self.registry, self.repository, blob, progress=self._workshop.count)
        self._present.add(layer.digest)
        self._note(layer.comment, sent, layer.size)

    async def _send_base_layer(self, layer: Descriptor, base: Base) -> None:
        """Make a layer of the base present: by a mount, or by its bytes if the base is in another registry."""
        repository = base.name.repository
        if repository.place == self.repository.place:
            if await mount_blob(self.registry, self.repository, layer.digest, repository):
                return
        elif await self.registry.has_blob(self.repository, layer.digest):
            return
        file = await fetch_layer(self._source, repository, layer, self._workshop)
        blob = Blob(layer.digest, layer.size, file)
        sent = await push_blob(self.registry, self.repository, blob, progress=self._workshop.count)
        self._note(f"layer {layer.digest[7:19]} of the base", sent, layer.size)

    def _note(self, what: str, sent: int, size: int) -> None:
        self._sent += sent
        how = f"sent, {format_memory(sent)}" if sent else f"there already, {format_memory(size)}"
        self._workshop.note(f"{what}: {how}")


@asynccontextmanager
async def building(
    base: str, registry: str, name: str, platform: str, workshop: Workshop
) -> AsyncGenerator[tuple[Base, Push]]:
    """Read the base of an image, and open the push of it.

    Args:
        base: the image to build on.
        registry: the registry that gets the image, such as `ghcr.io/acme`.
        name: the last part of the repository's name there.
        platform: the platform of the nodes, such as `linux/amd64`. Empty for that of the base.
        workshop: the tools.

    Raises:
        FairwayError: a name has no meaning, a registry refuses, or there is no such base.
    """
    root = parse_registry(registry)
    named = spoken_as(parse_image(base), root)
    repository = below(root, name)
    async with (
        await open_registry(named.repository, workshop.environment, workshop.home) as source,
        await open_registry(repository, workshop.environment, workshop.home) as target,
    ):
        found = await read_base(source, named, "", platform, workshop)
        yield found, Push(target, source, repository, workshop)

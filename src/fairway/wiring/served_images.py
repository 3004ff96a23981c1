"""The images of endpoints on a target: the environment that the model or project was proven in, and its content on top.

An image is pushed by this machine and found again by whoever serves the same content. Where nobody here may push, servers get
the environment alone and fetch the content from the control plane.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.cluster.images.refusals import NoSuchImage, RegistryDenied, RegistryUnreachable
from fairway.cluster.images.served import MOST, Content, Wanted, served_image
from fairway.local.bundling import Bundle
from fairway.spec.artifact import Artifact, FileEntry, sources_of
from fairway.spec.errors import CorruptArtifact, NotFound
from fairway.spec.layers import parse_reference
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import format_memory
from fairway.stores import folders
from fairway.wiring.equipping import Equipment, registry_of
from fairway.wiring.images import make_workshop

if TYPE_CHECKING:
    from fairway.remote import RemotePlatform
    from fairway.wiring.targets import Target

_PACKAGES = {"PyTorch": "torch", "XGBoost": "xgboost-cpu"}
"""The packages of frameworks that are called otherwise."""

_FORMATS = {
    "skops": ("skops",),
    "onnx": ("onnxruntime",),
    "safetensors": ("safetensors",),
    "arrow": ("pyarrow",),
}
"""The packages with which the content of a format is read, beside the framework of the model."""

_TOGETHER = 4
Note = Callable[..., None]


class ServedImages:
    """The images of endpoints on one target.

    Args:
        target: the target.
        platform: its platform, which has the content.
        note: takes lines of progress.
        bundle: the files of the project; None for a model.
    """

    def __init__(
        self, target: "Target", platform: "RemotePlatform", note: Note, bundle: Bundle | None = None
    ) -> None:
        self._platform = platform
        self._note = note
        self._bundle = bundle
        self._equipment = Equipment(target, bundle, note, platform)
        self._workshop = make_workshop(note)

    async def environment(self) -> str:
        """Return the image with the project's own environment; empty if the installation's is enough. Raises FairwayError."""
        return await self._equipment.own()

    async def of_model(self, version: ModelVersion) -> str:
        """Return the image that serves a model; empty if servers fetch all from the control plane. Raises FairwayError."""
        base = await self._environment_of(version)
        parts = served_parts(version)
        if not parts:
            return base
        size = sum(part.size for part in parts)
        if size > MOST:
            self._note(
                f"{version} has {format_memory(size)}, more than an image carries: "
                f"its servers fetch it from {self._platform.place}"
            )
            return base
        wanted = Wanted(
            digests=tuple(part.digest for part in parts),
            comment=f"{version}, {format_memory(size)}",
            fetch=lambda folder: fetched(self._platform, parts, folder),
        )
        try:
            return await self._with_content(base, wanted)
        except NoSuchImage:
            # Somebody removed the image that the run had.
            base = await self._equipment.of_packages(packages_of(version))
            return await self._with_content(base, wanted)

    async def of_source(self, base: str, source: Artifact, manifest: bytes) -> str:
        """Return the image that serves functions of the project. Raises FairwayError.

        Args:
            base: the image with the project's own environment; empty for that of the installation.
            source: the folder from which the project is imported.
            manifest: the encoded list of its files.
        """
        assert self._bundle is not None
        places = {one.entry.digest: Path(one.place) for one in self._bundle.files}
        files = folders.decode(manifest, source.digest).files

        async def fetch(folder: Path) -> Content:
            blobs = {file.digest: places[file.digest] for file in files}
            listed = folder / source.digest
            await asyncio.to_thread(listed.write_bytes, manifest)
            return Content({**blobs, source.digest: listed}, {source.digest: files})

        comment = f"the project, {format_memory(source.size)}"
        wanted = Wanted(digests=(source.digest,), comment=comment, fetch=fetch)
        return await self._with_content(base, wanted)

    async def _environment_of(self, version: ModelVersion) -> str:
        """Return the image in which the model was registered; empty for the image of the installation. Raises FairwayError."""
        try:
            # A model that no run registered is on record nowhere else.
            status = await self._platform.run(version.lineage.run) if version.lineage.run else None
        except NotFound:
            status = None
        if status is None:
            return await self._equipment.of_packages(packages_of(version))
        step = next((one.spec for one in status.steps if one.spec.name == version.lineage.step), None)
        environment = step.environment if step is not None else None
        return status.spec.images.get(environment.key if environment is not None else "", "")

    async def _with_content(self, base: str, wanted: Wanted) -> str:
        """Return the image with content on top of an environment, or the environment alone where nobody here may push."""
        if parse_reference(base) is not None:
            return base  # there is no image that content could be put on: the servers fetch it as they fetch their packages
        install = await self._equipment.installed()
        try:
            made = await served_image(
                base or install.image, wanted, registry_of(install), install.platform, self._workshop
            )
        except (RegistryDenied, RegistryUnreachable) as error:
            self._note(
                f"{error.message}; the servers fetch their content from {self._platform.place} instead"
            )
            return base
        return made.image


def served_parts(version: ModelVersion) -> list[Artifact]:
    """Return the content that a server of a model opens, apart from what its record holds itself."""
    candidate = version.candidate
    model = candidate.compiled or candidate.artifact
    parts = [model, *([candidate.samples] if candidate.samples is not None else [])]
    if model.code:
        parts.append(sources_of(model))
    return [part for part in parts if part.inline is None]


def packages_of(version: ModelVersion) -> list[str]:
    """Return the packages that a server of a model needs, as lines of a requirements file."""
    candidate = version.candidate
    model = candidate.compiled or candidate.artifact
    lines = set(_FORMATS.get(model.format, ()))
    name, _, number = candidate.framework.rpartition(" ")
    if candidate.compiled is None and name and number and name.lower() != "onnx":
        package = _PACKAGES.get(name, name.lower())
        lines.add(f"{package}=={number.partition('+')[0]}")
        table = candidate.signature.table if candidate.signature is not None else ""
        lines.update({table} if table else ())
    return sorted(lines)


async def fetched(platform: "RemotePlatform", parts: Sequence[Artifact], folder: Path) -> Content:
    """Bring content from a platform into a folder, and compare all of it with its digests. Raises CorruptArtifact.

    Args:
        platform: has the content.
        parts: the artifacts.
        folder: gets a file for each digest.
    """
    listed: dict[str, Sequence[FileEntry]] = {}
    single = {part.digest for part in parts if not part.files}
    for part in parts:
        if part.files:
            manifest = await _fetch(platform, part.digest, folder)
            listed[part.digest] = folders.decode(manifest.read_bytes(), part.digest).files
    digests = sorted(single | {file.digest for files in listed.values() for file in files})
    room = asyncio.Semaphore(_TOGETHER)

    async def fetch(digest: str) -> tuple[str, Path]:
        async with room:
            return digest, await _fetch(platform, digest, folder)

    blobs = dict(await asyncio.gather(*(fetch(digest) for digest in digests)))
    return Content({**blobs, **{digest: folder / digest for digest in listed}}, listed)


async def _fetch(platform: "RemotePlatform", digest: str, folder: Path) -> Path:
    """Bring one blob into a folder. Raises CorruptArtifact."""
    content = await platform.blob(digest)
    if hashlib.sha256(content).hexdigest() != digest:
        raise CorruptArtifact(f"the content {digest[:12]} was changed on its way here", hint="deploy again")
    place = folder / digest
    await asyncio.to_thread(place.write_bytes, content)
    return place

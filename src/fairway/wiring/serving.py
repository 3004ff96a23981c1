"""Deployments on a target: the project or the model is found, its image made, and the platform of the target asked."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from fairway.local import projects
from fairway.spec.artifact import Artifact, FileEntry, Manifest
from fairway.spec.errors import UsageError
from fairway.spec.run import RunRequest
from fairway.wiring import deployments, sending, targets

if TYPE_CHECKING:
    from fairway.local.bundling import Bundle
    from fairway.remote import RemotePlatform
    from fairway.spec.endpoint import Deployed, DeployRequest
    from fairway.wiring.targets import Target

Wished = Callable[["list[DeployRequest]"], "list[DeployRequest]"]
"""Function that puts the person's own wishes into requests."""

Done = Callable[["Deployed", "DeployRequest"], None]
"""Function that takes the answer to each request."""

Tell = Callable[..., None]


class Asked(msgspec.Struct, frozen=True):
    """The thing that a person wants to be served: a model, or the endpoints of a project file.

    Attributes:
        model: the reference of the model; it counts if there is no file.
        file: the absolute path of the project file.
        module: the name under which the file is imported.
        only: the name of the one endpoint that is meant; empty for all of the file.
    """

    model: str
    file: str = ""
    module: str = ""
    only: str = ""


async def deploy(target: "Target", asked: Asked, wished: Wished, done: Done, tell: Tell) -> None:
    """Serve a model, or the endpoints of a project, on a target. Raises FairwayError.

    Args:
        target: the target.
        asked: what to serve.
        wished: puts the person's wishes into the requests.
        done: takes each answer.
        tell: takes lines for the person.
    """
    platform = targets.platform(target, tell)
    try:
        requests = await (
            _of_project(target, platform, asked, tell)
            if asked.file
            else _of_model(target, platform, asked.model, tell)
        )
        for request in wished(requests):
            done(await platform.deploy(request), request)
    finally:
        await platform.close()


async def _of_model(
    target: "Target", platform: "RemotePlatform", reference: str, tell: Tell
) -> "list[DeployRequest]":
    """Return the request that serves a model with its content in the image. Raises FairwayError."""
    from fairway.wiring.served_images import ServedImages

    request = await deployments.model_request(platform, reference)
    version = await platform.resolve(request.model)
    image = await ServedImages(target, platform, tell).of_model(version)
    # The number instead of the reference: the image must have the content of the version that is served.
    return [msgspec.structs.replace(request, model=f"{version.name}:{version.version}", image=image)]


async def _of_project(
    target: "Target", platform: "RemotePlatform", asked: Asked, tell: Tell
) -> "list[DeployRequest]":
    """Return the requests that serve the endpoints of a project. Raises FairwayError."""
    from fairway.spec.endpoint import DeployRequest
    from fairway.wiring.served_images import ServedImages

    place = projects.locate(asked.file, asked.module)
    request = RunRequest(file=asked.file, module=asked.module)
    sent = await sending.send(platform, request)
    if sent.files:
        tell(f"uploaded {sent.files} file{'s' if sent.files != 1 else ''} to {platform.place}")
    images = ServedImages(target, platform, tell, sent.bundle)
    own = await images.environment()
    request.images = {"": own} if own else {}
    project = await platform.describe(request)
    found = [endpoint for endpoint in project.endpoints if asked.only in ("", endpoint.name)]
    if not found:
        what = f"endpoint {asked.only!r}" if asked.only else "endpoint"
        raise UsageError(f"{asked.file} declares no {what}", hint="put `@fw.endpoint` above a function")
    folder = projects.copied_folder(place)
    source, manifest = source_of(sent.bundle, folder)
    if source.digest != sent.bundle.digest:
        await platform.put(source.digest, manifest)
    image = await images.of_source(own, source, manifest)
    module = os.path.relpath(place.file, folder)
    return [
        DeployRequest(
            name=endpoint.name, function=endpoint.name, source=source, module=module, replicas=endpoint.replicas,
            private=endpoint.private, image=image,
        )
        for endpoint in found
    ]  # fmt: skip


def source_of(bundle: "Bundle", folder: str) -> tuple[Artifact, bytes]:
    """Return the part of a bundle below a folder, as a folder artifact, and the encoded list of its files.

    A server imports the project from there, so the folder is the one from which its modules are imported.
    """
    import hashlib

    prefix = os.path.relpath(folder, os.path.realpath(bundle.folder)).replace(os.sep, "/")
    start = "" if prefix == "." else f"{prefix}/"
    entries = [one.entry for one in bundle.files if one.entry.path.startswith(start)]
    files = tuple(
        FileEntry(
            path=entry.path.removeprefix(start),
            digest=entry.digest,
            size=entry.size,
            executable=entry.executable,
        )
        for entry in entries
    )
    manifest = msgspec.json.encode(Manifest(files=files))
    digest = hashlib.sha256(manifest).hexdigest()
    size = sum(entry.size for entry in files)
    return Artifact(format="folder", digest=digest, size=size, kind="project", files=True), manifest

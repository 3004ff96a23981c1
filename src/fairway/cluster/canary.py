"""The canary: a tiny image that is pushed from here and pulled by a node, to see that the two mean the same registry.

Each canary has a content of its own, so that no cache answers for the registry. It holds no program, so a container of it
cannot be made, and that is how the kubelet says that the pull is done.
"""

import asyncio
import gzip
import io
import secrets
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fairway.cluster import pods
from fairway.cluster.checking import Check
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
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
from fairway.cluster.images.names import ImageName, below, parse_registry
from fairway.cluster.images.registry import open_registry
from fairway.cluster.images.uploading import Blob, push_blob
from fairway.cluster.kinds import Pod
from fairway.cluster.podspec import Amounts, Container, Metadata, PodSpec
from fairway.cluster.readiness import Finding, PodView, judge_pull
from fairway.spec.errors import FairwayError
from fairway.spec.install import PLATFORMS

_REPOSITORY = "fairway-canary"
_SECONDS = 60.0
_POLL = 0.5


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A canary that is wanted.

    Attributes:
        registry: the registry, such as `ghcr.io/acme`.
        plain: True for HTTP without TLS.
        pull_secrets: the names of the Secrets with which the node pulls.
        environment: the variables for programs, and for finding logins.
        home: the home folder of the user.
    """

    registry: str
    plain: bool
    pull_secrets: tuple[str, ...]
    environment: Mapping[str, str]
    home: Path


async def check(kube: Kubernetes, order: Order) -> list[Check]:
    """Return the checks of a push from here and of a pull from a node."""
    try:
        image = await _push(order)
    except FairwayError as error:
        return [
            Check("push", "missing", error.message, error.hint),
            Check("pull", "missing", "not tried, because nothing could be pushed"),
        ]
    pushed = Check("push", "ok", f"{order.registry} takes images from here")
    return [pushed, await _pull(kube, image, order.pull_secrets)]


async def _push(order: Order) -> str:
    """Send a new canary to its registry, and return its name by digest. Raises FairwayError."""
    repository = below(parse_registry(order.registry, plain=order.plain), _REPOSITORY)
    archive = _archive()
    layer = gzip.compress(archive, mtime=0)
    # A node pulls an image for its own platform alone.
    images = {
        name: _image(archive, layer, name) for name in (one.removeprefix("linux/") for one in PLATFORMS)
    }
    listed = [
        Descriptor(OCI_MANIFEST, digest_of(manifest), len(manifest), Platform(name, "linux"))
        for name, (_, manifest) in images.items()
    ]
    index = encode(Index(schema_version=2, media_type=OCI_INDEX, manifests=listed))
    async with await open_registry(repository, order.environment, order.home) as registry:
        for content in (layer, *(config for config, _ in images.values())):
            await push_blob(registry, repository, Blob(digest_of(content), len(content), content))
        for _, manifest in images.values():
            await registry.put_manifest(
                ImageName(repository, digest=digest_of(manifest)), OCI_MANIFEST, manifest
            )
        name = ImageName(repository, digest=digest_of(index))
        await registry.put_manifest(name, OCI_INDEX, index)
    return str(name)


def _image(archive: bytes, layer: bytes, architecture: str) -> tuple[bytes, bytes]:
    """Return the configuration and the manifest of the canary for an architecture."""
    config = encode(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/canary"], "User": "65532"},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(archive)]},
        }
    )
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        config=Descriptor(OCI_CONFIG, digest_of(config), len(config)),
        layers=[Descriptor(OCI_LAYER, digest_of(layer), len(layer))],
    )
    return config, encode(manifest)


def _archive() -> bytes:
    raw = io.BytesIO()
    content = secrets.token_bytes(32)
    with tarfile.open(fileobj=raw, mode="w") as tar:
        entry = tarfile.TarInfo("canary")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


async def _pull(kube: Kubernetes, image: str, pull_secrets: tuple[str, ...]) -> Check:
    """Make a node pull an image, and return how that ended. The pod is deleted."""
    name = f"fairway-canary-{secrets.token_hex(4)}"
    began = time.monotonic()
    try:
        await kube.create(kinds.POD, _pod(name, image, pull_secrets))
    except FairwayError as error:
        return Check("pull", "missing", f"the pod was refused: {error.message}", error.hint)
    try:
        found = await _awaited(kube, name)
    finally:
        await kube.delete(kinds.POD, name, grace=0)
    if found.ready:
        return Check("pull", "ok", f"a node pulled a new image in {time.monotonic() - began:.1f} s")
    return Check("pull", "missing", found.words, found.hint)


async def _awaited(kube: Kubernetes, name: str) -> Finding:
    end = time.monotonic() + _SECONDS
    since: float | None = None
    while True:
        found = judge_pull(await kube.get(kinds.POD, name, type=PodView))
        now = time.monotonic()
        since = (since or now) if found.cause == "image" else None
        given_up = since is not None and now - since >= found.patience
        if found.ready or given_up or now >= end:
            return found
        await asyncio.sleep(_POLL)


def _pod(name: str, image: str, pull_secrets: tuple[str, ...]) -> Pod:
    amounts = {"cpu": "10m", "memory": "16Mi", "ephemeral-storage": "16Mi"}
    return Pod(
        metadata=Metadata(name=name, labels={pods.MANAGED_BY: "fairway"}),
        spec=PodSpec(
            containers=(
                Container(
                    name="canary",
                    image=image,
                    command=("/canary",),
                    resources=Amounts(requests=amounts, limits=amounts),
                    security_context=pods.container_security(),
                ),
            ),
            service_account_name="default",
            automount_service_account_token=False,
            enable_service_links=False,
            security_context=pods.pod_security(65532),
            restart_policy="Never",
            termination_grace_period_seconds=1,
            active_deadline_seconds=round(_SECONDS) * 2,
            tolerations=pods.tolerations(),
            image_pull_secrets=pods.pull_secrets(pull_secrets),
        ),
    )

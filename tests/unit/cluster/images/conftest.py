"""A real registry on this machine, images to build on that are made here, and logins in files of their own."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from fairway.cluster.images.credentials import Login
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
from fairway.cluster.images.layers import Entry, write_layer
from fairway.cluster.images.names import ImageName, Place, Repository
from fairway.cluster.images.registry import Registry
from fairway.cluster.images.uploading import Blob, push_blob
from fairway.cluster.images.workshop import Workshop

T = TypeVar("T")

_CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/content}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}", secret: nothing-of-value, relativeurls: true}}
{more}
"""


class Served(msgspec.Struct, frozen=True):
    """A registry that runs."""

    place: Place
    content: Path

    @property
    def host(self) -> str:
        """Its host and port."""
        return self.place.host

    def repository(self, path: str) -> Repository:
        """A repository in it."""
        return Repository(self.place, path)


@contextlib.contextmanager
def serve(folder: Path, port: int, more: str = "") -> Iterator[Served]:
    """Runs Debian's registry until the end of the block."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("the registry is missing: `apt-get install docker-registry`")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "registry.yml"
    file.write_text(_CONFIGURATION.format(folder=folder, port=port, more=more))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([program, "serve", file], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Served(Place(f"127.0.0.1:{port}", True), folder / "content")
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Served]:
    """A registry without logins, for all tests of a worker. Each test uses repositories of its own."""
    with serve(tmp_path_factory.mktemp("registry"), free_port()) as served:
        yield served


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Tools with an empty cache and no logins."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FAIRWAY_")}
    return Workshop(environment=kept | {"HOME": str(home)}, home=home, cache=tmp_path / "cache")


def soon(work: Coroutine[Any, Any, T]) -> T:
    """The result of asynchronous work, within a minute and a half."""

    async def bounded() -> T:
        async with asyncio.timeout(90):
            return await work

    return asyncio.run(bounded())


def blob_of(content: bytes) -> Blob:
    """A blob in memory."""
    return Blob(digest_of(content), len(content), content)


async def put_base(
    repository: Repository,
    folder: Path,
    *,
    variables: tuple[str, ...] = ("PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.11.9"),
    tag: str = "3.11",
    more: dict[str, Any] | None = None,
    login: Login = Login(),
    on_top: Sequence[Sequence[Entry]] = (),
) -> str:
    """Makes a small image to build on, with more layers on top, and returns its digest."""
    contents = [[Entry("etc/base", repository.path.encode())], *on_top]
    layers = [write_layer(content, "base", folder) for content in contents]
    config = encode(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": list(variables), "Cmd": ["python3"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created_by": "base"}] * len(layers),
            **(more or {}),
        }
    )
    manifest = encode(
        Manifest(
            schema_version=2,
            media_type=OCI_MANIFEST,
            config=Descriptor(OCI_CONFIG, digest_of(config), len(config)),
            layers=[Descriptor(OCI_LAYER, layer.digest, layer.size) for layer in layers],
        )
    )
    async with Registry(repository.place, login) as client:
        for layer in layers:
            await push_blob(client, repository, Blob(layer.digest, layer.size, Path(layer.file)))
        await push_blob(client, repository, blob_of(config))
        await client.put_manifest(ImageName(repository, tag), OCI_MANIFEST, manifest)
    return digest_of(manifest)


async def put_index(repository: Repository, digests: dict[str, str]) -> None:
    """Put an index of images, each for an architecture, under the tag `all`."""
    async with Registry(repository.place, Login()) as client:
        listed = [
            Descriptor(
                "application/vnd.oci.image.manifest.v1+json",
                digest,
                len((await client.manifest(ImageName(repository, digest=digest))).content),
                Platform(architecture, "linux"),
            )
            for architecture, digest in digests.items()
        ]
        content = encode(Index(schema_version=2, media_type=OCI_INDEX, manifests=listed))
        await client.put_manifest(ImageName(repository, "all"), OCI_INDEX, content)

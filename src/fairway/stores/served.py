"""The store of a model server in a pod: content of its image first, and what that lacks from the control plane.

The image may have a folder with the content of the model. What is there is used in place after a check of its digest, so a
server whose image has everything never asks the control plane. The rest is fetched by digest and cached. Nothing is ever put.
"""

import os
import stat
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from fairway.spec.artifact import Artifact, is_digest
from fairway.spec.host import StorePlace
from fairway.stores import folders
from fairway.stores.blobs import FileArtifacts
from fairway.stores.layout import Layout
from fairway.stores.opening import open_store, parts
from fairway.stores.relayed import RelayedArtifacts
from fairway.stores.upstream import Pieces, Upstream

T = TypeVar("T")

TOKEN = "X-Fairway-Token"
"""Name of the header with the token of a service account."""

_SERVED = "served:"
_PIECE = 1 << 20


def open_artifacts(place: StorePlace) -> FileArtifacts | RelayedArtifacts:
    """Return the artifacts of the store at a place, which may be the one of a model server in a pod. Raises StorageError."""
    if not place.address.startswith(_SERVED):
        return open_store(place).artifacts
    url, cache, token, folder = parts(place, _SERVED, "URL|CACHE|TOKEN|FOLDER")
    return ServedArtifacts(Layout(Path(cache)).root, ServedFirst(folder, url, token))


class _Content:
    """The content of a file in pieces."""

    def __init__(self, path: str) -> None:
        self._path = path

    def pieces(self) -> Generator[bytes, None, None]:
        """Yield the content."""
        with open(self._path, "rb", opener=_opened) as file:
            while piece := file.read(_PIECE):
                yield piece


class ServedFirst(Upstream):
    """The content of a folder, and behind it the store routes of a control plane.

    Args:
        folder: holds blobs as a store does, and may belong to anybody. It need not exist.
        url: such as "http://fairway.team.svc:7700".
        token: path of the file with the token of the server's account.
    """

    def __init__(self, folder: str, url: str, token: str) -> None:
        super().__init__(url, token, header=TOKEN)
        self._folder = folder

    def in_folder(self, digest: str) -> str:
        """Return the path of a blob in the folder; empty if it is not there."""
        path = f"{self._folder}/blobs/{digest[:2]}/{digest}"
        try:
            is_there = is_digest(digest) and stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            return ""
        return path if is_there else ""

    def size(self, digest: str) -> int | None:
        """Return the size of a blob; None if there is none."""
        path = self.in_folder(digest)
        return os.stat(path).st_size if path else super().size(digest)

    def missing(self, digests: list[str]) -> list[str]:
        """Return the digests that neither has a blob for."""
        return [digest for digest in digests if self.size(digest) is None]

    def get(self, digest: str, take: Callable[[Pieces], None], *, check: bool = False) -> bool:
        """Pass the content of a blob to `take`. With `check` it is that of the control plane. Return false without a blob."""
        path = self.in_folder(digest)
        if path and not check:
            take(_Content(path))
            return True
        return super().get(digest, take, check=check)


class ServedArtifacts(RelayedArtifacts):
    """The artifacts of a model server, with those that its image lacks in a cache below `root`."""

    def __init__(self, root: Path, upstream: ServedFirst) -> None:
        super().__init__(root, upstream)
        self._first = upstream
        self._checked: set[str] = set()

    def open(self, artifact: Artifact, *, verified: bool = False, name: str = "") -> Path | bytes:
        """Return the content of an artifact. One file of the image is used in place.

        Raises:
            CorruptArtifact: the content does not match the digest.
            NotFound: neither the image nor the control plane has the artifact.
            StorageError: the content cannot be read.
        """
        if artifact.inline is None and not artifact.files and not name:
            path = self._first.in_folder(artifact.digest)
            if path and self._is_whole(path, artifact.digest):
                return Path(path)
        return super().open(artifact, verified=verified, name=name)

    def _is_whole(self, path: str, digest: str) -> bool:
        if digest not in self._checked:
            with suppress(OSError):
                fd = _opened(path, os.O_RDONLY)
                try:
                    if folders.hash_of(fd) == digest:
                        self._checked.add(digest)
                finally:
                    os.close(fd)
        return digest in self._checked


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)

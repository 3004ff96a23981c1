"""The tools for making images, and the store of what was made or fetched, which all projects of a user share.

The store may be removed at any time. What was not used for longest goes first when it grows too large.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from pathlib import Path

import msgspec

from fairway.cluster.images.layers import Layer

MAKE = 2
"""The version of the way in which layers are made. A change of it makes all layers anew."""

_MOST = 20 * 2**30
_LAYERS = "layers"
_BLOBS = "blobs"
_MADE = "made"
_SCRATCH = "scratch"
_ABANDONED_SECONDS = 86_400.0


def _quiet(_: str) -> None:
    return None


def _uncounted(_: int) -> None:
    return None


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """The tools for making images.

    Attributes:
        environment: the variables for programs, and for finding logins.
        home: the home folder of the user.
        cache: the folder for what can be made again.
        note: a function that is called with each line of progress.
        count: a function that is called with numbers of bytes that were sent to a registry.
    """

    environment: Mapping[str, str]
    home: Path
    cache: Path
    note: Callable[[str], None] = _quiet
    count: Callable[[int], None] = _uncounted

    @property
    def layers(self) -> Path:
        """Folder of the compressed layers."""
        return self.cache / "images" / _LAYERS

    @property
    def blobs(self) -> Path:
        """Folder of what was fetched from registries."""
        return self.cache / "images" / _BLOBS

    @contextlib.contextmanager
    def scratch(self) -> Generator[Path]:
        """Make a folder for the time of a block. It is beside uv's own files, so that these are linked and not copied."""
        folder = self.cache / "images" / _SCRATCH
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            for left in folder.iterdir():
                # The process that made it was killed.
                if left.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder) as made:
            yield Path(made)

    def recall(self, key: str) -> list[Layer] | None:
        """Return the layers that were made for a key; None unless all of them are still there."""
        try:
            content = self._made(key).read_bytes()
            layers = msgspec.json.decode(content, type=list[Layer])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        for layer in layers:
            file = self.layers / os.path.basename(layer.file)
            try:
                if str(file) != layer.file or os.path.getsize(file) != layer.size:
                    return None
                os.utime(file)
            except OSError:
                return None
        return layers

    def remember(self, key: str, layers: list[Layer]) -> None:
        """Keep the layers of a key for later, and make room for them."""
        write_whole(self._made(key), msgspec.json.encode(layers))
        self.make_room(_MOST)

    def blob(self, digest: str) -> Path:
        """Return the place of a blob of a registry. It may not exist."""
        return self.blobs / digest.removeprefix("sha256:")

    async def keep_blob(self, digest: str, content: AsyncIterator[bytes]) -> Path:
        """Write a blob to its place, and check its digest before it appears there.

        Raises:
            ValueError: the content does not match the digest.
        """
        self.blobs.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=".blob-", dir=self.blobs)
        seen = hashlib.sha256()
        try:
            with open(fd, "wb") as file:
                async for part in content:
                    seen.update(part)
                    file.write(part)
            if f"sha256:{seen.hexdigest()}" != digest:
                raise ValueError(digest)
            os.replace(temporary, self.blob(digest))
        except BaseException:
            os.unlink(temporary)
            raise
        return self.blob(digest)

    def make_room(self, most: int) -> None:
        """Remove what was not used for longest, until the rest has at most `most` bytes."""
        found: list[tuple[float, int, Path]] = []
        for folder in (self.layers, self.blobs):
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                found += [
                    (entry.stat().st_mtime, entry.stat().st_size, Path(entry.path)) for entry in entries
                ]
        used = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if used <= most:
                return
            path.unlink(missing_ok=True)
            used -= size

    def _made(self, key: str) -> Path:
        return self.cache / "images" / _MADE / f"{key}.json"


def key_of(*parts: str) -> str:
    """Return a key of everything that decides the content of layers."""
    return hashlib.sha256("\0".join([str(MAKE), *parts]).encode()).hexdigest()[:32]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with open(fd, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

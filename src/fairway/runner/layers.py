"""The command `python -m fairway.runner.layers`, which puts the packages of an environment into a folder of a pod.

It runs before the host, where the pod's image has no packages of the project. Nothing of a layer is unpacked before its digest
is right, and nothing of it lands outside of the folder. A mark says that all of it is there, so a second start does nothing.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from fairway.spec.errors import CorruptArtifact, FairwayError, StorageError
from fairway.spec.layers import PLACE, StoredLayer, decode_list
from fairway.stores.opening import open_content

EXIT_BROKEN = 1
EXIT_LATER = 75
"""The status of a failure that another try may not have: the control plane could not be reached."""

_MOST_FILES = 2_000_000
_FOLDER_MODE, _FILE_MODE = 0o775, 0o664


class Piecewise(Protocol):
    """Content that is read once, in pieces."""

    def pieces(self) -> Iterable[bytes]:
        """Yield the content."""
        ...


class Content(Protocol):
    """The content of a store, by digest."""

    def get(self, digest: str, take: Callable[[Piecewise], None]) -> bool:
        """Pass the content with a digest to `take`. Return False if there is none."""
        ...


class Settings(argparse.Namespace):
    """The options of the command.

    Attributes:
        api: the address of the control plane's API.
        token: the file with the token of the pod.
        list: the digest of the list of layers.
        to: the folder.
    """

    api: str
    token: str
    list: str
    to: Path


def fetch(upstream: Content, digest: str, to: Path) -> None:
    """Put the layers of a list into a folder, unless they are there.

    Raises:
        CorruptArtifact: the store holds something else, or an archive leads out of the folder.
        StorageError: the control plane or the disk cannot be used.
        FairwayError: the layers are for another Python.
    """
    mark = to / f".complete-{digest}"
    if mark.exists():
        return
    listed = decode_list(_content(upstream, digest))
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if listed.python != here:
        raise FairwayError(
            f"the packages are for Python {listed.python}, and this image has Python {here}",
            hint=f"use Python {here} for the project, or install with another base",
        )
    _clear(to)
    for layer in listed.layers:
        _unpack(_archive(upstream, layer, to), layer, to)
    mark.touch()


def _content(upstream: Content, digest: str) -> bytes:
    """Return content of the store, which has to have its digest."""
    found: list[bytes] = []

    def take(answer: Piecewise) -> None:
        found[:] = [b"".join(answer.pieces())]

    if not upstream.get(digest, take):
        raise CorruptArtifact(
            f"the store does not hold {digest[:12]}, which is a part of the packages",
            hint="start the run again from the project's folder, so that the packages are sent",
        )
    if hashlib.sha256(found[0]).hexdigest() != digest:
        raise CorruptArtifact(
            f"the content {digest[:12]} was changed on its way here", hint="start the run again"
        )
    return found[0]


def _clear(to: Path) -> None:
    """Remove what an earlier try left."""
    for entry in os.scandir(to):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _archive(upstream: Content, layer: StoredLayer, to: Path) -> Path:
    """Return the file of a layer that was put together from its parts."""
    path = to / f".{layer.digest}.tar.gz"
    whole = hashlib.sha256()
    with path.open("wb") as file:
        for part in layer.parts:
            piece = _content(upstream, part)
            whole.update(piece)
            file.write(piece)
    if whole.hexdigest() != layer.digest:
        raise CorruptArtifact(
            f"the parts of the layer {layer.digest[:12]} do not belong together", hint="start the run again"
        )
    return path


def _unpack(path: Path, layer: StoredLayer, to: Path) -> None:
    """Unpack a layer and remove its file."""
    left = layer.unpacked
    with tarfile.open(path, "r|gz") as archive:
        for count, entry in enumerate(archive):
            left -= entry.size
            if left < 0 or count > _MOST_FILES:
                raise CorruptArtifact(f"the layer {layer.digest[:12]} holds more than it says")
            name = _inside(entry.name)
            if name is not None:
                _put(archive, entry, to, name)
    path.unlink()


def _inside(name: str) -> PurePosixPath | None:
    """Return the path of an entry below the folder. None for the folders above it."""
    path = PurePosixPath(name)
    root = PurePosixPath(PLACE.lstrip("/"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise CorruptArtifact(f"the entry {name[:100]!r} of a layer leads out of its folder")
    if path == root or path in root.parents:
        return None
    if root not in path.parents:
        raise CorruptArtifact(f"the entry {name[:100]!r} of a layer is outside of {PLACE}")
    return path.relative_to(root)


def _put(archive: tarfile.TarFile, entry: tarfile.TarInfo, to: Path, name: PurePosixPath) -> None:
    """Write an entry below the folder. No link is followed on the way to it."""
    target = to / name
    for parent in reversed(target.relative_to(to).parents):
        if (to / parent).is_symlink():
            raise CorruptArtifact(f"the entry {entry.name[:100]!r} of a layer lies behind a link")
    if entry.isdir():
        target.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        return
    target.parent.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
    if target.is_symlink() or target.exists():
        raise CorruptArtifact(f"two layers hold {entry.name[:100]!r}")
    if entry.issym():
        goal = PurePosixPath(os.path.normpath(name.parent / entry.linkname))
        if PurePosixPath(entry.linkname).is_absolute() or goal.parts[:1] == ("..",):
            raise CorruptArtifact(f"the link {entry.name[:100]!r} of a layer leads out of its folder")
        target.symlink_to(entry.linkname)
    elif entry.isreg():
        content = archive.extractfile(entry)
        assert content is not None
        with target.open("xb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
        target.chmod(_FILE_MODE | (0o111 if entry.mode & 0o100 else 0))
    else:
        raise CorruptArtifact(f"the entry {entry.name[:100]!r} of a layer is neither file, folder nor link")


def main(words: Sequence[str]) -> int:
    """Carry out the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m fairway.runner.layers", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--api", required=True, metavar="URL")
    parser.add_argument("--list", required=True, metavar="DIGEST")
    parser.add_argument("--token", default="/var/run/fairway/token", metavar="FILE")
    parser.add_argument("--to", type=Path, default=Path(PLACE))
    settings = parser.parse_args(words, namespace=Settings())
    try:
        fetch(open_content(settings.api, settings.token), settings.list, settings.to)
    except (CorruptArtifact, FairwayError, OSError, tarfile.TarError, EOFError) as error:
        # The kubelet keeps the last lines, and the run tells them.
        print(f"{error}", file=sys.stderr)
        is_broken = isinstance(error, CorruptArtifact) or not isinstance(error, StorageError)
        return EXIT_BROKEN if is_broken else EXIT_LATER
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

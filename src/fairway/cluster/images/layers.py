"""Layers of images that are the same to the bit for the same content.

Names are sorted, owners, times and modes do not depend on the machine, and the compression is fixed. A layer is known by the
digest of its uncompressed archive: another version of zlib makes another file, and never a wrong match.
"""

import gzip
import hashlib
import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

import msgspec

from fairway.spec.errors import FairwayError

_LEVEL = 4
"""The level of compression. Higher levels take far longer and save little of what wheels contain."""

_FOLDER_MODE = 0o775
_FILE_MODE = 0o664
_PROGRAM_MODE = 0o775
"""The modes of entries. A group may do what its user may, because some clusters choose the user and use group 0."""


class Entry(msgspec.Struct, frozen=True):
    """A file, link or folder of a layer.

    Attributes:
        name: the path in the image, without a leading slash.
        source: the path of the file that has the content, or the content. None for a folder or a link.
        link: the target of a symbolic link; empty for files and folders.
        executable: True for programs.
        same: the name of another file of the layer that this one is, by a hard link. It must come before in the alphabet.
    """

    name: str
    source: Path | bytes | None = None
    link: str = ""
    executable: bool = False
    same: str = ""


class Layer(msgspec.Struct, frozen=True):
    """A layer, compressed.

    Attributes:
        diff_id: the digest of the uncompressed archive.
        digest: the digest of the compressed file.
        size: the size of the compressed file.
        unpacked: the size of the uncompressed archive.
        comment: the content in words.
        file: the compressed file on this machine; empty if only the registry has it.
    """

    diff_id: str
    digest: str
    size: int
    unpacked: int
    comment: str
    file: str = ""


def entries_below(
    folder: Path, at: str, *, leave_out: Callable[[str], bool] = lambda _: False
) -> list[Entry]:
    """Return the entries for everything in a folder.

    Args:
        folder: the folder on this machine.
        at: its path in the image.
        leave_out: called with paths relative to the folder; true leaves a file, or a folder with all in it, out.

    Raises:
        FairwayError: there is something that is neither a file nor a folder nor a link.
    """
    return list(_walk(folder, "", PurePosixPath(at), leave_out))


def _walk(
    folder: Path, relative: str, at: PurePosixPath, leave_out: Callable[[str], bool]
) -> Iterator[Entry]:
    with os.scandir(folder / relative) as found:
        names = sorted(entry.name for entry in found)
    for name in names:
        path = f"{relative}/{name}" if relative else name
        if leave_out(path):
            continue
        source = folder / path
        target = str(at / path)
        mode = os.lstat(source).st_mode
        if stat.S_ISDIR(mode):
            yield Entry(target)
            yield from _walk(folder, path, at, leave_out)
        elif stat.S_ISLNK(mode):
            yield Entry(target, link=os.readlink(source))
        elif stat.S_ISREG(mode):
            yield Entry(target, source, executable=bool(mode & stat.S_IXUSR))
        else:
            raise FairwayError(
                f"{source} is neither a file nor a folder nor a link, and cannot be in an image",
                hint="remove it or move it elsewhere",
            )


def write_layer(
    entries: Iterable[Entry], comment: str, folder: Path, *, shared: Collection[str] = ()
) -> Layer:
    """Write a layer into a folder, under the digest of its uncompressed archive.

    Args:
        entries: the content, in any order. Missing folders above an entry are added.
        comment: the content in words.
        folder: the folder for the file.
        shared: folders that other layers or the base have too, so that this layer does not set the modes of them.

    Raises:
        FairwayError: two entries have one name, or a name leads out of the image.
    """
    ordered = _ordered(entries, shared)
    folder.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(prefix=".layer-", dir=folder)
    try:
        with open(fd, "wb") as file:
            compressed = _Hashing(file)
            with gzip.GzipFile("", "wb", _LEVEL, cast("IO[bytes]", compressed), mtime=0) as packed:
                archive = _Hashing(packed)
                with tarfile.open(
                    mode="w|", fileobj=cast("IO[bytes]", archive), format=tarfile.PAX_FORMAT, bufsize=2**20
                ) as tar:
                    for entry in ordered:
                        _add(tar, entry)
        target = folder / f"{archive.hexdigest()}.tar.gz"
        os.chmod(temporary, 0o600)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    return Layer(
        f"sha256:{archive.hexdigest()}",
        f"sha256:{compressed.hexdigest()}",
        compressed.size,
        archive.size,
        comment,
        str(target),
    )


def _ordered(entries: Iterable[Entry], shared: Collection[str]) -> list[Entry]:
    """Return the entries sorted by name, with the folders above them. Raises FairwayError."""
    named: dict[str, Entry] = {}
    for entry in entries:
        parts = PurePosixPath(entry.name).parts
        if not parts or entry.name.startswith("/") or ".." in parts:
            raise FairwayError(f"{entry.name!r} leads out of the image")
        before = named.setdefault(entry.name, entry)
        if before is not entry and not (_is_folder(before) and _is_folder(entry)):
            raise FairwayError(f"two files are to be {entry.name} in the image")
    above = {PurePosixPath(".")}
    for folder in map(PurePosixPath, shared):
        above |= {folder, *folder.parents}
    for name in list(named):
        for parent in PurePosixPath(name).parents:
            if parent not in above and not _is_folder(named.setdefault(str(parent), Entry(str(parent)))):
                raise FairwayError(f"{parent} is to be a file and a folder in the image")
    return [named[name] for name in sorted(named)]


def _is_folder(entry: Entry) -> bool:
    return entry.source is None and not entry.link and not entry.same


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mtime = 0
    if entry.link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        tar.addfile(info)
    elif entry.same:
        info.type, info.linkname, info.mode = tarfile.LNKTYPE, entry.same, _FILE_MODE
        tar.addfile(info)
    elif entry.source is None:
        info.type, info.mode = tarfile.DIRTYPE, _FOLDER_MODE
        tar.addfile(info)
    else:
        info.mode = _PROGRAM_MODE if entry.executable else _FILE_MODE
        if isinstance(entry.source, bytes):
            info.size = len(entry.source)
            tar.addfile(info, io.BytesIO(entry.source))
            return
        with open(entry.source, "rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            tar.addfile(info, file)


class _Hashing:
    """A file that is only written, with a digest of what was written.

    Args:
        file: the file behind it.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write bytes and add them to the digest."""
        self._hash.update(data)
        self.size += len(data)
        self._file.write(data)
        return len(data)

    def flush(self) -> None:
        """Write nothing: the file behind it flushes when it is closed."""

    def hexdigest(self) -> str:
        """Return the digest of everything written so far."""
        return self._hash.hexdigest()

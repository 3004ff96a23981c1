"""Folders as artifacts: their files, the manifest that lists them, and the folder made from them again.

Knows files and manifests. `blobs` stores the content.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from fairway.spec.artifact import FileEntry, Manifest
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import CorruptArtifact, StorageError
from fairway.stores.durable import make_folders, remove_tree, sync, sync_folder, write_all

PREFIX = b'{"files":['
"""The first bytes of every encoded manifest."""

_decoder: "msgspec.json.Decoder[Manifest]" = msgspec.json.Decoder(Manifest)
_CHUNK = 1 << 20


class Found(msgspec.Struct, frozen=True):
    """A file of a folder: its path on the disk, and its path inside the folder with forward slashes."""

    source: str
    path: str
    executable: bool


def scan(folder: str) -> list[Found]:
    """Return every regular file below a folder, sorted by path.

    Raises:
        StorageError: the folder contains a symbolic link, device, socket or pipe, or a name that is not UTF-8.
        OSError: the folder cannot be read.
    """
    found: list[Found] = []
    waiting = [(folder, "")]
    while waiting:
        place, prefix = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, path + "/"))
                    continue
                info = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(info.st_mode):
                    raise _not_regular(entry.path, info.st_mode)
                _refuse_odd_name(path)
                found.append(Found(entry.path, path, bool(info.st_mode & 0o100)))
    found.sort(key=lambda item: item.path)
    return found


def open_regular(path: str, *, follow: bool) -> int:
    """Open a regular file for reading and return the descriptor. Raises StorageError for any other kind, OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        raise StorageError(f"{path} does not exist", hint="write it before the task returns it") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _not_regular(path, os.lstat(path).st_mode) from None
        raise
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise _not_regular(path, mode)
    return fd


def manifest(entries: Sequence[tuple[Found, str, int]]) -> Manifest:
    """Return the manifest of files with their digests and sizes."""
    return Manifest(
        files=tuple(
            FileEntry(path=found.path, digest=digest, size=size, executable=found.executable)
            for found, digest, size in entries
        )
    )


def encode(content: Manifest) -> bytes:
    """Encode a manifest in the form that is stored and hashed."""
    return msgspec.json.encode(content)


def decode(content: bytes, digest: str) -> Manifest:
    """Decode a stored manifest.

    Raises:
        CorruptArtifact: the content is not a manifest, or a path in it leaves the folder.
    """
    try:
        found = _decoder.decode(content)
    except UNREADABLE:
        raise CorruptArtifact(
            f"artifact {digest} is not a folder", hint="look for damage with `fairway doctor`"
        ) from None
    for entry in found.files:
        parts = entry.path.split("/")
        if "" in parts or "." in parts or ".." in parts or "\0" in entry.path:
            raise CorruptArtifact(
                f"artifact {digest} names a file outside its folder: {entry.path!r}",
                hint="do not use it; it was not made by Fairway",
            )
    return found


def matches(tree: str, content: Manifest, blobs: Sequence[str]) -> bool:
    """Return true if a folder that was made earlier still has these blobs: as the same files or as equal copies."""
    try:
        for entry, blob in zip(content.files, blobs, strict=True):
            path = f"{tree}/{entry.path}"
            seen = os.lstat(path)
            if not os.path.samestat(seen, os.stat(blob)) and (
                not stat.S_ISREG(seen.st_mode) or seen.st_size != entry.size or hash_of(path) != entry.digest
            ):
                return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    return os.path.isdir(tree)


def hash_of(path: str) -> str:
    """Return the SHA-256 of a file in hex."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def lay_out(content: Manifest, blobs: Sequence[str], temporary: str, tree: str) -> None:
    """Make a read-only folder of links to blobs. It is visible at `tree` whole or not at all.

    Raises:
        OSError: the folder could not be made. Nothing is left behind.
    """
    made: dict[str, None] = {temporary: None}
    try:
        make_folders(temporary)
        for entry, blob in zip(content.files, blobs, strict=True):
            path = f"{temporary}/{entry.path}"
            folder = os.path.dirname(path)
            while folder not in made:
                os.makedirs(folder, 0o700, exist_ok=True)
                made[folder] = None
                folder = os.path.dirname(folder)
            _link(blob, path, executable=entry.executable)
        for folder in made:
            sync_folder(folder)
            if folder != temporary:
                os.chmod(folder, 0o500)
        _replace(temporary, tree)
    except BaseException:
        with suppress(OSError):
            remove_tree(temporary)
        raise


def _replace(temporary: str, tree: str) -> None:
    make_folders(os.path.dirname(tree))
    try:
        os.rename(temporary, tree)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        aside = f"{temporary}-old"
        with suppress(FileNotFoundError):
            os.chmod(tree, 0o700)
            os.rename(tree, aside)
        try:
            os.rename(temporary, tree)
        except OSError as again:
            if again.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            remove_tree(temporary)
        remove_tree(aside)
    os.chmod(tree, 0o500)


def _link(blob: str, path: str, *, executable: bool) -> None:
    if not executable:
        try:
            os.link(blob, path)
            return
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP):
                raise
    source = os.open(blob, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while chunk := os.read(source, _CHUNK):
                write_all(target, chunk)
            os.fchmod(target, 0o500 if executable else 0o400)
            sync(target, path)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _not_regular(path: str, mode: int) -> StorageError:
    if stat.S_ISLNK(mode):
        return StorageError(
            f"{path} is a symbolic link, which cannot be stored",
            hint="copy what it points to in its place before the task returns the folder",
        )
    kinds = ((stat.S_ISDIR, "directory"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    kind = next((name for test, name in kinds if test(mode)), "device")
    return StorageError(
        f"{path} is a {kind}, not a file, so it cannot be stored", hint="return regular files only"
    )


def _refuse_odd_name(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise StorageError(
            f"the file name {path.encode(errors='backslashreplace').decode()} is not valid UTF-8",
            hint="rename the file before the task returns the folder",
        ) from None

"""Folders as artifacts: their files, the manifest that lists them, and the folder made from them again.

Knows files and manifests. `blobs` stores the content.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress

import msgspec

from fairway import confined
from fairway.spec.artifact import FileEntry, Manifest
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import CorruptArtifact, StorageError
from fairway.stores.durable import sync, temporary_name, write_all

PREFIX = b'{"files":['
"""The first bytes of every encoded manifest."""

_decoder: "msgspec.json.Decoder[Manifest]" = msgspec.json.Decoder(Manifest)
_CHUNK = 1 << 20
_READ_ONLY = 0o500
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
"""The errors of a rename to a name that something has: another folder, a file or a link."""


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


def matches(root: str, content: Manifest, tree: str) -> bool:
    """Return true if a folder that was made earlier still has the files of its manifest, and no others.

    A file counts if it is the same file as its blob, or an equal copy.

    Args:
        root: the directory of the store.
        content: the manifest.
        tree: the path of the folder.
    """
    try:
        # The scan refuses links. Nothing is gained by descriptors here: whoever asked for the folder gets its path.
        if {one.path for one in scan(tree)} != {entry.path for entry in content.files}:
            return False
        for entry in content.files:
            path = f"{tree}/{entry.path}"
            seen = os.lstat(path)
            if os.path.samestat(seen, os.lstat(f"{root}/blobs/{entry.digest[:2]}/{entry.digest}")):
                continue
            if seen.st_size != entry.size or hash_below(root, path) != entry.digest:
                return False
    except (FileNotFoundError, NotADirectoryError, StorageError):
        return False
    return True


def link_target(folder: int, name: str) -> str:
    """Return where a link in an open folder leads; empty if it is no link, or not there."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        return ""


def hash_below(root: str, path: str) -> str:
    """Return the SHA-256 of a file below a root in hex. Raises StorageError if a link is on the way, OSError."""
    fd = confined.open_below(root, path)
    try:
        return hash_of(fd)
    finally:
        os.close(fd)


def hash_of(fd: int) -> str:
    """Return the SHA-256 of an open file in hex, from its position to its end."""
    with open(fd, "rb", buffering=0, closefd=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def lay_out(root: str, content: Manifest, digest: str) -> None:
    """Make a read-only folder of links to blobs. It is visible under its digest whole or not at all.

    Args:
        root: the directory of the store.
        content: the manifest.
        digest: the digest of the manifest.

    Raises:
        StorageError: a folder of the store is a link.
        OSError: the folder could not be made. Nothing is left behind.
    """
    with ExitStack() as opened:
        aside = confined.enter(root, ("blobs", "tmp"), made=sync)
        opened.callback(os.close, aside)
        trees = confined.enter(root, ("blobs", "tree"), made=sync)
        opened.callback(os.close, trees)
        temporary = temporary_name()
        os.mkdir(temporary, confined.PRIVATE_FOLDER, dir_fd=aside)
        try:
            _fill(root, content, aside, temporary)
            _replace(aside, temporary, trees, digest)
        except BaseException:
            with suppress(OSError):
                confined.remove_inside(aside, temporary)
            raise


def _fill(root: str, content: Manifest, aside: int, temporary: str) -> None:
    """Fill a new folder with a link to each file of a manifest, and make all names durable."""
    made: set[tuple[str, ...]] = {()}
    for entry in content.files:
        *above, name = entry.path.split("/")
        made.update(tuple(above[:depth]) for depth in range(1, len(above) + 1))
        with ExitStack() as opened:
            bucket = confined.enter(root, ("blobs", entry.digest[:2]))
            opened.callback(os.close, bucket)
            folder = confined.enter("blobs/tmp", (temporary, *above), made=confined.not_durable, within=aside)
            opened.callback(os.close, folder)
            _link(bucket, entry.digest, folder, name, executable=entry.executable)
    for above in made:
        folder = confined.enter("blobs/tmp", (temporary, *above), within=aside)
        try:
            sync(folder, temporary)
            if above:  # the folder itself must be writable until it has been renamed
                os.fchmod(folder, _READ_ONLY)
        finally:
            os.close(folder)


def _replace(aside: int, temporary: str, trees: int, digest: str) -> None:
    """Give a new folder its name. A folder, link or file of that name is removed."""
    try:
        os.rename(temporary, digest, src_dir_fd=aside, dst_dir_fd=trees)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        with suppress(FileNotFoundError):
            set_aside(trees, digest, aside)
        try:
            os.rename(temporary, digest, src_dir_fd=aside, dst_dir_fd=trees)
        except OSError as again:
            if again.errno not in _TAKEN:
                raise
            confined.remove_inside(aside, temporary)
    _chmod(trees, digest, _READ_ONLY)


def _chmod(above: int, name: str, mode: int) -> None:
    """Set the mode of a folder in an open folder. Raises StorageError if it is not this user's, OSError."""
    folder = confined.enter("blobs/tree", (name,), within=above)
    try:
        os.fchmod(folder, mode)
    finally:
        os.close(folder)


def set_aside(trees: int, name: str, aside: int) -> None:
    """Remove a folder, file or link from one open folder by way of another, so that it never shows in part."""
    doomed = temporary_name()
    if stat.S_ISDIR(os.stat(name, dir_fd=trees, follow_symlinks=False).st_mode):
        # A folder must be writable to be moved into another one.
        _chmod(trees, name, confined.PRIVATE_FOLDER)
    os.rename(name, doomed, src_dir_fd=trees, dst_dir_fd=aside)
    confined.remove_inside(aside, doomed)


def _link(bucket: int, digest: str, folder: int, name: str, *, executable: bool) -> None:
    if not executable:
        try:
            os.link(digest, name, src_dir_fd=bucket, dst_dir_fd=folder, follow_symlinks=False)
            return
        except OSError as error:
            if error.errno not in (errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP):
                raise
    source = confined.open_file(digest, within=bucket)
    try:
        target = os.open(name, _NEW, 0o600, dir_fd=folder)
        try:
            while chunk := os.read(source, _CHUNK):
                write_all(target, chunk)
            os.fchmod(target, 0o500 if executable else 0o400)
            sync(target, name)
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

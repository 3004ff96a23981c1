"""The way of stored content out of a platform: to a file or folder that a person named, or into memory for a look.

Content is copied in pieces and compared with its digest. A file appears under its name when it is whole.
"""

import hashlib
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact
from fairway.spec.errors import CorruptArtifact, SerializationError, UsageError
from fairway.spec.quantities import format_memory
from fairway.stores import folders

ALWAYS_CHECKED = 1 << 28
"""The bytes of a file up to which a copy is always compared with its digest. A hash of more takes longer than the copy."""

_PIECE = 1 << 20
"""The bytes that are read and written at once where the kernel does not copy. They stay in the cache of a core."""

_IN_KERNEL = 1 << 26
"""The bytes that the kernel copies at once. Between two such pieces an interrupt is noticed."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def written(target: Path) -> Generator[Path, None, None]:
    """Yield a path beside `target` to write a file or folder to. It gets the name of `target` if the block does not raise."""
    part = target.with_name(f".{target.name}.{os.urandom(6).hex()}{target.suffix}")
    try:
        yield part
        os.replace(part, target)
    except BaseException:
        _remove(part)
        raise


def copy(source: Path, digest: str, target: Path, *, check: bool) -> None:
    """Copy a blob to a new file, and with `check` hash it at the same time.

    Raises:
        CorruptArtifact: the content does not match the digest. Nothing is left at `target`.
        OSError: the file cannot be written.
    """
    # The copy stays in the kernel and the hash needs a core, so both together take as long as the slower one.
    found: list[str] = []
    hashing = threading.Thread(target=lambda: found.append(_hash(source)), daemon=True)
    if check:
        hashing.start()
    try:
        _copy(source, target)
        if check:
            hashing.join()
        if check and found != [digest]:
            raise CorruptArtifact(
                f"the content {digest[:12]} does not match its digest",
                hint="run the pipeline again to make it again, and look for other damage with `fairway doctor`",
            )
    except BaseException:
        target.unlink(missing_ok=True)
        raise


async def bring(platform: Platform, artifact: Artifact, target: Path, *, check: bool = False) -> None:
    """Write the content of an artifact to a new file, or to a new folder if it has several files.

    A file of this machine's store that is larger than `ALWAYS_CHECKED` bytes is compared with its digest only with `check`.

    Raises:
        FairwayError: the content cannot be had, or does not match its digest.
    """
    if artifact.inline is not None:
        _write(target, artifact.inline)
        return
    if not artifact.files:
        await platform.bring(artifact.digest, target, check=check or artifact.size <= ALWAYS_CHECKED)
        return
    target.mkdir()
    listing = target / ".manifest"
    await platform.bring(artifact.digest, listing)
    entries = folders.decode(listing.read_bytes(), artifact.digest).files
    listing.unlink()
    for entry in entries:
        path = target / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        await platform.bring(entry.digest, path, check=check or entry.size <= ALWAYS_CHECKED)
        if entry.executable:
            path.chmod(0o755 & ~_umask())


async def held(platform: Platform, artifact: Artifact, most: int) -> bytes:
    """Return the content of an artifact that is one file, in memory. Raises SerializationError if it has over `most` bytes."""
    if artifact.files:
        raise SerializationError("it is a folder")
    if artifact.inline is not None:
        return artifact.inline
    if artifact.size > most:
        raise SerializationError(f"it has {format_memory(artifact.size)}")
    pieces, offset = list[bytes](), 0
    while offset < artifact.size and (piece := await platform.piece(artifact.digest, offset)):
        pieces.append(piece)
        offset += len(piece)
    content = b"".join(pieces)
    if hashlib.sha256(content).hexdigest() != artifact.digest:
        raise CorruptArtifact(f"the content {artifact.digest[:12]} does not match its digest")
    return content


def _hash(source: Path) -> str:
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as read, open(os.open(target, _NEW, 0o666), "wb") as write:
        left = os.fstat(read.fileno()).st_size
        while left > 0:
            left -= _copied(read.fileno(), write.fileno(), left)


def _copied(source: int, target: int, left: int) -> int:
    """Copy the next piece of a file and return its size. Raises UsageError if the file has become shorter."""
    return _copied_in_kernel(source, target, min(left, _IN_KERNEL)) or _copied_here(source, target)


def _copied_in_kernel(source: int, target: int, most: int) -> int:
    """Let the kernel copy the next piece and return its size; 0 if it does not. Both files stand behind the piece then."""
    if hasattr(os, "copy_file_range"):
        with suppress(OSError):
            return os.copy_file_range(source, target, most)
    # Between two file systems, this is the way that Linux knows. Elsewhere it sends to sockets alone.
    if sys.platform == "linux":
        with suppress(OSError):
            return os.sendfile(target, source, None, most)
    return 0


def _copied_here(source: int, target: int) -> int:
    data = os.read(source, _PIECE)
    if not data:
        raise UsageError("the content has become shorter while it was copied")
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
    return len(data)


def _write(target: Path, data: bytes) -> None:
    with open(os.open(target, _NEW, 0o666), "wb") as file:
        file.write(data)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        for inner in part.iterdir():
            _remove(inner)
        part.rmdir()
    else:
        part.unlink(missing_ok=True)

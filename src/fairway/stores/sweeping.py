"""The removal of blobs that nothing refers to. It needs 16 bytes of memory for each digest that is kept.

A blob that is stored again during its removal survives: storing updates its time, and the removal puts a blob back whose time
has changed. Knows nothing about events. The caller says what to keep.
"""

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

import msgspec

from fairway import confined
from fairway.spec.errors import CorruptArtifact
from fairway.stores import folders
from fairway.stores.durable import remove_inside, remove_tree, sync, temporary_name

STALE = 86400.0
"""Age in seconds from which a temporary file counts as abandoned."""


class Swept(msgspec.Struct, kw_only=True):
    """The result of a sweep: the number of unreferenced blobs, and their bytes."""

    blobs: int = 0
    size: int = 0


class _Kept:
    """A set of digests. It keeps the first 16 bytes of each, in buckets by the first byte."""

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(256)]

    def add(self, digest: str) -> None:
        with suppress(ValueError):
            short = bytes.fromhex(digest[:32])
            if len(short) == 16:
                self._buckets[short[0]] += short

    def bucket(self, prefix: str) -> set[bytes]:
        data = bytes(self._buckets[int(prefix, 16)])
        return {data[at : at + 16] for at in range(0, len(data), 16)}


def sweep(blobs: str, keep: Iterable[str], *, before: float, dry: bool) -> Swept:
    """Remove the blobs that are not kept and were stored before a time, and the folders made from them.

    Args:
        blobs: the folder of the blobs.
        keep: digests to keep; a manifest keeps its files too.
        before: seconds since the epoch.
        dry: true to count only.

    Raises:
        OSError: a file could not be read or removed. Blobs that were removed before stay removed.
    """
    kept = _Kept()
    for digest in keep:
        kept.add(digest)
        _keep_files(blobs, digest, kept)
    swept = Swept()
    for prefix in sorted(name for name in _names(blobs) if len(name) == 2):
        _sweep_bucket(blobs, prefix, kept.bucket(prefix), before, dry, swept)
    if not dry:
        _sweep_trees(blobs, kept, before)
        _sweep_temporary(blobs)
    return swept


def _names(folder: str) -> list[str]:
    """Return the names in a folder. A link to a folder is refused, because its content does not belong to the store."""
    return os.listdir(folder) if confined.folder(folder) else []


def _keep_files(blobs: str, digest: str, kept: _Kept) -> None:
    """Keep the files of a manifest. Other content that looks like a manifest only keeps more than necessary."""
    try:
        with open(confined.open_file(f"{blobs}/{digest[:2]}/{digest}"), "rb") as file:
            if file.read(len(folders.PREFIX)) != folders.PREFIX:
                return
            content = folders.PREFIX + file.read()
    except FileNotFoundError:
        return
    with suppress(CorruptArtifact):
        for entry in folders.decode(content, digest).files:
            kept.add(entry.digest)


def _sweep_bucket(
    blobs: str, prefix: str, wanted: set[bytes], before: float, dry: bool, swept: Swept
) -> None:
    # By descriptors: somebody may put a link to another folder in the place of a folder at any moment.
    with ExitStack() as opened:
        bucket = confined.enter(blobs, (prefix,))
        opened.callback(os.close, bucket)
        aside = confined.enter(blobs, ("tmp",), made=sync)
        opened.callback(os.close, aside)
        for name in os.listdir(bucket):
            if len(name) == 64 and bytes.fromhex(name[:32]) not in wanted:
                _consider(bucket, aside, name, before, dry, swept)


def _consider(bucket: int, aside: int, name: str, before: float, dry: bool, swept: Swept) -> None:
    """Remove a blob in an open folder if it is old, by way of the open folder `aside`."""
    try:
        info = os.stat(name, dir_fd=bucket, follow_symlinks=False)
        if info.st_mtime >= before:
            return
        if not dry:
            doomed = temporary_name()
            # Rename, then look again: a process that stored the blob meanwhile has changed its time, and gets it back.
            os.rename(name, doomed, src_dir_fd=bucket, dst_dir_fd=aside)
            if os.stat(doomed, dir_fd=aside, follow_symlinks=False).st_mtime != info.st_mtime:
                os.rename(doomed, name, src_dir_fd=aside, dst_dir_fd=bucket)
                return
            os.unlink(doomed, dir_fd=aside)
    except FileNotFoundError:
        return
    swept.blobs += 1
    swept.size += info.st_size


def _sweep_trees(blobs: str, kept: _Kept, before: float) -> None:
    for name in _names(f"{blobs}/tree"):
        tree = f"{blobs}/tree/{name}"
        with suppress(FileNotFoundError, ValueError):
            if bytes.fromhex(name[:32]) in kept.bucket(name[:2]) or os.lstat(tree).st_mtime >= before:
                continue
            doomed = f"{blobs}/tmp/{temporary_name()}"
            if os.path.islink(tree):
                os.unlink(tree)
                continue
            os.chmod(tree, 0o700)
            os.rename(tree, doomed)
            remove_tree(doomed)


def _sweep_temporary(blobs: str) -> None:
    oldest = time.time() - STALE
    # By the descriptor of the folder: somebody may put a link to another folder in its place at any moment.
    with suppress(FileNotFoundError):
        folder = confined.enter(blobs, ("tmp",))
        try:
            for name in os.listdir(folder):
                with suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < oldest:
                        remove_inside(folder, name)
        finally:
            os.close(folder)

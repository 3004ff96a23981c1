"""Removing blobs that nothing refers to, in memory that grows by 16 bytes for each digest that is kept.

A blob that somebody stores again while it is being removed survives: storing makes it new, and what turns out
to be new after it was taken away is put back. Knows nothing of events; the caller says what to keep.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from fairway import confined
from fairway.spec.errors import CorruptArtifact
from fairway.stores import folders
from fairway.stores.durable import remove_tree, temporary_name

STALE = 86400.0
"""Seconds after which a temporary file cannot belong to anyone any more."""


class Swept(msgspec.Struct, kw_only=True):
    """What a sweep found: number of unreferenced blobs, and their bytes."""

    blobs: int = 0
    size: int = 0


class _Kept:
    """Digests, each as its first 16 bytes, in buckets by the first byte."""

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
    """Remove (with `dry`, count) blobs that are not kept and were stored before a time, and their folders.

    Args:
        before: seconds since the epoch.

    Raises:
        OSError: something could not be read or removed; what was removed until then stays removed.
    """
    kept = _Kept()
    for digest in keep:
        kept.add(digest)
        _keep_files(blobs, digest, kept)
    swept = Swept()
    for prefix in sorted(name for name in _names(blobs) if len(name) == 2):
        wanted = kept.bucket(prefix)
        for name in _names(f"{blobs}/{prefix}"):
            if len(name) == 64 and bytes.fromhex(name[:32]) not in wanted:
                _consider(blobs, f"{blobs}/{prefix}/{name}", before, dry, swept)
    if not dry:
        _sweep_trees(blobs, kept, before)
        _sweep_temporary(blobs)
    return swept


def _names(folder: str) -> list[str]:
    """What is in a folder; a link to one is refused, because what lies behind it is not the store's."""
    return os.listdir(folder) if confined.folder(folder) else []


def _keep_files(blobs: str, digest: str, kept: _Kept) -> None:
    """Keep what a manifest names. Other content that looks like a manifest only keeps more than it has to."""
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


def _consider(blobs: str, path: str, before: float, dry: bool, swept: Swept) -> None:
    try:
        info = os.lstat(path)
        if info.st_mtime >= before:
            return
        if not dry:
            doomed = f"{blobs}/tmp/{temporary_name()}"
            os.rename(path, doomed)
            if os.lstat(doomed).st_mtime != info.st_mtime:
                os.rename(doomed, path)
                return
            os.unlink(doomed)
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
    for name in _names(f"{blobs}/tmp"):
        path = f"{blobs}/tmp/{name}"
        with suppress(FileNotFoundError):
            info = os.lstat(path)
            if info.st_mtime >= oldest:
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                remove_tree(path)
            else:
                os.unlink(path)

"""The removal of blobs that nothing refers to. It needs 16 bytes of memory for each digest that is kept.

A blob that is stored again during its removal survives: storing updates its time, and the removal puts a blob back whose time
has changed. Knows nothing about events. The caller says what to keep.
"""

import os
import re
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress

import msgspec

from fairway import confined
from fairway.spec.artifact import is_digest
from fairway.spec.errors import CorruptArtifact
from fairway.stores import folders
from fairway.stores.durable import sync, temporary_name

_BUCKET = re.compile("[0-9a-f]{2}")
"""The names that a store gives to its folders. Whatever has another name beside them is not the store's."""

STALE = 86400.0
"""Age in seconds from which a temporary file counts as abandoned."""


class Swept(msgspec.Struct, kw_only=True):
    """The result of a sweep: the number of unreferenced blobs, and their bytes."""

    blobs: int = 0
    size: int = 0


class Kept:
    """A set of digests. It keeps the first 16 bytes of each, in buckets by the first byte."""

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(256)]

    def add(self, digest: str) -> None:
        """Keep a digest. Other texts are ignored."""
        with suppress(ValueError):
            short = bytes.fromhex(digest[:32])
            if len(short) == 16:
                self._buckets[short[0]] += short

    def __contains__(self, digest: str) -> bool:
        """Return true if a digest was added."""
        short, bucket = bytes.fromhex(digest[:32]), self._buckets[int(digest[:2], 16)]
        found = bucket.find(short)
        while found > 0 and found % 16:
            found = bucket.find(short, found + 1)
        return found >= 0

    def bucket(self, prefix: str) -> set[bytes]:
        """Return the shortened digests that begin with two digits."""
        data = bytes(self._buckets[int(prefix, 16)])
        return {data[at : at + 16] for at in range(0, len(data), 16)}


def sweep(root: str, keep: Iterable[str], *, before: float, dry: bool) -> Swept:
    """Remove the blobs that are not kept and were stored before a time, and the folders made from them.

    Args:
        root: the directory of the store.
        keep: digests to keep; a manifest keeps its files too.
        before: seconds since the epoch.
        dry: true to count only.

    Raises:
        OSError: a file could not be read or removed. Blobs that were removed before stay removed.
        StorageError: a folder of the store is a link, whose content does not belong to the store.
    """
    kept = Kept()
    for digest in keep:
        # A log from elsewhere may have any text here, and a text must not become a path.
        if is_digest(digest):
            kept.add(digest)
            _keep_files(root, digest, kept)
    swept = Swept()
    for prefix in sorted(buckets(root)):
        _sweep_bucket(root, prefix, kept.bucket(prefix), before, dry, swept)
    if not dry:
        _sweep_trees(root, kept, before)
        _sweep_temporary(root)
    return swept


def buckets(root: str) -> list[str]:
    """Return the names of the folders that hold blobs. Raises StorageError if their place is a link, OSError."""
    try:
        blobs = confined.enter(root, ("blobs",))
    except FileNotFoundError:
        return []
    try:
        return [name for name in os.listdir(blobs) if _BUCKET.fullmatch(name)]
    finally:
        os.close(blobs)


def _keep_files(root: str, digest: str, kept: Kept) -> None:
    """Keep the files of a manifest. Other content that looks like a manifest only keeps more than necessary."""
    try:
        with open(confined.open_below(root, f"{root}/blobs/{digest[:2]}/{digest}"), "rb") as file:
            if file.read(len(folders.PREFIX)) != folders.PREFIX:
                return
            content = folders.PREFIX + file.read()
    except FileNotFoundError:
        return
    with suppress(CorruptArtifact):
        for entry in folders.decode(content, digest).files:
            kept.add(entry.digest)


def _sweep_bucket(root: str, prefix: str, wanted: set[bytes], before: float, dry: bool, swept: Swept) -> None:
    # By descriptors: somebody may put a link to another folder in the place of a folder at any moment.
    with ExitStack() as opened:
        bucket = confined.enter(root, ("blobs", prefix))
        opened.callback(os.close, bucket)
        aside = confined.enter(root, ("blobs", "tmp"), made=sync)
        opened.callback(os.close, aside)
        for name in os.listdir(bucket):
            if is_digest(name) and bytes.fromhex(name[:32]) not in wanted:
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


def _sweep_trees(root: str, kept: Kept, before: float) -> None:
    with ExitStack() as opened:
        try:
            trees = confined.enter(root, ("blobs", "tree"))
        except FileNotFoundError:
            return
        opened.callback(os.close, trees)
        aside = confined.enter(root, ("blobs", "tmp"), made=sync)
        opened.callback(os.close, aside)
        for name in os.listdir(trees):
            with suppress(FileNotFoundError, ValueError):
                found = os.stat(name, dir_fd=trees, follow_symlinks=False)
                if bytes.fromhex(name[:32]) not in kept.bucket(name[:2]) and found.st_mtime < before:
                    folders.set_aside(trees, name, aside)


def _sweep_temporary(root: str) -> None:
    oldest = time.time() - STALE
    # By the descriptor of the folder: somebody may put a link to another folder in its place at any moment.
    with suppress(FileNotFoundError):
        folder = confined.enter(root, ("blobs", "tmp"))
        try:
            for name in os.listdir(folder):
                with suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < oldest:
                        confined.remove_inside(folder, name)
        finally:
            os.close(folder)

"""Immutable content as files, named by SHA-256. A blob is visible whole or not at all, even after a kill or a power loss.

A blob is written to a temporary file on the same file system and hashed meanwhile. Then the file is made durable, renamed to its
digest, and the directory is made durable. Knows nothing about formats or the meaning of the content.
"""

import hashlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fairway import confined
from fairway.spec.artifact import Artifact, FileEntry, is_digest, sources_of
from fairway.spec.errors import CorruptArtifact, NotFound, StorageError
from fairway.stores import folders
from fairway.stores.durable import CHUNK, HashingFile, make_folders, sync, temporary_name, write_all
from fairway.stores.faults import Explaining
from fairway.stores.layout import Layout
from fairway.stores.sweeping import Swept, buckets, sweep
from fairway.stores.unfinished import Unfinished

_MAX_CHECKED = 200_000

Handover = Callable[[str, str], None]
"""Function that hands new content on to another store. It gets the digest, and the path of the content."""


class FileArtifacts:
    """The artifacts below `blobs/` of a store. Any number of processes may use them, also after a fork.

    Args:
        root: directory of the store.
        looking: true to change nothing in the store, because it may belong to somebody else.
        hand_on: for a cache of another store: called with new content before the content becomes visible here. The other
            store makes it durable, so this one does not. If the call raises an error, nothing is stored.
    """

    def __init__(self, root: Path, *, looking: bool = False, hand_on: Handover | None = None) -> None:
        self.root = root
        self._looking = looking
        self._hand_on = hand_on
        self._layout = Layout(root)
        self._root = str(self._layout.root)
        self._blobs = str(self._layout.blobs)
        self._checked: set[str] = set()

    def put_bytes(self, data: bytes) -> str:
        """Store data durably and return its digest. Raises StorageError."""
        digest = hashlib.sha256(data).hexdigest()
        with Explaining("storing an artifact", self._blobs):
            if self._have(digest, len(data)):
                return digest
            made = self._new()
            try:
                write_all(made.fd, data)
                self._place(made, digest)
            finally:
                made.discard()
        return digest

    @contextmanager
    def writer(self) -> Generator[HashingFile, None, None]:
        """Open a file that becomes a blob when the block ends. An error in the block leaves nothing behind.

        Raises:
            StorageError: the content could not be stored.
        """
        with Explaining("storing an artifact", self._blobs):
            made = self._new()
        try:
            file = HashingFile(made.fd)
            with Explaining("storing an artifact", self._blobs):
                yield file
                # The disk works while the thread still hashes. Without this the sync would begin after the hash.
                if file.is_hashing and self._hand_on is None:
                    sync(made.fd, made.name)
                digest = file.finish()
                if not self._have(digest, file.size):
                    self._place(made, digest)
        finally:
            made.discard()

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a copy of a file and return its digest and its size in bytes.

        Raises:
            StorageError: it is not a regular file, or it cannot be read or stored.
        """
        return self._put_file(str(path), follow=True)

    def _put_file(self, path: str, *, follow: bool) -> tuple[str, int]:
        with Explaining("reading a file to store", path):
            source = folders.open_regular(path, follow=follow)
        try:
            with self.writer() as file:
                while chunk := os.read(source, CHUNK):
                    file.write(chunk)
        finally:
            os.close(source)
        return file.digest, file.size

    def put_folder(self, path: Path) -> tuple[str, int]:
        """Store every regular file below a folder. Return the digest of their manifest and their total size.

        Empty directories are not kept. Symbolic links are not followed.

        Raises:
            StorageError: the folder contains something other than files and directories, or it cannot be read or stored.
        """
        with Explaining("reading a folder to store", path):
            found = folders.scan(str(path))
        entries = [(entry, *self._put_file(entry.source, follow=False)) for entry in found]
        manifest = folders.manifest(entries)
        return self.put_bytes(folders.encode(manifest)), sum(size for _, _, size in entries)

    def open(self, artifact: Artifact, *, verified: bool = False, name: str = "") -> Path | bytes:
        """Return the content of an artifact: its bytes if they are inline, otherwise a path that must not be written to.

        Args:
            artifact: the artifact; the files of a folder lie below the path. A size below 0 stands for any size.
            verified: true to skip the check of the digest. A digest that this process has checked is not checked again.
            name: if given, the path ends in this name.

        Raises:
            CorruptArtifact: the content does not match the digest. It was moved aside, so that it can be made again.
            NotFound: the store does not have the artifact.
            StorageError: the content cannot be read.
        """
        if artifact.inline is not None:
            if not verified and artifact.digest not in self._checked:
                if hashlib.sha256(artifact.inline).hexdigest() != artifact.digest:
                    raise corrupt(artifact.digest, "its inline content does not match its digest")
                self._remember(artifact.digest)
            return artifact.inline
        with Explaining("reading an artifact", self._blobs):
            if artifact.files and self._looking:
                raise StorageError(
                    "a folder is not laid out in a store that is only looked at", hint="`fairway trust`"
                )
            if artifact.files:
                path = self._open_folder(artifact.digest, verified=verified)
            else:
                size = artifact.size if artifact.size >= 0 else None
                path = self._open_blob(artifact.digest, size, verified=verified)
            return Path(self._named(artifact.digest, path, name) if name else path)

    def exists(self, digest: str) -> bool:
        """Return true if the store has a blob. A link is none."""
        if not is_digest(digest):
            return False
        try:
            # One after the other, because a link on the way makes what is behind it no part of the store.
            folders_there = confined.folder(self._blobs) and confined.folder(f"{self._blobs}/{digest[:2]}")
            return folders_there and confined.file(self._path(digest))
        except (OSError, StorageError):
            return False

    def holds(self, artifact: Artifact) -> bool:
        """Return true if the store has all content of an artifact. Damaged content counts as missing. No content is read."""
        if artifact.code and not self.holds(sources_of(artifact)):
            return False
        if artifact.inline is not None:
            return True
        if not artifact.files:
            return self.exists(artifact.digest)
        try:
            return all(self.exists(entry.digest) for entry in self.files(artifact.digest))
        except (CorruptArtifact, NotFound):
            return False

    def renew(self, digest: str, size: int) -> bool:
        """Make a blob count as new, so that no sweep removes it. Return false if there is none of this size. It is not read."""
        return self._touch(digest, size) is not None

    def touch(self, digest: str) -> int | None:
        """Return the size of a blob, which counts as new from now on; None if there is none. It is not read."""
        return self._touch(digest, None)

    def missing(self, digests: list[str]) -> list[str]:
        """Return the digests that the store has no blob for. The others count as new from now on."""
        return [digest for digest in digests if self.touch(digest) is None]

    def _touch(self, digest: str, size: int | None) -> int | None:
        """Make a blob of this size, or of any, count as new. Return its size, or None if there is none."""
        try:
            fd = confined.open_below(self._root, self._path(digest))
        except (OSError, StorageError):
            return None
        try:
            found = os.fstat(fd).st_size
            if size is not None and found != size:
                return None
            os.utime(fd)
        except OSError:
            return None
        finally:
            os.close(fd)
        return found

    def doubt(self, digest: str) -> None:
        """Check a blob again when it is opened next, although this process has checked it."""
        self._checked.discard(digest)

    def files(self, digest: str) -> tuple[FileEntry, ...]:
        """Return the files that a manifest names.

        Raises:
            CorruptArtifact: it is damaged, or no manifest.
            NotFound: the store does not hold it.
            StorageError: it cannot be read.
        """
        with Explaining("reading an artifact", self._blobs):
            return folders.decode(self._manifest(digest), digest).files

    def size(self, digest: str) -> int:
        """Return the bytes of a blob, with the files that it names if it is a manifest; 0 if there is none."""
        try:
            with open(confined.open_below(self._root, self._path(digest)), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                is_manifest = file.read(len(folders.PREFIX)) == folders.PREFIX
            return size + (sum(entry.size for entry in self.files(digest)) if is_manifest else 0)
        except (OSError, StorageError, CorruptArtifact, NotFound):
            return 0

    def manifests(self, digests: list[str]) -> list[str]:
        """Return the digests of these whose content begins as a manifest does. Raises StorageError."""
        found: list[str] = []
        with Explaining("reading an artifact", self._blobs):
            for digest in digests:
                with (
                    suppress(FileNotFoundError),
                    open(confined.open_below(self._root, self._path(digest)), "rb") as file,
                ):
                    if file.read(len(folders.PREFIX)) == folders.PREFIX:
                        found.append(digest)
        return found

    def sweep(self, keep: Iterable[str], *, older_than: float, dry: bool) -> Swept:
        """Remove blobs that are not kept and are old enough, and temporary files older than a day.

        Args:
            keep: digests to keep; a manifest keeps its files too.
            older_than: minimum age of a removed blob in seconds.
            dry: true to count only.

        Raises:
            StorageError: a file could not be read or removed.
        """
        with Explaining("sweeping artifacts", self._blobs):
            # A blob that is removed and stored again is another file, so its digest must be checked again.
            self._checked.clear()
            return sweep(self._root, keep, before=time.time() - older_than, dry=dry)

    def damaged(self) -> Iterator[tuple[str, bool]]:
        """Read every blob and yield its digest, and true if its content does not match. No blob is moved.

        Raises:
            StorageError: a blob could not be read, or is a link.
        """
        with Explaining("checking artifacts", self._blobs):
            for prefix in sorted(buckets(self._root)):
                with confined.entered(self._root, f"{self._blobs}/{prefix}/x") as bucket:
                    names = sorted(filter(is_digest, os.listdir(bucket)))
                for digest in names:
                    with suppress(FileNotFoundError):
                        yield digest, folders.hash_below(self._root, self._path(digest)) != digest

    def _path(self, digest: str) -> str:
        return f"{self._blobs}/{digest[:2]}/{digest}"

    def _remember(self, digest: str) -> None:
        if len(self._checked) >= _MAX_CHECKED:
            self._checked.clear()
        self._checked.add(digest)

    def _bucket(self, digest: str, made: Callable[[int, str], None] | None = None) -> int:
        """Open the folder of a blob. Raises StorageError if a link is on the way, OSError."""
        return confined.enter(self._root, ("blobs", digest[:2]), made=made)

    def _have(self, digest: str, size: int) -> bool:
        """Return true if the store has the blob, whole and durable. It counts as new afterwards, so that no sweep removes it."""
        with ExitStack() as opened:
            try:
                bucket = self._bucket(digest)
                opened.callback(os.close, bucket)
                fd = confined.open_file(self._path(digest), within=bucket)
                opened.callback(os.close, fd)
            except FileNotFoundError:
                return False
            if os.fstat(fd).st_size != size:
                return False
            # Touch before checking: a sweep between the two would otherwise remove a blob that was found whole.
            with suppress(PermissionError):
                os.utime(fd)
            if digest not in self._checked:
                if folders.hash_of(fd) != digest:
                    return False
                # Another process may have renamed it a moment ago, and its name need not be durable yet.
                if self._hand_on is None:
                    sync(bucket, self._path(digest))
                self._remember(digest)
        return True

    def _new(self) -> "Unfinished":
        try:
            return Unfinished(self._root)
        except FileNotFoundError:
            make_folders(self._root)
            return Unfinished(self._root)

    def _place(self, made: "Unfinished", digest: str) -> None:
        """Make the content durable, then visible under its digest, then make its name durable. So half a blob never shows.

        A damaged blob at that path is replaced.
        """
        if self._hand_on is None:
            sync(made.fd, made.name)
        else:
            self._hand_on(digest, f"{self._blobs}/tmp/{made.name}")
        bucket = self._bucket(digest, made=sync)
        try:
            os.rename(made.name, digest, src_dir_fd=made.folder, dst_dir_fd=bucket)
            if self._hand_on is None:
                sync(bucket, self._path(digest))
        finally:
            os.close(bucket)
        self._remember(digest)

    def _open_blob(self, digest: str, size: int | None, *, verified: bool) -> str:
        path = self._path(digest)
        try:
            if not is_digest(digest):
                raise FileNotFoundError
            bucket = self._bucket(digest)
            try:
                fd = confined.open_file(path, within=bucket)
            finally:
                os.close(bucket)
        except FileNotFoundError:
            raise NotFound(
                f"artifact {digest[:12]} is not in the store {self._layout.root}",
                hint="run the pipeline again to make it again",
            ) from None
        try:
            found = os.fstat(fd).st_size
            if size is not None and found != size:
                raise self._damaged(digest, f"it has {found} bytes instead of {size}")
            if not verified and digest not in self._checked:
                if folders.hash_of(fd) != digest:
                    raise self._damaged(digest, "its content does not match its digest")
                self._remember(digest)
        finally:
            os.close(fd)
        return path

    def _damaged(self, digest: str, why: str) -> CorruptArtifact:
        """Move a damaged blob aside if possible, so that the content can be stored again. Return the error to raise."""
        with suppress(OSError, StorageError), ExitStack() as opened:
            if self._looking:
                return corrupt(digest, why)
            bucket = self._bucket(digest)
            opened.callback(os.close, bucket)
            damaged = confined.enter(self._root, ("blobs", "damaged"), made=sync)
            opened.callback(os.close, damaged)
            os.rename(digest, f"{digest}.{temporary_name()}", src_dir_fd=bucket, dst_dir_fd=damaged)
        return corrupt(digest, why)

    def _open_folder(self, digest: str, *, verified: bool) -> str:
        tree = f"{self._layout.trees}/{digest}"
        confined.below(self._root, tree)
        if (verified or digest in self._checked) and os.path.lexists(tree) and confined.folder(tree):
            return tree
        manifest = folders.decode(self._manifest(digest), digest)
        for entry in manifest.files:
            self._open_blob(entry.digest, entry.size, verified=verified)
        if not folders.matches(self._root, manifest, tree):
            folders.lay_out(self._root, manifest, digest)
        if not verified:
            self._remember(digest)
        return tree

    def _named(self, digest: str, path: str, name: str) -> str:
        """Return a link with a given name to the content, or the path of the content if no link can be made."""
        if "/" in name or name in (".", ".."):
            return path
        folder = f"{self._layout.trees}/{digest}.named"
        target = os.path.relpath(path, folder)
        with (
            suppress(OSError, ValueError),
            confined.entered(self._root, f"{folder}/{name}", made=sync) as named,
        ):
            if folders.link_target(named, name) != target:
                # Renamed into place, because something else may be there.
                fresh = temporary_name()
                os.symlink(target, fresh, dir_fd=named)
                os.rename(fresh, name, src_dir_fd=named, dst_dir_fd=named)
            os.utime(named)
            return f"{folder}/{name}"
        return path

    def _manifest(self, digest: str) -> bytes:
        self._open_blob(digest, None, verified=True)
        with open(confined.open_below(self._root, self._path(digest)), "rb") as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != digest:
            raise self._damaged(digest, "its manifest does not match its digest")
        return content


def corrupt(digest: str, why: str) -> CorruptArtifact:
    """Return the error for content that does not match its digest."""
    return CorruptArtifact(
        f"artifact {digest} is damaged: {why}",
        hint="run the pipeline again to make it again, and look for other damage with `fairway doctor`",
    )

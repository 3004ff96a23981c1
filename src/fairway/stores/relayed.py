"""The store of a pod: a cache of its own in front of the store of the control plane.

Content becomes visible in the cache only when the control plane has it, so whatever the cache holds is on record there. What the
cache lacks is fetched by digest, verified, and stored whole or not at all. Records are created at the control plane alone. Knows
nothing about formats or the meaning of the content.
"""

import os
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from fairway.spec.artifact import Artifact, FileEntry, is_digest, sources_of
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import CorruptArtifact, NotFound, StorageError
from fairway.spec.run import StepResult
from fairway.stores.blobs import FileArtifacts, corrupt
from fairway.stores.durable import HashingFile
from fairway.stores.sweeping import Swept
from fairway.stores.upstream import Pieces, Upstream

_SMALL = 1 << 16
"""Bytes that are sent without asking first. To ask costs as much as to send them."""

_KNOWN_SECONDS = 3600.0
"""Seconds for which the control plane need not be asked again for content that it had. No sweep removes it in that time."""

_MOST_KNOWN = 100_000


class Behind(Protocol):
    """The store behind a cache, which holds every blob that the cache shows."""

    @property
    def place(self) -> str:
        """Its place, for people."""
        ...

    def size(self, digest: str) -> int | None:
        """Return the size of a blob, which no sweep removes for a while; None if there is none."""
        ...

    def missing(self, digests: list[str]) -> list[str]:
        """Return the digests that there is no blob for."""
        ...

    def put(self, digest: str, path: str) -> None:
        """Store the content of a file under its digest."""
        ...

    def get(self, digest: str, take: Callable[[Pieces], None], *, check: bool = False) -> bool:
        """Pass the content of a blob to `take`, which may be called again. Return false without a blob."""
        ...


class RelayedArtifacts:
    """The artifacts of another store, with those that were used here in a cache below `root`.

    Args:
        root: directory of the cache. Any number of processes of the pod may use it, also after a fork.
        upstream: the other store, such as that of a control plane.
    """

    def __init__(self, root: Path, upstream: Behind) -> None:
        self.root = root
        self._cache = FileArtifacts(root, hand_on=self._hand_on)
        self._upstream = upstream
        self._fetching: set[str] = set()
        self._known: dict[str, float] = {}

    def put_bytes(self, data: bytes) -> str:
        """Store data and return its digest once the control plane has it. Raises StorageError."""
        digest = self._cache.put_bytes(data)
        self._ensure(digest)
        return digest

    @contextmanager
    def writer(self) -> Generator[HashingFile, None, None]:
        """Open a file that becomes a blob when the block ends. An error in the block leaves nothing behind.

        Raises:
            StorageError: the content could not be stored.
        """
        with self._cache.writer() as file:
            yield file
        self._ensure(file.digest)

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a copy of a file and return its digest and its size in bytes. Raises StorageError."""
        digest, size = self._cache.put_file(path)
        self._ensure(digest)
        return digest, size

    def put_folder(self, path: Path) -> tuple[str, int]:
        """Store every regular file below a folder. Return the digest of their manifest and their total size.

        Raises:
            StorageError: the folder contains something other than files and directories, or it cannot be read or stored.
        """
        digest, size = self._cache.put_folder(path)
        self._ensure(digest, *(entry.digest for entry in self._cache.files(digest)))
        return digest, size

    def open(self, artifact: Artifact, *, verified: bool = False, name: str = "") -> Path | bytes:
        """Return the content of an artifact, from the cache or from the control plane.

        Args:
            artifact: the artifact; the files of a folder lie below the path.
            verified: true to skip the check of the digest of content in the cache. Content that is fetched is always checked.
            name: if given, the path ends in this name.

        Raises:
            CorruptArtifact: the content does not match the digest.
            NotFound: neither store has the artifact.
            StorageError: the content cannot be read.
        """
        if artifact.inline is None:
            self._fetch_all(artifact)
        try:
            return self._cache.open(artifact, verified=verified, name=name)
        except CorruptArtifact:
            if artifact.inline is not None:
                raise
            # The cache has moved its damaged copy aside. The control plane may have a good one.
            self._fetch_all(artifact)
            return self._cache.open(artifact, verified=verified, name=name)

    def exists(self, digest: str) -> bool:
        """Return true if the control plane has a blob."""
        return self._cache.exists(digest) or (is_digest(digest) and self._asked(digest) is not None)

    def holds(self, artifact: Artifact) -> bool:
        """Return true if the control plane has all content of an artifact. No content is read, but manifests of folders are."""
        if artifact.code and not self.holds(sources_of(artifact)):
            return False
        if artifact.inline is not None:
            return True
        if not artifact.files:
            return self.exists(artifact.digest)
        try:
            wanted = {entry.digest for entry in self.files(artifact.digest)}
        except (CorruptArtifact, NotFound):
            return False
        unknown = sorted(digest for digest in wanted if not self._cache.exists(digest))
        return not unknown or not self._upstream.missing(unknown)

    def renew(self, digest: str, size: int) -> bool:
        """Make a blob count as new at the control plane. Return false if there is none of this size."""
        self._cache.renew(digest, size)
        return is_digest(digest) and self._asked(digest) == size

    def files(self, digest: str) -> tuple[FileEntry, ...]:
        """Return the files that a manifest names. Raises CorruptArtifact, NotFound, StorageError."""
        self._fetch(digest)
        return self._cache.files(digest)

    def size(self, digest: str) -> int:
        """Return the bytes of a blob, with the files that it names if it is a manifest that was fetched; 0 if there is none."""
        return self._cache.size(digest) or (self._asked(digest) if is_digest(digest) else None) or 0

    def sweep(self, keep: Iterable[str], *, older_than: float, dry: bool) -> Swept:
        """Remove blobs from the cache that are not kept and are old enough. The control plane keeps its own.

        Raises:
            StorageError: a file could not be read or removed.
        """
        return self._cache.sweep(keep, older_than=older_than, dry=dry)

    def _hand_on(self, digest: str, path: str) -> None:
        """Send content to the control plane before the cache shows it."""
        if digest in self._fetching:
            return
        if os.stat(path).st_size <= _SMALL or self._asked(digest) is None:
            self._upstream.put(digest, path)
        self._remember(digest)

    def _ensure(self, *digests: str) -> None:
        """Send content again that the cache has had for long, if the control plane has removed it meanwhile."""
        now = time.monotonic()
        old = [
            digest
            for digest in dict.fromkeys(digests)
            if self._known.get(digest, -1e9) < now - _KNOWN_SECONDS
        ]
        for digest in self._upstream.missing(old) if old else ():
            found = Artifact(format="", digest=digest, size=self._cache.touch(digest) or 0)
            self._upstream.put(digest, str(self._cache.open(found)))
        for digest in old:
            self._remember(digest)

    def _asked(self, digest: str) -> int | None:
        size = self._upstream.size(digest)
        if size is not None:
            self._remember(digest)
        return size

    def _remember(self, digest: str) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[digest] = time.monotonic()

    def _fetch_all(self, artifact: Artifact) -> None:
        self._fetch(artifact.digest)
        if artifact.files:
            for entry in self._cache.files(artifact.digest):
                self._fetch(entry.digest)

    def _fetch(self, digest: str) -> None:
        """Put a blob of the control plane into the cache if it is not there. Raises CorruptArtifact, NotFound, StorageError."""
        if not is_digest(digest) or self._cache.exists(digest):
            return

        def take(content: Pieces) -> None:
            with self._cache.writer() as file:
                for piece in content.pieces():
                    file.write(piece)
                # Ended here, so that content that is not what was asked for never gets a name.
                if file.finish() != digest:
                    raise corrupt(digest, f"{self._upstream.place} sent other content")

        self._fetching.add(digest)
        try:
            found = self._upstream.get(digest, take)
        except CorruptArtifact:
            # The control plane reads its copy once more and moves it aside if it is damaged, so that it can be made again.
            found = self._upstream.get(digest, take, check=True)
        finally:
            self._fetching.discard(digest)
        if not found:
            raise NotFound(
                f"artifact {digest[:12]} is not in the store of {self._upstream.place}",
                hint="run the pipeline again to make it again",
            )


class RelayedResults:
    """The records of attempts at a control plane. It creates each one once, and the first one counts."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    def prepare(self, run: str) -> None:
        """Load what a commit needs, so that processes forked from here need not. No connection is opened."""
        self._upstream.prepare()

    def commit(self, result: StepResult) -> bool:
        """Create a record. Return false if the attempt already has one.

        Raises:
            StorageError: the record could not be stored.
        """
        names = (result.run, result.step, result.attempt)
        created, repeated = self._upstream.create(names, msgspec.json.encode(result))
        # The answer to an earlier try may have been lost, and then the record that was there is this one.
        return created or (repeated and self.read(*names) == result)

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        """Return the record of an attempt; None if there is none. Raises StorageError."""
        content = self._upstream.record((run, step, attempt))
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=StepResult)
        except UNREADABLE as error:
            raise StorageError(
                f"the record of {step}.{attempt} of run {run} cannot be read: {error}",
                hint="the control plane and this pod are of different versions: start the run again",
            ) from None

"""Artifacts in object storage, with those that were used lately in a cache on the volume.

Content becomes visible here only once the bucket has it, and is compared with its digest on both ways. Its key is its digest, so
two writers of one key write the same bytes. One process uses a prefix of a bucket, and this module is its only writer. Knows
nothing about formats or the meaning of the content.
"""

import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from fairway.spec.artifact import is_digest
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError
from fairway.spec.objects import ObjectPlace
from fairway.stores import folders
from fairway.stores.blobs import corrupt
from fairway.stores.bucket import PIECE, Bucket, Held
from fairway.stores.durable import make_folders
from fairway.stores.faults import Explaining
from fairway.stores.refusals import StoreUnreachable
from fairway.stores.relayed import RelayedArtifacts
from fairway.stores.sweeping import Kept, Swept, buckets

MARKER = "fairway.json"
"""Key of the object that says whose prefix it is. It is there as long as the bucket is."""

BLOBS = "blobs/"

_MEMO_SECONDS = 900.0
"""Seconds for which the bucket is not asked again for content that it had."""

_MOST_MEMOS = 200_000
_SURE_SECONDS = 5.0
"""Seconds for which a bucket that was there counts as there."""

_ASKED_AT_ONCE = 16
_DELETED_AT_ONCE = 500
_IN_USE_SECONDS = 600.0
"""Seconds after its last use in which content stays in the cache, because somebody may be reading it."""

_FILLED = 0.75
"""Part of the cache that stays filled when it is made smaller."""


class Marker(msgspec.Struct):
    """The content of the marker: the uid of the installation that the prefix belongs to."""

    install: str


class Pieces:
    """The content of a blob on its way here."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def pieces(self) -> Iterator[bytes]:
        """Yield the content."""
        return self._pieces


class BlobObjects:
    """The blobs below a prefix of a bucket, for a cache in front of it.

    Args:
        bucket: the prefix.
        owner: the uid of the installation.
        marks: folder of the volume with a file for each blob that was used again. Its time counts against a sweep, as the time
            of an object cannot be changed.
        moved: called with the size of content that went through the cache.
    """

    def __init__(self, bucket: Bucket, owner: str, marks: Path, moved: Callable[[int], None]) -> None:
        self._bucket = bucket
        self._owner = owner
        self._marks = str(marks)
        self._moved = moved
        self._gate = threading.Lock()
        self._in_use: Counter[str] = Counter()
        self._memos: dict[str, tuple[int, float]] = {}
        self._sure = -1e9
        self._asking = ThreadPoolExecutor(_ASKED_AT_ONCE, "bucket")

    @property
    def place(self) -> str:
        """The place of the bucket, for people."""
        return self._bucket.place.name

    def size(self, digest: str) -> int | None:
        """Return the size of a blob, which no sweep removes from now on; None if there is none. Raises StorageError."""
        size, known = self._memos.get(digest, (0, -1e9))
        if known > time.monotonic() - _MEMO_SECONDS:
            return size
        with self._using(digest):
            found = self._bucket.find(key_of(digest))
            if found is None:
                self.be_sure()
                return None
            self._mark(digest)
            self._remember(digest, found.size)
            return found.size

    def missing(self, digests: list[str]) -> list[str]:
        """Return the digests that the bucket has no blob for. Raises StorageError."""
        sizes = self._asking.map(self.size, digests)
        return [digest for digest, size in zip(digests, sizes, strict=True) if size is None]

    def put(self, digest: str, path: str) -> None:
        """Store the content of a file under its digest. Raises StorageError, CorruptArtifact if it has another one."""
        with Explaining("reading content to store", path):
            size = os.stat(path).st_size
        with self._using(digest):
            if size <= PIECE:
                with Explaining("reading content to store", path):
                    data = Path(path).read_bytes()
                if hashlib.sha256(data).hexdigest() != digest:
                    raise corrupt(digest, "the file on the volume was changed")
                if not self._create(digest, data):
                    self._mark(digest)
            else:
                self._bucket.put_pieces(key_of(digest), size, _checked(digest, path))
            self._remember(digest, size)
        self._moved(size)

    def get(self, digest: str, take: Callable[[Pieces], None], *, check: bool = False) -> bool:
        """Pass the content of a blob to `take`. Return false without a blob.

        Args:
            check: true after content that did not match its digest. If it does not match again, it is deleted, so that the
                content can be stored again.

        Raises:
            CorruptArtifact: the content does not match its digest.
            StorageError: the bucket cannot be read.
        """
        size = self.size(digest)
        if size is None:
            return False
        if check and not self._is_whole(digest, size):
            self.forget([digest])
            self._bucket.delete([key_of(digest)])
            raise corrupt(digest, f"its content at {self.place} does not match its digest")
        take(Pieces(self._bucket.pieces(key_of(digest), size)))
        self._moved(size)
        return True

    def beginning(self, digest: str) -> bytes:
        """Return the first bytes of a blob, as many as tell a manifest from other content. Raises StorageError."""
        return self._bucket.beginning(key_of(digest), len(folders.PREFIX))

    def sweep(self, kept: Kept, *, older_than: float, dry: bool) -> Swept:
        """Delete blobs that are not kept and were not used for `older_than` seconds. Raises StorageError."""
        before = time.time() - older_than
        before_there = self._now_there() - older_than
        swept, doomed = Swept(), list[Held]()
        for held in self._bucket.listed(BLOBS):
            digest = held.key.rpartition("/")[2]
            if not is_digest(digest) or digest in kept or held.written >= before_there:
                continue
            if self._marked(digest) >= before:
                continue
            doomed.append(held)
            if len(doomed) == _DELETED_AT_ONCE:
                self._delete(doomed, before, swept, dry=dry)
                doomed = []
        self._delete(doomed, before, swept, dry=dry)
        return swept

    def forget(self, digests: Iterable[str]) -> None:
        """Ask the bucket again for these blobs when they are needed next."""
        for digest in digests:
            self._memos.pop(digest, None)

    def be_sure(self) -> None:
        """Raise BucketGone if the bucket is gone: an object that is not there is no reason to think that it never was."""
        if time.monotonic() - self._sure > _SURE_SECONDS:
            self.check_owner()
            self._sure = time.monotonic()

    def check_owner(self) -> None:
        """Refuse to go on with a prefix that is not there any more, or that another installation has taken over."""
        found = owner_of(self._bucket)
        if not found:
            raise StoreUnreachable(
                f"{self.place} does not hold the artifacts of this installation any more: {MARKER} is gone",
                hint="restore the objects, or install again with an empty volume",
            )
        if found != self._owner:
            raise StorageError(
                f"{self.place} belongs to another installation now ({found[:8]})",
                hint="uninstall one of them: `fairway uninstall`",
            )

    def _create(self, digest: str, data: bytes) -> bool:
        """Write a small blob. Return false if there is one of that size already."""
        if self._bucket.create(key_of(digest), data):
            return True
        found = self._bucket.find(key_of(digest))
        if found is None or found.size != len(data):
            self._bucket.put(key_of(digest), data)
            return True
        return False

    def _is_whole(self, digest: str, size: int) -> bool:
        found = hashlib.sha256()
        for piece in self._bucket.pieces(key_of(digest), size):
            found.update(piece)
        return found.hexdigest() == digest

    def _remember(self, digest: str, size: int) -> None:
        if len(self._memos) >= _MOST_MEMOS:
            self._memos.clear()
        self._memos[digest] = size, time.monotonic()

    @contextmanager
    def _using(self, digest: str) -> Generator[None, None, None]:
        """Keep a blob from being swept while it is asked for or written."""
        with self._gate:
            self._in_use[digest] += 1
        try:
            yield
        finally:
            with self._gate:
                self._in_use[digest] -= 1
                if not self._in_use[digest]:
                    del self._in_use[digest]

    def _mark(self, digest: str) -> None:
        """Put on the volume that a blob was used now."""
        path = f"{self._marks}/{digest[:2]}/{digest}"
        with Explaining("noting the use of an artifact", path):
            try:
                os.utime(path)
            except FileNotFoundError:
                make_folders(os.path.dirname(path))
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
                os.utime(path)

    def _marked(self, digest: str) -> float:
        try:
            return os.stat(f"{self._marks}/{digest[:2]}/{digest}").st_mtime
        except OSError:
            return 0.0

    def _delete(self, doomed: list[Held], before: float, swept: Swept, *, dry: bool) -> None:
        digests = {held.key.rpartition("/")[2]: held for held in doomed}
        # Under the gate: whoever asks for a blob afterwards finds it gone, and whoever asked before has marked it.
        with self._gate:
            going = {
                digest: held
                for digest, held in digests.items()
                if digest not in self._in_use and self._marked(digest) < before
            }
            if going and not dry:
                self.forget(going)
                self._bucket.delete([held.key for held in going.values()])
        for digest, held in going.items():
            swept.blobs += 1
            swept.size += held.size
            if not dry:
                with suppress(OSError):
                    os.unlink(f"{self._marks}/{digest[:2]}/{digest}")

    def _now_there(self) -> float:
        """Return the time by the clock of the store, which need not be the time here."""
        key = f"clock/{os.urandom(8).hex()}"
        self._bucket.put(key, b"")
        found = self._bucket.find(key)
        self._bucket.delete([key])
        return found.written if found is not None else time.time()


class ObjectArtifacts(RelayedArtifacts):
    """The artifacts of an installation in object storage.

    Args:
        root: directory of the cache, which is the store on the volume.
        place: the place in object storage.
        owner: the uid of the installation.
        limit: the bytes that the cache may hold, about.
    """

    def __init__(self, root: Path, place: ObjectPlace, owner: str, limit: int) -> None:
        self.bucket = Bucket(place)
        self.owner = owner
        self._objects = BlobObjects(self.bucket, owner, root / "marks", self._grew)
        super().__init__(root, self._objects)
        self._limit = limit
        self._grown = limit
        self._trimming = threading.Lock()

    def touch(self, digest: str) -> int | None:
        """Return the size of a blob, which counts as new from now on; None if there is none. Raises StorageError."""
        self._cache.touch(digest)
        return self._objects.size(digest) if is_digest(digest) else None

    def size(self, digest: str) -> int:
        """Return the bytes of a blob; 0 if there is none. Raises StorageError."""
        return (self._objects.size(digest) if is_digest(digest) else None) or 0

    def missing(self, digests: list[str]) -> list[str]:
        """Return the digests that there is no blob for. The others count as new from now on. Raises StorageError."""
        asked = [digest for digest in digests if is_digest(digest)]
        wrong = [digest for digest in digests if not is_digest(digest)]
        return wrong + self._objects.missing(asked)

    def doubt(self, digest: str) -> None:
        """Check a blob of the cache again when it is opened next."""
        self._cache.doubt(digest)

    def sweep(self, keep: Iterable[str], *, older_than: float, dry: bool) -> Swept:
        """Delete blobs from the bucket that are not kept and are old enough, and then from the cache.

        Args:
            keep: digests to keep; a manifest keeps its files too.
            older_than: seconds since a deleted blob was used.
            dry: true to count only.

        Raises:
            StorageError: the bucket cannot be listed or changed. Blobs that were deleted before stay deleted.
        """
        self.check_owner()
        wanted = list(dict.fromkeys(filter(is_digest, keep)))
        kept = Kept()
        for digest in wanted:
            kept.add(digest)
        for digest in self.manifests(wanted):
            for entry in self.files(digest):
                kept.add(entry.digest)
        swept = self._objects.sweep(kept, older_than=older_than, dry=dry)
        if not dry:
            self._known.clear()
            self._cache.sweep(wanted, older_than=older_than, dry=False)
        return swept

    def check_owner(self) -> None:
        """Refuse to go on with a place that is gone, or that another installation has taken over. Raises StorageError."""
        self._objects.check_owner()

    def damaged(self) -> Iterator[tuple[str, bool]]:
        """Read every blob of the bucket, and yield its digest, and true if its content does not match. Raises StorageError."""
        for held in self.bucket.listed(BLOBS):
            found = hashlib.sha256()
            for piece in self.bucket.pieces(held.key, held.size):
                found.update(piece)
            digest = held.key.rpartition("/")[2]
            yield digest, found.hexdigest() != digest

    def take_over(self, say: Callable[[str], None]) -> int:
        """Send the blobs that a volume without object storage holds, and return their number. Raises StorageError."""
        moved = 0
        for _, _, digest in self._cached():
            if self._objects.size(digest) is None:
                self._objects.put(digest, f"{self.root}/{BLOBS}{digest[:2]}/{digest}")
            moved += 1
            if moved % 1000 == 0:
                say(f"{moved} artifacts of the volume are at {self._objects.place}")
        return moved

    def trim(self) -> None:
        """Remove what was used longest ago from the cache, until it holds less than its limit. Raises StorageError."""
        found = sorted(self._cached(), reverse=True)
        if sum(size for _, size, _ in found) <= self._limit:
            return
        keep, left = list[str](), self._limit * _FILLED
        for _, size, digest in found:
            left -= size
            if left < 0:
                break
            keep.append(digest)
        self._cache.sweep(keep, older_than=_IN_USE_SECONDS, dry=False)

    def manifests(self, digests: list[str]) -> list[str]:
        """Return the digests of these whose content begins as a manifest does. Raises StorageError."""

        def begins(digest: str) -> bool:
            path = f"{self.root}/{BLOBS}{digest[:2]}/{digest}"
            try:
                with open(path, "rb") as file:
                    return file.read(len(folders.PREFIX)) == folders.PREFIX
            except FileNotFoundError:
                return self._objects.beginning(digest) == folders.PREFIX

        with ThreadPoolExecutor(_ASKED_AT_ONCE, "manifests") as threads:
            return [
                digest for digest, found in zip(digests, threads.map(begins, digests), strict=True) if found
            ]

    def _grew(self, size: int) -> None:
        """Take note of content that came into the cache, and make it smaller from time to time."""
        self._grown += size
        if self._grown < self._limit // 10 or not self._trimming.acquire(blocking=False):
            return
        try:
            self._grown = 0
            # The next content tries again, and a full disk is told where something is stored.
            with suppress(StorageError):
                self.trim()
        finally:
            self._trimming.release()

    def _cached(self) -> Iterator[tuple[float, int, str]]:
        """Yield time, size and digest of every blob of the cache."""
        root = str(self.root)
        with Explaining("reading the cache of artifacts", root):
            for prefix in buckets(root):
                for entry in os.scandir(f"{root}/{BLOBS}{prefix}"):
                    with suppress(FileNotFoundError):
                        if is_digest(entry.name):
                            info = entry.stat(follow_symlinks=False)
                            yield info.st_mtime, info.st_size, entry.name


def owner_of(bucket: Bucket) -> str:
    """Return the uid of the installation that a prefix belongs to; empty without one. Raises StorageError."""
    content = bucket.read(MARKER)
    if content is None:
        return ""
    try:
        return msgspec.json.decode(content, type=Marker).install
    except UNREADABLE:
        return "unknown"


def key_of(digest: str) -> str:
    """Return the key of a blob."""
    return f"{BLOBS}{digest[:2]}/{digest}"


def _checked(digest: str, path: str) -> Iterator[bytes]:
    """Yield the content of a file. Raises CorruptArtifact at its end if it has another digest, OSError."""
    found = hashlib.sha256()
    with Explaining("reading content to store", path), open(path, "rb") as file:
        while piece := file.read(PIECE):
            found.update(piece)
            yield piece
    if found.hexdigest() != digest:
        raise corrupt(digest, "the file on the volume was changed")

"""The seam of a store of artifacts, for all who keep content or read it."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fairway.spec.artifact import Artifact, FileEntry

if TYPE_CHECKING:
    pass


class ArtifactStore(Protocol):
    """A store of immutable content by SHA-256, written whole or not at all. It is safe under any number of processes."""

    def put_bytes(self, data: bytes) -> str:
        """Store `data` and return its digest once it is durable."""
        ...

    def writer(self) -> AbstractContextManager["BlobWriter"]:
        """Open a file that is hashed while it is written. It becomes a blob when the block ends without an error."""
        ...

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a copy of a file and return digest and size."""
        ...

    def put_folder(self, path: Path) -> tuple[str, int]:
        """Store every regular file below `path` and their manifest. Return the manifest's digest and the total size."""
        ...

    def open(self, artifact: Artifact, *, verified: bool = False, name: str = "") -> Path | bytes:
        """Return the content: inline bytes, or a path that must not be written to. A folder's files lie below the path.

        The path ends in `name`, if given. The digest is checked unless `verified`, or unless this process has checked
        it before. Raises CorruptArtifact, NotFound.
        """
        ...

    def exists(self, digest: str) -> bool:
        """Tell whether the store holds a blob."""
        ...

    def holds(self, artifact: Artifact) -> bool:
        """Tell whether the store holds all content of an artifact, without reading it. Content found damaged does not count."""
        ...

    def renew(self, digest: str, size: int) -> bool:
        """Make a blob count as new, so that no sweep removes it. Return False if there is none of this size."""
        ...

    def files(self, digest: str) -> tuple[FileEntry, ...]:
        """Return the files that a manifest names. Raises CorruptArtifact, NotFound."""
        ...

    def size(self, digest: str) -> int:
        """Return the bytes of a blob, with the files that it names if it is a manifest; 0 if there is none."""
        ...

    def sweep(self, keep: Iterable[str], *, older_than: float, dry: bool) -> "Swept":
        """Remove blobs that are not in `keep` and are older than `older_than` seconds. Kept manifests keep their files."""
        ...


class BlobWriter(Protocol):
    """A binary file for writing that knows its digest once its block has ended.

    It is an `io.IOBase` at run time. `BinaryIO` is no protocol, so a type checker needs a cast if a `BinaryIO` is wanted.
    """

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Add bytes and return their number. All of them are taken."""
        ...

    def tell(self) -> int:
        """Return the number of bytes written so far. The file cannot seek."""
        ...

    def flush(self) -> None:
        """Do nothing, because the content counts only once the block has ended."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the written content, in hex."""
        ...

    @property
    def size(self) -> int:
        """Number of bytes written."""
        ...


class Swept(Protocol):
    """The result of a sweep: the number of unreferenced blobs, and their bytes."""

    blobs: int
    size: int

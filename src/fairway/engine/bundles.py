"""Bundles: the source files of a run's project in the artifact store, each bundle named by its digest.

A bundle is a folder artifact: a list of paths, modes, sizes and digests, and a blob for each file. The bundle is on record
with the run, so that the run can show its code later. This module knows only the files and stores that it is given.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from fairway.ports import ArtifactStore
from fairway.spec.artifact import Artifact, FileEntry, Manifest
from fairway.spec.errors import CorruptArtifact, NotFound
from fairway.spec.project import SourceFile


def keep(files: Sequence[SourceFile], store: ArtifactStore) -> str:
    """Store the files that the store does not hold yet. Return the digest of the bundle, empty without any file.

    Files that the store holds are checked only by name and size, so that a run whose code has not changed begins at once.
    A file that holds a secret, or that changed since it was described, is named in the bundle but not stored.

    Raises:
        StorageError: the store cannot be written.
    """
    if not files:
        return ""
    for file in files:
        if not file.secret and not store.renew(file.digest, file.size):
            content = _content(file)
            if content is not None:
                store.put_bytes(content)
    # Write the list last, so that a durable list proves that the files that it names are durable.
    listed = encode(files)
    digest = digest_of(files)
    return digest if store.renew(digest, len(listed)) else store.put_bytes(listed)


def keep_content(content: bytes, store: ArtifactStore) -> Artifact:
    """Store a text that belongs to the record of a run, if the store does not hold it yet. Raises StorageError."""
    digest = hashlib.sha256(content).hexdigest()
    if not store.renew(digest, len(content)):
        store.put_bytes(content)
    return Artifact(format="file", digest=digest, size=len(content), kind="text")


def digest_of(files: Sequence[SourceFile]) -> str:
    """Return the digest of the bundle of these files; empty without any file."""
    return hashlib.sha256(encode(files)).hexdigest() if files else ""


def encode(files: Sequence[SourceFile]) -> bytes:
    """Encode the list of a bundle's files as it is stored."""
    entries = tuple(
        FileEntry(path=file.path, digest=file.digest, size=file.size, executable=file.executable)
        for file in files
    )
    return msgspec.json.encode(Manifest(files=entries))


def texts(bundle: str, store: ArtifactStore) -> dict[str, str | None]:
    """Return the text of each file of a bundle by path; None for a file that is not kept.

    Raises:
        NotFound: the store does not hold the list of the files.
        CorruptArtifact: the list is damaged.
    """
    return {entry.path: _text(entry, store) for entry in store.files(bundle)}


def changed(before: str, after: str, store: ArtifactStore) -> list[str]:
    """Return the paths of the files that differ between two bundles; empty where a list is not kept."""
    with suppress(NotFound, CorruptArtifact):
        old, new = ({entry.path: entry.digest for entry in store.files(one)} for one in (before, after))
        return sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    return []


def _content(file: SourceFile) -> bytes | None:
    with suppress(OSError):
        content = Path(file.place).read_bytes()
        if hashlib.sha256(content).hexdigest() == file.digest:
            return content
    return None


def _text(entry: FileEntry, store: ArtifactStore) -> str | None:
    with suppress(NotFound, CorruptArtifact):
        content = store.open(Artifact(format="file", digest=entry.digest, size=entry.size))
        return (content if isinstance(content, bytes) else content.read_bytes()).decode(errors="replace")
    return None

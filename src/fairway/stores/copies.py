"""The files of a store that is in use, listed and read in pieces for a copy of it.

The log is kept first. Content is stored before its event, so what is listed afterwards contains all that the log refers to.
"""

import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

from fairway import confined
from fairway.spec.artifact import Artifact, is_digest
from fairway.spec.errors import NotFound
from fairway.spec.upkeep import DATABASE, Part, Snapshot
from fairway.stores import copying
from fairway.stores.blobs import FileArtifacts
from fairway.stores.durable import make_folders
from fairway.stores.faults import Explaining
from fairway.stores.layout import Layout
from fairway.stores.metadata import SqliteMetadata
from fairway.stores.objects import ObjectArtifacts

_PIECE = 8 * 2**20
_KEPT_SECONDS = 3600.0
_NAME = re.compile("[0-9a-f]{16}")


class StoreCopies:
    """The parts of a store, wherever its artifacts are."""

    def __init__(
        self, layout: Layout, metadata: SqliteMetadata, artifacts: FileArtifacts | ObjectArtifacts
    ) -> None:
        self._layout = layout
        self._root = str(layout.root)
        self._metadata = metadata
        self._artifacts = artifacts

    def take(self) -> Snapshot:
        """Keep the log as it is now, and list it with all that it refers to. Raises StorageError."""
        name = secrets.token_hex(8)
        path = self._log(name)
        make_folders(str(self._layout.temporary))
        self._remove_old()
        self._metadata.backup(path)
        with Explaining("listing the store for a copy", self._root):
            os.chmod(path, confined.PRIVATE_FILE)
            listed = [Part(DATABASE, path.stat().st_size)]
            for part in copying.parts(self._layout.root):
                if not part.startswith("blobs/"):
                    with suppress(FileNotFoundError):
                        listed.append(Part(part, os.stat(f"{self._root}/{part}").st_size))
        return Snapshot(name=name, parts=listed + self._blobs())

    def read(self, name: str, path: str, offset: int) -> bytes:
        """Return a piece of a part of a snapshot; nothing at its end. Raises NotFound, StorageError."""
        if not _NAME.fullmatch(name) or not (path == DATABASE or copying.is_part(path)):
            raise NotFound(f"no copy has a part {path[:80]!r}")
        digest = path.rpartition("/")[2] if path.startswith("blobs/") else ""
        if digest:
            found = self._artifacts.open(Artifact(format="file", digest=digest, size=self._size(digest)))
            place = str(found)
        else:
            place = str(self._log(name)) if path == DATABASE else f"{self._root}/{path}"
        with Explaining("reading the store for a copy", place):
            try:
                fd = confined.open_below(self._root, place)
            except FileNotFoundError:
                raise NotFound(
                    f"the part {path} is not there any more", hint="begin the backup again"
                ) from None
            try:
                return os.pread(fd, _PIECE, offset)
            finally:
                os.close(fd)

    def _blobs(self) -> list[Part]:
        """Return every blob that the log refers to. One that is not there any more is left out."""
        wanted = dict.fromkeys(filter(is_digest, self._metadata.digests()))
        for digest in self._artifacts.manifests(list(wanted)):
            wanted.update(dict.fromkeys(entry.digest for entry in self._artifacts.files(digest)))
        gone = set(self._artifacts.missing(list(wanted)))
        return [
            Part(f"blobs/{digest[:2]}/{digest}", self._size(digest))
            for digest in wanted
            if digest not in gone
        ]

    def _size(self, digest: str) -> int:
        size = self._artifacts.touch(digest)
        if size is None:
            raise NotFound(
                f"artifact {digest[:12]} is not in the store", hint="run the pipeline again to make it again"
            )
        return size

    def _log(self, name: str) -> Path:
        return self._layout.temporary / f"backup-{name}.db"

    def _remove_old(self) -> None:
        oldest = time.time() - _KEPT_SECONDS
        with Explaining("removing an earlier copy", self._root):
            for old in self._layout.temporary.glob("backup-*.db"):
                with suppress(FileNotFoundError):
                    if old.stat().st_mtime < oldest:
                        old.unlink()

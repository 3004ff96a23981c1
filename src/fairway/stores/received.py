"""A backup that is written from pieces that another machine sends.

The sender names the parts, so a name that no backup has is refused: nothing is written outside the folder.
"""

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fairway import confined
from fairway.spec.errors import CorruptArtifact, StorageError, UsageError
from fairway.spec.upkeep import DATABASE
from fairway.stores import copying
from fairway.stores.durable import make_folders, remove_tree, sync, sync_folder, write_all
from fairway.stores.faults import Explaining


class PartFile:
    """A part that is being written, and the SHA-256 of what was written so far."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = 0
        self.found = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Add a piece. Raises OSError."""
        write_all(self._fd, data)
        self.found.update(data)
        self.size += len(data)


class ReceivedBackup:
    """A backup in a new folder. It has a list of its parts only once it is complete.

    Raises:
        UsageError: the folder exists already.
        StorageError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[str, str] = {}
        with Explaining("writing a backup", folder):
            make_folders(str(folder.absolute().parent))
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                raise UsageError(f"{folder} exists already", hint="name a new folder") from None

    @contextmanager
    def part(self, path: str) -> Generator[PartFile, None, None]:
        """Open a part for writing. It is durable when the block ends.

        Raises:
            CorruptArtifact: the content of a blob does not match its digest.
            StorageError: no backup has such a part, or it cannot be written.
        """
        if path != DATABASE and not copying.is_part(path):
            raise StorageError(f"the sender names {path[:80]!r}, which no backup holds", hint="do not use it")
        place = str(self._folder / path)
        with Explaining("writing a backup", place):
            make_folders(os.path.dirname(os.path.abspath(place)))
            fd = confined.open_file(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                file = PartFile(fd)
                yield file
                digest = file.found.hexdigest()
                blob = path.startswith("blobs/")
                if blob and digest != path.rpartition("/")[2]:
                    raise CorruptArtifact(
                        f"artifact {path.rpartition('/')[2][:12]} was changed on its way", hint="begin again"
                    )
                os.fchmod(fd, 0o400 if blob else confined.PRIVATE_FILE)
                sync(fd, place)
            finally:
                os.close(fd)
        if path != DATABASE:
            self._digests[path] = digest

    def complete(self) -> None:
        """Write the list of the parts, with which the folder is a backup. Raises StorageError."""
        with Explaining("writing a backup", self._folder):
            copying.write(
                self._folder / copying.LIST, msgspec.json.encode(copying.Listed(files=self._digests))
            )
            sync_folder(str(self._folder))

    def remove(self) -> None:
        """Remove what was written."""
        with Explaining("removing an incomplete backup", self._folder):
            remove_tree(str(self._folder))

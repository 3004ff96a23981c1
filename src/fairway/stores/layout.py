"""The paths inside a store's directory, and the check that the directory may be used.

Knows names and the file system, and not what the files contain.
"""

import fcntl
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import StorageError, UsageError
from fairway.stores import ownership
from fairway.stores.durable import make_folders, sync, sync_folder, temporary_name, write_all
from fairway.stores.faults import Explaining, explain

FORMAT = 1
_NETWORK = re.compile(
    r"nfs\d*|cifs|smb\d*|smbfs|afs|ncpfs|fuse\.(sshfs|s3fs|rclone|gcsfuse|blobfuse2?|goofys)"
)
_MAX_NAME = 180
_NOT_FOR_ARCHIVES = b"Signature: 8a477f597d28d172789f06886806bc55\n# Tokens of this machine. Archivers leave this folder out.\n"
"""The mark of a cache directory (https://bford.info/cachedir/), which many backup programs leave out."""


class Layout:
    """The paths of one store. `root` is usually the folder `.fairway` of a project."""

    __slots__ = ("root",)

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))

    @property
    def database(self) -> Path:
        """The database with the event log and its tables."""
        return self.root / "fairway.db"

    @property
    def lock(self) -> Path:
        """The file that a process locks to commit or to checkpoint."""
        return self.root / "commit.lock"

    @property
    def blobs(self) -> Path:
        """The folder of content by digest, in subfolders by the first two letters."""
        return self.root / "blobs"

    @property
    def temporary(self) -> Path:
        """The folder of unfinished files. It is on the same file system as their final place, so that a rename works."""
        return self.root / "blobs" / "tmp"

    @property
    def trees(self) -> Path:
        """The folder of folder artifacts, which are made from blobs when they are first opened."""
        return self.root / "blobs" / "tree"

    @property
    def damaged(self) -> Path:
        """The folder of blobs whose content did not match their digest."""
        return self.root / "blobs" / "damaged"

    @property
    def endpoints(self) -> Path:
        """The folder of the model servers of this machine."""
        return self.root / "endpoints"

    @property
    def platform(self) -> Path:
        """The folder of the platform process of this machine."""
        return self.root / "platform"

    def run(self, name: str) -> Path:
        """Return the folder of a run, which has everything except artifacts and events."""
        return self.root / "runs" / safe_name(name)

    def results(self, run: str) -> Path:
        """Return the folder of the records of a run's attempts."""
        return self.run(run) / "results"

    def logs(self, run: str) -> Path:
        """Return the folder of the output of a run's attempts."""
        return self.run(run) / "logs"

    def prepare(self) -> None:
        """Make the store if it does not exist.

        Raises:
            StorageError: the directory cannot be written, is on a network file system, contains files of an unknown origin,
                or was made by a newer Fairway.
        """
        ownership.refuse_links(str(self.root))
        if self.check():
            return
        kind = filesystem(self.root)
        if _NETWORK.fullmatch(kind):
            raise StorageError(
                f"the store {self.root} would be on a network file system ({kind}), where writes can be lost",
                hint="set `FAIRWAY_HOME` to a directory on a local disk",
            )
        with Explaining("making the store", self.root):
            make_folders(str(self.root))
            with self._alone():
                # Check again under the lock: another process may have made the store while this one waited.
                if not self.check():
                    self._make()

    def _make(self) -> None:
        left = ownership.leftovers(str(self.root))
        if left:
            raise StorageError(
                f"{self.root} holds {', '.join(left[:3])} but no store.json, so it is not known who made that",
                hint=f"move it away first: `mv {self.root} {self.root}-old`",
            )
        for folder in ("blobs/tmp", "blobs/tree", "runs", "endpoints", "platform"):
            make_folders(str(self.root / folder))
        self._write(".gitignore", b"*\n")
        self._write(ownership.TAG, _NOT_FOR_ARCHIVES)
        # The seal is last: it writes `store.json`, and a folder with that file counts as a complete store.
        self._seal(ownership.new_seal(FORMAT))
        sync_folder(str(self.root))

    @contextmanager
    def _alone(self) -> Generator[None, None, None]:
        """Lock the directory, so that of two processes that make or adopt a store, the second finds the result of the first."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def adopt(self, *, anew: bool = False) -> ownership.Seal:
        """Put a seal of this user on a store with everything in it. The caller has decided that this is right.

        Args:
            anew: true to replace a seal of this user by a new one.

        Raises:
            OSError: the seal cannot be written.
            StorageError: the key cannot be used.
        """
        with self._alone():
            found = None if anew else ownership.seal_of(str(self.root))
            return found or self._seal(ownership.new_seal(FORMAT, adopted=True))

    def _seal(self, seal: ownership.Seal) -> ownership.Seal:
        sealed = seal.sealed()
        make_folders(str(self.temporary))
        self._write(ownership.STORE, msgspec.json.encode(sealed) + b"\n")
        sync_folder(str(self.root))
        seal.record = sealed
        return seal

    def check(self) -> bool:
        """Return true if there is a store. Raises StorageError if this version cannot use it."""
        path = self.root / ownership.STORE
        try:
            found = ownership.record(str(self.root))
        except OSError as error:
            raise explain(error, "opening the store", path) from error
        except UNREADABLE as error:
            raise StorageError(
                f"{path} is damaged, so the store's format is not known",
                hint=f'if no newer Fairway has used it, write {{"format": {FORMAT}}} into the file',
            ) from error
        if found is None:
            return False
        if found.format > FORMAT:
            raise newer(str(self.root))
        return True

    def _write(self, name: str, content: bytes) -> None:
        path, temporary = str(self.root / name), str(self.temporary / temporary_name())
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, content)
            sync(fd, temporary)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(fd)


def newer(what: str) -> StorageError:
    """Return the error for a format that only a newer version knows."""
    return StorageError(
        f"{what} was made by a newer Fairway", hint="install that version: `pip install --upgrade fairway-ml`"
    )


def safe_name(name: str) -> str:
    """Return the name of a run or step as a file name. Characters that a path must not contain are escaped.

    Raises:
        UsageError: the name is empty or too long.
    """
    if name.isidentifier() and name.isascii() and len(name) <= _MAX_NAME:
        return name
    text = "".join(f"%{ord(c):02X}" if c in "/\\%~" or ord(c) < 32 else c for c in name)
    if text.startswith("."):
        text = "%2E" + text[1:]
    if not text or len(os.fsencode(text)) > _MAX_NAME:
        raise UsageError(f"{name[:40]!r} cannot be a name here: it is {'too long' if text else 'empty'}")
    return text


def original_name(text: str) -> str:
    """Return the name from which `safe_name` made a file name."""
    if "%" not in text:
        return text
    return re.sub(r"%([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)


def filesystem(path: Path) -> str:
    """Return the type of the file system of a path, such as "ext4"; empty if it is unknown. The path need not exist."""
    try:
        mounts = Path("/proc/self/mounts").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real, best, kind = os.path.realpath(path), "", ""
    for line in mounts:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[1])
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind

"""Where everything lies inside a store's directory, and whether that directory may be used at all.

Knows names and the file system, not what the files hold.
"""

import fcntl
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

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
"""The sign of a cache directory (https://bford.info/cachedir/), which backup programs know."""


class Layout:
    """Paths inside one store; `root` is usually the `.fairway` of a project."""

    __slots__ = ("root",)

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))

    @property
    def database(self) -> Path:
        """The event log and its tables."""
        return self.root / "fairway.db"

    @property
    def lock(self) -> Path:
        """Locked by whoever commits to or checkpoints the database."""
        return self.root / "commit.lock"

    @property
    def blobs(self) -> Path:
        """Content by digest, in directories by its first two characters."""
        return self.root / "blobs"

    @property
    def temporary(self) -> Path:
        """Files that are not whole yet; on the same file system as what they become."""
        return self.root / "blobs" / "tmp"

    @property
    def trees(self) -> Path:
        """Folder artifacts laid out as folders, made from blobs when first opened."""
        return self.root / "blobs" / "tree"

    @property
    def damaged(self) -> Path:
        """Blobs whose content no longer matched their digest."""
        return self.root / "blobs" / "damaged"

    @property
    def endpoints(self) -> Path:
        """What model servers on this machine keep."""
        return self.root / "endpoints"

    @property
    def platform(self) -> Path:
        """What the platform server on this machine keeps."""
        return self.root / "platform"

    def run(self, name: str) -> Path:
        """What a run keeps besides artifacts and facts."""
        return self.root / "runs" / safe_name(name)

    def results(self, run: str) -> Path:
        """Records of a run's attempts."""
        return self.run(run) / "results"

    def logs(self, run: str) -> Path:
        """Output of a run's attempts."""
        return self.run(run) / "logs"

    def prepare(self) -> None:
        """Make the store where it is not there yet.

        Raises:
            StorageError: the directory cannot be written, is on a network file system, holds what somebody else left, or
                was made by a newer Fairway.
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
        self._seal(ownership.new_seal(FORMAT))
        sync_folder(str(self.root))

    @contextmanager
    def _alone(self) -> Generator[None, None, None]:
        """Of two that make or adopt a store at once, the second finds what the first has made."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def adopt(self, *, anew: bool = False) -> ownership.Seal:
        """Give a store a seal of this user, over whatever is in it: the caller knows why.

        Args:
            anew: whether it gets a new one where it has one of this user.

        Raises:
            OSError: it cannot be written.
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
        """Whether a store is here that this version can use. Raises StorageError when it cannot."""
        path = self.root / ownership.STORE
        try:
            found = ownership.record(str(self.root))
        except OSError as error:
            raise explain(error, "opening the store", path) from error
        except msgspec.DecodeError as error:
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
    """The error for something whose format this version does not know."""
    return StorageError(
        f"{what} was made by a newer Fairway", hint="install that version: `pip install --upgrade fairway-ml`"
    )


def safe_name(name: str) -> str:
    """A run's or step's name as a file name: the same one unless it holds what a path must not.

    Raises:
        UsageError: it is empty or too long.
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
    """What `safe_name` was given."""
    if "%" not in text:
        return text
    return re.sub(r"%([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)


def filesystem(path: Path) -> str:
    """Type of the file system a path is or would be on, such as "ext4"; empty where nobody says."""
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

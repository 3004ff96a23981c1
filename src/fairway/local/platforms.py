"""The platform process of a store for other processes: its lock, its address, its token, and its start.

Must not know what the platform does or answers.
"""

import contextlib
import fcntl
import hmac
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from fairway import confined
from fairway.local import descent, locking
from fairway.local.listening import worker_files
from fairway.local.workers import is_alive, last_words
from fairway.spec.decoding import UNREADABLE
from fairway.spec.errors import FairwayError, StorageError, UsageError

_START_SECONDS = 30.0
_LOCK_SECONDS = 0.5
_LOOK_SECONDS = 0.02
_TOKEN = 64
"""Number of random letters in a token."""


class PlatformRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A running platform process: its id, the port of its API, and the time of its start."""

    pid: int
    port: int
    started: float

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.port}"


class PlatformLock:
    """The lock that the platform process of a store holds while it lives. Raises UsageError if another process holds it."""

    def __init__(self, root: Path) -> None:
        self._root, self._folder = str(root), root / "platform"
        self._record = str(self._folder / "platform.json")
        self._fd = -1

    def __enter__(self) -> "PlatformLock":
        os.makedirs(self._root, confined.PRIVATE_FOLDER, exist_ok=True)
        lock = str(self._folder / "lock")
        self._fd = confined.open_below(self._root, lock, os.O_RDWR | os.O_CREAT, made=confined.not_durable)
        if not locking.take_within(self._fd, _LOCK_SECONDS):
            text = os.pread(self._fd, 20, 0).decode(errors="replace")
            os.close(self._fd)
            raise UsageError(
                f"a platform process of {self._folder.parent} runs already, with process id {text or 'unknown'}",
                hint="`fairway endpoints` asks it, `fairway down` stops it",
            )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)
        confined.remove_below(self._root, self._record)
        return self

    def announce(self, port: int, started: float) -> PlatformRecord:
        """Write the address of the API to a file, so that other processes find it."""
        record = PlatformRecord(pid=os.getpid(), port=port, started=started)
        confined.write_below(self._root, self._record, msgspec.json.encode(record))
        return record

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, StorageError):
            confined.remove_below(self._root, self._record)
        os.close(self._fd)


def running(root: Path) -> PlatformRecord | None:
    """Return the platform process of a store once it takes requests; None if there is none.

    The lock alone proves nothing. A worker that is being forked when the platform is killed holds it for a moment.
    """
    folder = root / "platform"
    try:
        text = confined.read_below(str(root), str(folder / "platform.json"))
        record = msgspec.json.decode(text, type=PlatformRecord)
        fd = confined.open_below(str(root), str(folder / "lock"), os.O_RDWR)
    except (OSError, StorageError, *UNREADABLE):
        return None
    try:
        return None if locking.take(fd) or not is_alive(record.pid) else record
    finally:
        os.close(fd)


def start(root: Path) -> PlatformRecord:
    """Start the platform process in the background and wait until it takes requests.

    Raises:
        FairwayError: the process ended or took too long. The message has its last output.
        UsageError: a step or the import of a project starts it.
        StorageError: the store cannot be written.
    """
    descent.refuse_in_step("the platform")
    log = root / "platform" / "log"
    try:
        os.makedirs(root, confined.PRIVATE_FOLDER, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = confined.open_below(str(root), str(log), flags, made=confined.not_durable)
    except OSError as error:
        raise StorageError(
            f"the platform cannot write to {log.parent}: {error.strerror}",
            hint="set `FAIRWAY_HOME` to a directory of your own",
        ) from error
    with open(fd, "wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "fairway.control", "--root", str(root)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=root.parent,
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        record = running(root)
        if record is not None:
            return record
        if child.poll() is not None and running(root) is None:
            words = last_words(root, log) or f"it ended with status {child.returncode}"
            raise FairwayError(f"the platform did not start: {words}", hint=f"see {log}")
        time.sleep(_LOOK_SECONDS)
    raise FairwayError(
        f"the platform took longer than {_START_SECONDS:.0f} seconds to start", hint=f"see {log}"
    )


def wait_gone(record: PlatformRecord, seconds: float) -> bool:
    """Wait until the process has ended. Return false if it has not within the given seconds."""
    deadline = time.monotonic() + seconds
    while is_alive(record.pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def left_behind(root: Path) -> bool:
    """Return true if workers of a killed platform may still be at work."""
    return bool(worker_files(root))


def token(root: Path, seal: Callable[[str], str]) -> str:
    """Return the token of a store's platform. Only its owner can read it.

    A new token is made if there is none, or if it is empty, short, readable by others, a link, or made by another user.

    Args:
        root: directory of the store.
        seal: returns the end of a token for its beginning. Only this user can make it.
    """
    path = str(root / "platform" / "token")
    found = _good_token(root, path, seal)
    if found:
        return found
    os.makedirs(root, confined.PRIVATE_FOLDER, exist_ok=True)
    with confined.entered(str(root), path, made=confined.not_durable) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        found = _good_token(root, path, seal)
        if not found:
            begin = secrets.token_hex(32)
            found = begin + seal(begin)
            confined.write_below(str(root), path, found.encode())
        return found


def _good_token(root: Path, path: str, seal: Callable[[str], str]) -> str:
    """Read the token of a file; empty if it may not be used."""
    try:
        fd = confined.open_below(str(root), path)
    except (OSError, StorageError):
        return ""
    try:
        text = os.read(fd, _TOKEN * 4).decode("ascii", "replace").strip()
        usable = confined.private(os.fstat(fd)) and len(text) > _TOKEN
    finally:
        os.close(fd)
    return text if usable and hmac.compare_digest(text[_TOKEN:], seal(text[:_TOKEN])) else ""

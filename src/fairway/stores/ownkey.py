"""The key of this user on this machine: 32 random bytes outside any store. The seals of the user's stores are made with it.

It lies in `$XDG_STATE_HOME/fairway/key` or `~/.local/state/fairway/key`, and only its owner can read it. No other module knows
its place.
"""

import errno
import os
import stat
from contextlib import suppress

from fairway.spec.errors import StorageError

SIZE = 32
_NAME = "key"
_ODD = (errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM)


def place() -> str:
    """Return the folder of the key from the present environment."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "fairway")


def read(folder: str) -> bytes | None:
    """Read the key; None if there is none yet. Raises StorageError if others can read or write it, OSError."""
    try:
        fd = _folder(folder)
    except FileNotFoundError:
        return None
    try:
        return _read(fd, folder)
    finally:
        os.close(fd)


def make(folder: str) -> bytes:
    """Return the key and make it if there is none yet. Raises StorageError."""
    try:
        os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        fd = _folder(folder)
    except OSError as error:
        raise StorageError(
            f"the key of this user cannot be kept in {folder}: {error.strerror}",
            hint="set `XDG_STATE_HOME` to a directory of your own",
        ) from error
    try:
        return _read(fd, folder) or _create(fd, folder)
    except OSError as error:
        raise StorageError(
            f"the key of this user cannot be written to {folder}: {error.strerror}",
            hint="set `XDG_STATE_HOME` to a directory of your own",
        ) from error
    finally:
        os.close(fd)


def made_at(folder: str) -> float:
    """Return the time when the key was made, in seconds since the epoch; 0 without a key. A key never changes."""
    try:
        return os.lstat(os.path.join(folder, _NAME)).st_mtime
    except OSError:
        return 0.0


def _folder(path: str) -> int:
    """Open the folder of the key and check that nobody else may write to it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno not in _ODD:
            raise
        raise _unusable(path, error.strerror or str(error)) from error
    found = os.fstat(fd)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        os.close(fd)
        raise _unusable(
            path, "others may write to it" if found.st_uid == os.geteuid() else "another user owns it"
        )
    return fd


def _read(folder: int, path: str) -> bytes | None:
    path = os.path.join(path, _NAME)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(_NAME, flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _ODD:
            raise
        raise _unusable(path, error.strerror or str(error)) from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise _unusable(path, "it is not a file that only you can read")
        content = os.read(fd, SIZE + 1)
    finally:
        os.close(fd)
    if len(content) != SIZE:
        raise _unusable(path, f"it has {len(content)} bytes instead of {SIZE}")
    return content


def _create(folder: int, path: str) -> bytes:
    """Write a new key under a temporary name, then link it to its name. If two processes make a key, the first one counts."""
    temporary = f".{_NAME}.{os.getpid()}.{os.urandom(4).hex()}"
    fd = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
    )
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, os.urandom(SIZE))
        os.fsync(fd)
        with suppress(FileExistsError):
            os.link(temporary, _NAME, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)
    finally:
        os.close(fd)
        os.unlink(temporary, dir_fd=folder)
    found = _read(folder, path)
    if found is None:
        raise _unusable(path, "it is gone again")
    return found


def _unusable(path: str, why: str) -> StorageError:
    return StorageError(
        f"the key of this user, {path}, cannot be used: {why}",
        hint=f"move it away, `mv {path} {path}.old`, and `fairway trust` the stores that are yours",
    )

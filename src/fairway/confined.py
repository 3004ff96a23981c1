"""Opens and folders that follow no link and belong to nobody else: what lies in a store may have been put there by anybody.

Every folder from the root of a store down to a file is looked at, and the file is opened without following a link. Knows
paths and descriptors, not what the files mean.
"""

import os
import stat

from fairway.spec.errors import StorageError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
_OTHERS_WRITE = stat.S_IWOTH
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def folder(path: str, *, anyones: bool = False) -> bool:
    """Whether a folder is there. Raises StorageError for a link, for another kind of file, and for another user's."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISLNK(found.st_mode):
        raise _odd(path, "a link, and no link in a store is followed")
    if not stat.S_ISDIR(found.st_mode):
        raise _odd(path, "not a folder")
    if not anyones:
        _check_owner(path, found)
    return True


def make_folder(path: str) -> None:
    """Make a folder and those above it that are missing, each for this user alone, whatever the mask says.

    Raises:
        StorageError: there is a link, or something else.
        OSError: it cannot be made.
    """
    missing: list[str] = []
    at = path
    while not os.path.lexists(at):
        missing.append(at)
        at = os.path.dirname(at)
    for one in reversed(missing):
        try:
            os.mkdir(one, PRIVATE_FOLDER)
        except FileExistsError:
            continue
    folder(path)


def below(root: str, path: str, *, anyones: bool = False) -> None:
    """Check every folder that lies between a root and a path; those that are not there yet are fine. Raises StorageError."""
    at = root
    for name in os.path.relpath(path, root).split(os.sep)[:-1]:
        if name == "..":
            raise _odd(path, f"outside {root}")
        at = f"{at}/{name}"
        if not folder(at, anyones=anyones):
            return


def file(path: str, *, anyones: bool = False) -> bool:
    """Whether a regular file is there. Raises StorageError for a link, for another kind of file, and for another user's."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    _check_file(path, found, anyones)
    return True


def open_file(path: str, flags: int = _READ, mode: int = PRIVATE_FILE, *, anyones: bool = False) -> int:
    """A descriptor of a regular file of this user, opened through no link.

    Args:
        anyones: whether it may be another user's, such as a backup that is only read.

    Raises:
        StorageError: it is a link, another kind of file, or another user's.
        OSError: it cannot be opened.
    """
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags & ~os.O_TRUNC, mode)
    except FileNotFoundError:
        raise
    except OSError:
        file(path, anyones=anyones)
        raise
    try:
        _check_file(path, os.fstat(fd), anyones)
        if flags & os.O_TRUNC:
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read(path: str, limit: int = 1 << 20) -> bytes:
    """The content of a small file, opened as `open_file` does. Raises StorageError, OSError."""
    fd = open_file(path)
    try:
        found = b""
        while len(found) < limit and (more := os.read(fd, limit - len(found))):
            found += more
        return found
    finally:
        os.close(fd)


def private(found: os.stat_result) -> bool:
    """Whether nobody but the owner may read or write, and the owner is this user."""
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def unlink_own(path: str) -> None:
    """Remove a file or link itself, never what it leads to; gone already is fine."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return


def _check_file(path: str, found: os.stat_result, anyones: bool) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _odd(path, "a link, and no link in a store is followed")
    if not stat.S_ISREG(found.st_mode):
        raise _odd(path, "not a regular file")
    if not anyones:
        _check_owner(path, found)


def _check_owner(path: str, found: os.stat_result) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise _odd(path, "another user's")
    if found.st_mode & _OTHERS_WRITE and not stat.S_ISLNK(found.st_mode):
        raise StorageError(
            f"everybody may write to {path}, so it could be anybody's",
            hint=f"`chmod o-w {path}`, or remove it",
        )


def _odd(path: str, why: str) -> StorageError:
    return StorageError(
        f"{path} is {why}", hint=f"see what it is with `ls -ld {path}`, and remove it if it is not yours"
    )

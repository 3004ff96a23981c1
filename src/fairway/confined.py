"""Files and folders of a store, opened without following links and only if they belong to this user.

Anybody may have put something into a store. Each folder from the root of a store down to a file is opened from the one
above it, and no link is followed. Somebody who swaps a folder for a link meanwhile changes nothing for a process that is in
it already. This module knows paths and descriptors, and not what the files mean.
"""

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress

from fairway.spec.errors import StorageError

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
_OTHERS_WRITE = stat.S_IWOTH
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""The flags for reading. `O_NONBLOCK` keeps an open of a named pipe from waiting for its writer."""
_ROOT = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_FOLDER = _ROOT | os.O_NOFOLLOW


def folder(path: str, *, anyones: bool = False) -> bool:
    """Tell whether a folder exists.

    Args:
        path: the folder.
        anyones: True allows folders of other users.

    Raises:
        StorageError: it is a link or another kind of file, or it belongs to another user.
    """
    found = _found(path)
    if found is None:
        return False
    if stat.S_ISLNK(found.st_mode):
        raise _odd(path, "a link, and no link in a store is followed")
    if not stat.S_ISDIR(found.st_mode):
        raise _odd(path, "not a folder")
    if not anyones:
        _check_owner(path, found)
    return True


def make_folder(path: str) -> None:
    """Make a folder and the missing folders above it, each for this user alone, whatever the mask is.

    Raises:
        StorageError: a link or another kind of file is in the way.
        OSError: the folder cannot be made.
    """
    missing: list[str] = []
    at = os.path.abspath(path)
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
    """Check every folder between a root and a path. Folders that do not exist yet are fine.

    Args:
        root: the root of the store.
        path: a path below it.
        anyones: True allows folders of other users.

    Raises:
        StorageError: a folder is not what it should be, or the path lies outside the root.
    """
    at = root
    for name in os.path.relpath(path, root).split(os.sep)[:-1]:
        if name == "..":
            raise _odd(path, f"outside {root}")
        at = f"{at}/{name}"
        if not folder(at, anyones=anyones):
            return


def enter(
    root: str,
    names: Iterable[str],
    *,
    made: Callable[[int, str], None] | None = None,
    anyones: bool = False,
    within: int | None = None,
) -> int:
    """Open a folder below a root, each folder on the way from the one before; returns its descriptor.

    Args:
        root: the folder to begin with. It may be a link, because the person named it.
        names: the folders below it, one after the other.
        made: creates folders that are missing, and is called with the descriptor and path of each parent.
        anyones: True allows folders of other users, such as a backup that is only read.
        within: descriptor of the folder to begin with, which stays open. Then only errors name the root.

    Raises:
        StorageError: there is a link on the way, another kind of file, or another user's folder.
        OSError: it cannot be opened, or is not there.
    """
    path, fd = root, os.open(root, _ROOT) if within is None else os.dup(within)
    for name in names:
        if name in ("", ".", "..") or "/" in name:
            os.close(fd)
            raise _odd(f"{path}/{name}", f"outside {root}")
        above, fd = fd, -1
        try:
            fd = _open_folder(name, above, path, made)
            if not anyones:
                _check_owner(f"{path}/{name}", os.fstat(fd))
        except BaseException:
            if fd >= 0:
                os.close(fd)
            raise
        finally:
            os.close(above)
        path = f"{path}/{name}"
    return fd


def not_durable(above: int, path: str) -> None:
    """Accept a new folder that may be lost in a power loss. Give it to `enter` as `made`."""


@contextmanager
def entered(
    root: str, path: str, *, made: Callable[[int, str], None] | None = None
) -> Generator[int, None, None]:
    """Open the folder of a path below a root for a block. Raises what `enter` raises."""
    fd = enter(root, os.path.relpath(path, root).split(os.sep)[:-1], made=made)
    try:
        yield fd
    finally:
        os.close(fd)


def _open_folder(name: str, above: int, path: str, made: Callable[[int, str], None] | None) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        if made is None:
            raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            folder(f"{path}/{name}")  # says what it is
        raise
    try:
        os.mkdir(name, PRIVATE_FOLDER, dir_fd=above)
        made(above, path)
    except FileExistsError:
        pass
    return os.open(name, _FOLDER, dir_fd=above)


def file(path: str, *, anyones: bool = False) -> bool:
    """Tell whether a regular file exists.

    Args:
        path: the file.
        anyones: True allows files of other users.

    Raises:
        StorageError: it is a link or another kind of file, or it belongs to another user.
    """
    found = _found(path)
    if found is None:
        return False
    _check_file(path, found, anyones)
    return True


def open_file(
    path: str,
    flags: int = _READ,
    mode: int = PRIVATE_FILE,
    *,
    anyones: bool = False,
    within: int | None = None,
) -> int:
    """Open a regular file of this user without following a link, and return the descriptor.

    Args:
        path: the file.
        flags: the flags of `os.open`.
        mode: the mode of a new file.
        anyones: True allows files of other users, such as a backup that is only read.
        within: descriptor of the folder that the file is in. Only the last part of the path counts then.

    Raises:
        StorageError: it is a link or another kind of file, or it belongs to another user.
        OSError: it cannot be opened.
    """
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    # Truncation waits until the open file is known to be this user's.
    try:
        if within is None:
            fd = os.open(path, flags & ~os.O_TRUNC, mode)
        else:
            fd = os.open(path.rpartition("/")[2], flags & ~os.O_TRUNC, mode, dir_fd=within)
    except FileNotFoundError:
        raise
    except OSError:
        file(path, anyones=anyones)  # its error says what is wrong with the path
        raise
    try:
        _check_file(path, os.fstat(fd), anyones)
        if flags & os.O_TRUNC:
            os.ftruncate(fd, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_below(
    root: str, path: str, flags: int = _READ, *, made: Callable[[int, str], None] | None = None
) -> int:
    """Open a regular file of this user below a root, each folder on the way from the one before, and return the descriptor.

    Args:
        root: the folder to begin with. It may be a link, because the person named it.
        path: a path below it.
        flags: the flags of `os.open`.
        made: creates folders that are missing, as in `enter`.

    Raises:
        StorageError: there is a link on the way, another kind of file, or another user's.
        OSError: it cannot be opened.
    """
    with entered(root, path, made=made) as folder:
        return open_file(path, flags, within=folder)


def write_below(root: str, path: str, content: bytes) -> None:
    """Write a file below a root that only this user can read, whole or not at all. Missing folders are made.

    Raises:
        StorageError: there is a link on the way, another kind of file, or another user's folder.
        OSError: it cannot be written. Nothing is left behind then.
    """
    name = os.path.basename(path)
    temporary = f".{name}.{os.getpid()}.{os.urandom(4).hex()}"
    with entered(root, path, made=not_durable) as folder:
        fd = open_file(
            f"{os.path.dirname(path)}/{temporary}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, within=folder
        )
        try:
            with open(fd, "wb") as file:
                file.write(content)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise


def remove_below(root: str, path: str) -> None:
    """Remove a file, a link itself or a whole folder below a root. A missing one is fine.

    Raises:
        StorageError: there is a link on the way, another kind of file, or another user's folder.
        OSError: it cannot be removed.
    """
    with suppress(FileNotFoundError), entered(root, path) as folder:
        remove_inside(folder, os.path.basename(path))


def remove_inside(folder: int, name: str) -> None:
    """Remove a file, link or whole folder of an open folder, also where folders are read-only. A missing one is fine."""
    try:
        fd = os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        os.unlink(name, dir_fd=folder)
        return
    try:
        os.fchmod(fd, PRIVATE_FOLDER)
        for inside in os.listdir(fd):
            remove_inside(fd, inside)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=folder)


def read(path: str, limit: int = 1 << 20) -> bytes:
    """Return the first `limit` bytes of a file, opened as `open_file` does. Raises StorageError and OSError."""
    return _read(open_file(path), limit)


def read_below(root: str, path: str, limit: int = 1 << 20) -> bytes:
    """Return the first `limit` bytes of a file, opened as `open_below` does. Raises StorageError and OSError."""
    return _read(open_below(root, path), limit)


def _read(fd: int, limit: int) -> bytes:
    """Return the first `limit` bytes of an open file and close it."""
    try:
        found = b""
        while len(found) < limit and (more := os.read(fd, limit - len(found))):
            found += more
        return found
    finally:
        os.close(fd)


def private(found: os.stat_result) -> bool:
    """Tell whether this user is the owner of a file and nobody else may read or write it."""
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077


def unlink_own(path: str) -> None:
    """Remove a file or link itself, never the file behind a link. A missing file is fine."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        return


def _found(path: str) -> os.stat_result | None:
    """Return the facts of a path, of which the last part may be a link; None if nothing is there."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _check_file(path: str, found: os.stat_result, anyones: bool) -> None:
    """Refuse links, other kinds of files and files of other users. Raises StorageError."""
    if stat.S_ISLNK(found.st_mode):
        raise _odd(path, "a link, and no link in a store is followed")
    if not stat.S_ISREG(found.st_mode):
        raise _odd(path, "not a regular file")
    if not anyones:
        _check_owner(path, found)


def _check_owner(path: str, found: os.stat_result) -> None:
    """Refuse what belongs to another user, or what everybody may write to. Raises StorageError."""
    if found.st_uid not in (os.geteuid(), 0):
        raise _odd(path, "another user's")
    if found.st_mode & _OTHERS_WRITE and not stat.S_ISLNK(found.st_mode):
        raise StorageError(
            f"everybody may write to {path}, so it could be anybody's",
            hint=f"`chmod o-w {path}`, or remove it",
        )


def _odd(path: str, why: str) -> StorageError:
    """Return the error for a path that is not what it should be."""
    return StorageError(
        f"{path} is {why}", hint=f"see what it is with `ls -ld {path}`, and remove it if it is not yours"
    )

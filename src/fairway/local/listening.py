"""The places of model servers on this machine: TCP ports on loopback, their folders, and a folder for short socket paths.

Must not know what listens there.
"""

import contextlib
import errno
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

from fairway import confined
from fairway.spec.endpoint import port_of
from fairway.spec.errors import FairwayError, StorageError, UsageError
from fairway.spec.quantities import whole_number

HOST = "127.0.0.1"
_LAST_PORT = 65535
_BACKLOG = 2048
_LONGEST = 100
"""Maximum length in bytes of a Unix socket's path that every system accepts."""

_NAME = 40


def bind(port: int) -> socket.socket:
    """Open a socket that listens on a port of this machine. Raises UsageError if the port is in use."""
    return _bound(port, listens=True)


def hold(port: int) -> socket.socket:
    """Open a socket that reserves a port. It refuses clients until it listens. Raises UsageError if the port is in use."""
    return _bound(port, listens=False)


def listen(held: socket.socket) -> None:
    """Accept clients on a port that was reserved."""
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.listen(_BACKLOG)


def _bound(port: int, *, listens: bool) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((HOST, port))
        if listens:
            made.listen(_BACKLOG)
        else:
            # The option allows a bind beside connections that are still closing. It is turned off again, because with it another
            # program could listen here too.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {port} is in use by another program", hint="choose another with `--port`"
            ) from None
        if error.errno == errno.EACCES:
            raise UsageError(
                f"port {port} may not be used by this user", hint="choose one from 1024 with `--port`"
            ) from None
        raise
    return made


def bind_free(taken: Collection[int], first: int) -> socket.socket:
    """Open a socket that listens on the first free port from `first` that is not in `taken`."""
    for port in range(first, _LAST_PORT):
        if port not in taken:
            try:
                return bind(port)
            except UsageError:
                continue
    raise FairwayError("there is no free port on this machine")


def address(port: int) -> str:
    """Write the address of an endpoint at a port; "" for port 0, where nothing listens."""
    return f"http://{HOST}:{port}" if port else ""


def port_wished(wish: str) -> int:
    """Read a port, or an address of this machine; 0 when nothing is wished for. Raises UsageError."""
    if not wish:
        return 0
    port = whole_number(wish, _LAST_PORT) or port_of(wish)
    if port and wish in (str(port), address(port)):
        return port
    if "://" in wish:
        raise UsageError(f"{wish} is no address of this machine", hint="choose a port with `--port`")
    raise UsageError(f"there is no port {wish}", hint=f"from 1 to {_LAST_PORT}: `--port 8000`")


def folder(root: Path, endpoint: str) -> Path:
    """Return the folder for the files of an endpoint's workers."""
    return root / "endpoints" / quote(endpoint, safe="")


def clear(root: Path, endpoint: str, revision: int = 0) -> None:
    """Remove the files of an endpoint's workers, or of one revision. What cannot be removed stays."""
    place = folder(root, endpoint)
    with contextlib.suppress(OSError, StorageError):
        confined.remove_below(str(root), str(place / f"r{revision}" if revision else place))


def worker_files(root: Path) -> list[Path]:
    """Return the files of all workers of a store, sorted. Links are not followed."""
    found: list[Path] = []
    if confined.folder(str(root / "endpoints")):
        for place in sorted((root / "endpoints").glob("*/r*")):
            if not place.is_symlink() and not place.parent.is_symlink() and place.is_dir():
                found += sorted(path for path in place.glob("w*.json") if not path.is_symlink())
    return found


def sockets_folder(root: Path) -> Path:
    """Return a private folder with a path short enough for Unix sockets. It is always the same for a store.

    If another user has taken its name, the store gets a folder with a random name that nobody could know before.

    Raises:
        FairwayError: no folder can be made.
    """
    usual = _place(f"fairway-{os.getuid()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:10]}")
    if _own(usual):
        return usual
    record = root / "platform" / "sockets"
    with contextlib.suppress(OSError, FairwayError, UnicodeDecodeError):
        name = confined.read(str(record), _NAME).decode("ascii")
        if name.isalnum() and _own(_place(f"fairway-{name}")):
            return _place(f"fairway-{name}")
    name = os.urandom(8).hex()
    confined.make_folder(str(record.parent))
    confined.unlink_own(str(record))
    fd = confined.open_file(str(record), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(fd, "w", encoding="ascii") as file:
        file.write(name)
    place = _place(f"fairway-{name}")
    if not _own(place):
        raise FairwayError(
            f"{place} is not a private folder of this user", hint=f"remove it: `rm -r {place}`"
        )
    return place


def _own(place: Path) -> bool:
    """Make a folder if there is none. Return true if it belongs to this user and nobody else can enter it."""
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = os.lstat(place)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _place(name: str) -> Path:
    """Return the path for a folder of sockets with that name. Raises FairwayError."""
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):
        place = Path(base) / name
        if base and os.access(base, os.W_OK | os.X_OK) and len(os.fsencode(place)) + _NAME <= _LONGEST:
            break
    else:
        raise FairwayError(
            "there is no folder for sockets", hint="set TMPDIR to a short path you may write to"
        )
    return place

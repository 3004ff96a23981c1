"""Where model servers are on this machine: TCP ports on loopback, folders, and one for short socket paths.

Must not know what listens there.
"""

import errno
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

from fairway.spec.endpoint import RevisionSpec
from fairway.spec.errors import FairwayError, UsageError

HOST = "127.0.0.1"
FIRST_PORT = 7701
_LAST_PORT = 65535
_BACKLOG = 2048
_LONGEST = 100
"""Bytes of a Unix socket's path that every system takes."""

_NAME = 40


def bind(port: int) -> socket.socket:
    """A socket that listens on a port of this machine. Raises UsageError when it is in use."""
    return _bound(port, listens=True)


def hold(port: int) -> socket.socket:
    """A socket that keeps a port from others and refuses who comes, until it listens. Raises UsageError as `bind`."""
    return _bound(port, listens=False)


def listen(held: socket.socket) -> None:
    """Take in who comes to a port that was held."""
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
            # Bound beside connections that are still closing; with the option on, others could listen here before us.
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


def bind_free(taken: Collection[int]) -> socket.socket:
    """A socket that listens on the first free port that is not taken by name."""
    for port in range(FIRST_PORT, _LAST_PORT):
        if port not in taken:
            try:
                return bind(port)
            except UsageError:
                continue
    raise FairwayError("there is no free port on this machine")


def address(revision: RevisionSpec, port: int) -> str:
    """Where a revision takes requests."""
    base = f"http://{HOST}:{port}/"
    return (
        f"{base}v2/models/{quote(revision.endpoint, safe='')}/infer" if revision.model is not None else base
    )


def folder(root: Path, endpoint: str) -> Path:
    """Where an endpoint's workers leave their files."""
    return root / "endpoints" / quote(endpoint, safe="")


def sockets_folder(root: Path) -> Path:
    """A folder of this user's alone, with a path short enough for Unix sockets, always the same for a store.

    Raises:
        FairwayError: the place belongs to another user.
    """
    name = f"fairway-{os.getuid()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:10]}"
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):
        place = Path(base) / name
        if base and os.access(base, os.W_OK | os.X_OK) and len(os.fsencode(place)) + _NAME <= _LONGEST:
            break
    else:
        raise FairwayError(
            "there is no folder for sockets", hint="set TMPDIR to a short path you may write to"
        )
    place.mkdir(mode=0o700, exist_ok=True)
    found = os.lstat(place)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise FairwayError(
            f"{place} is not a private folder of this user", hint=f"remove it: `rm -r {place}`"
        )
    return place

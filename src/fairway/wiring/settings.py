"""The user's settings: the `FAIRWAY_` variables.

FAIRWAY_HOME        directory of the store, instead of the project's own
FAIRWAY_TOKEN       token for the platform, instead of the one in the store
FAIRWAY_FIRST_PORT  port of the platform, instead of 7700; endpoints take free ones above it
FAIRWAY_TARGET      name of the target on which commands work, instead of the project's own
"""

import os
from pathlib import Path

from fairway.local.projects import STORE
from fairway.spec.errors import UsageError
from fairway.spec.quantities import whole_number
from fairway.wiring.headstart import store_place

STORE_NAME = STORE
"""Name of the folder that is a project's own store."""

_FIRST_PORT = 7700
_LAST_FIRST_PORT = 65_000


def store_root(file: str = "", module: str = "") -> Path:
    """Return the folder of the store: FAIRWAY_HOME, else the project's own.

    Without a file, the project is the one around the working directory.

    Raises:
        StorageError: the folder is another user's, or others may write to it.
    """
    from fairway.stores import ownership

    place = store_place(file, module)
    ownership.refuse_others(place, named=is_named())
    return Path(place)


def is_named() -> bool:
    """Tell whether the user named the store, which then belongs to no project folder."""
    return bool(os.environ.get("FAIRWAY_HOME"))


def first_port() -> int:
    """Return the port of a platform. Its endpoints take free ports above it. Raises UsageError."""
    text = os.environ.get("FAIRWAY_FIRST_PORT", "") or str(_FIRST_PORT)
    port = whole_number(text, _LAST_FIRST_PORT)
    if not port:
        raise UsageError(
            f"FAIRWAY_FIRST_PORT is a port from 1 to {_LAST_FIRST_PORT}, not {text[:40]!r}",
            hint="`unset FAIRWAY_FIRST_PORT` for the usual ones, from 7700",
        )
    return port


def token() -> str:
    """Return the platform's token that the user set; empty when there is none."""
    return os.environ.get("FAIRWAY_TOKEN", "")


def target() -> str:
    """Return the name of the target that the user set; empty when there is none."""
    return os.environ.get("FAIRWAY_TARGET", "")

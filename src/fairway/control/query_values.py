"""The values of a request behind the question mark: their types, for the description, and how each is read.

Must not know which route asks for which.
"""

import math
from typing import Annotated
from urllib.parse import unquote

import msgspec
from starlette.requests import Request

from fairway.control.changes import LONGEST_KEY
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.quantities import whole_number

MOST = 2**53
MOST_RUNS = 1000
_LONGEST_WAIT = 25.0
"""Seconds that a client may wait for one answer. A proxy in between may cut a connection after 60."""

Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST_RUNS)]
Attempt = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Wait = Annotated[float, msgspec.Meta(ge=0)]
Key = Annotated[str, msgspec.Meta(max_length=LONGEST_KEY)]


def name(request: Request) -> str:
    """Return the name in the path. Raises NotFound for an empty one."""
    found = unquote(request.path_params["name"])
    if not found:
        raise NotFound("there is nothing without a name")
    return found


def text(request: Request, key: str) -> str:
    """Return a text; an empty one if the request has none."""
    return request.query_params.get(key, "")


def seconds(request: Request, key: str = "wait") -> float:
    """Return how long the client wants to wait, at most as long as it may. Raises UsageError."""
    given = request.query_params.get(key, "0")
    try:
        wait = float(given)
    except ValueError:
        wait = -1.0
    if math.isnan(wait) or wait < 0.0:
        raise UsageError(f"{key} is a number of seconds, not {given[:40]!r}")
    return min(wait, _LONGEST_WAIT)


def count(request: Request, key: str) -> int:
    """Return a number of bytes; 0 if the request has none. Raises UsageError."""
    given = request.query_params.get(key, "0")
    number = whole_number(given, MOST)
    if number is None:
        raise UsageError(f"{key} is a number from 0 to {MOST}, not {given[:40]!r}")
    return number


def number(request: Request, key: str, default: int, most: int) -> int:
    """Return a number from 1 on. Raises UsageError."""
    given = request.query_params.get(key, str(default))
    found = whole_number(given, most)
    if not found:
        raise UsageError(f"{key} is a number from 1 to {most}, not {given[:40]!r}")
    return found

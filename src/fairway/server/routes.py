"""The description of a route."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from fairway.server.answers import Answer, InPieces
from fairway.server.gate import Policy
from fairway.server.requests import Request

Handler = Callable[[Request], Awaitable[Answer | InPieces]]


class Route(msgspec.Struct, frozen=True):
    """A route: its name in the metrics, its handlers by HTTP method, and its policy. The default policy checks the key."""

    name: str
    handlers: Mapping[str, Handler]
    policy: Policy = "open"

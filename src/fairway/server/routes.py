"""What a route is: a name for the metrics, its handlers by method, and its policy at the gate."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from fairway.server.answers import Answer, InPieces
from fairway.server.gate import Policy
from fairway.server.requests import Request

Handler = Callable[[Request], Awaitable[Answer | InPieces]]


class Route(msgspec.Struct, frozen=True):
    """One exact path. A route without a policy of its own wants the key where there is one."""

    name: str
    handlers: Mapping[str, Handler]
    policy: Policy = "open"

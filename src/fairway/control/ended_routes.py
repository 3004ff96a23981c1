"""The route that gives what the servers of an endpoint printed that have ended, as far as the cluster keeps it no longer.

Must not know who may ask, because the gate has checked that before.
"""

from collections.abc import Callable

from starlette.requests import Request

from fairway.control.handlers import BASE
from fairway.control.routes import Entry
from fairway.spec.endpoint import ServerLine

_PATH = f"{BASE}/endpoints/{{name}}/ended"


class EndedRoutes:
    """The handler for one platform.

    Args:
        lines: returns the lines of the servers of an endpoint that have ended.
    """

    def __init__(self, lines: Callable[[str], list[ServerLine]]) -> None:
        self._lines = lines

    def entries(self) -> list[Entry]:
        """Return all routes."""
        return [Entry(method="GET", path=_PATH, policy="viewer", handler=self.ended, gives=list[ServerLine])]

    async def ended(self, request: Request) -> object:
        """Return the last lines of the servers of an endpoint that have ended, those before a restart among them."""
        return self._lines(request.path_params["name"])

"""The routes for the upkeep of a store: content that nothing refers to is removed, and the store is read for a copy.

Must not know who may ask, because the gate has checked that before.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from fairway.control.routes import Entry, body
from fairway.ports.platform import Platform
from fairway.spec.errors import UsageError
from fairway.spec.quantities import whole_number
from fairway.spec.upkeep import Cleaned, Cleaning, Snapshot, Tried

_BASE = "/api/v1"
_MOST = 2**53
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class UpkeepRoutes:
    """The handlers for one platform.

    Args:
        platform: returns the platform. The table of routes is also made where there is none, to describe them.
    """

    def __init__(self, platform: Callable[[], Platform]) -> None:
        self._platform = platform

    def entries(self) -> list[Entry]:
        """Return all routes."""
        return [
            Entry(
                method="POST",
                path=f"{_BASE}/gc",
                policy="token",
                handler=self.gc,
                takes=Cleaning,
                gives=Cleaned,
            ),
            Entry(
                method="POST", path=f"{_BASE}/backups", policy="token", handler=self.backup, gives=Snapshot
            ),
            Entry(
                method="GET",
                path=f"{_BASE}/backups/{{name}}",
                policy="token",
                handler=self.piece,
                gives=bytes,
            ),
            Entry(
                method="POST", path=f"{_BASE}/tries", policy="token", handler=self.tries, gives=list[Tried]
            ),
        ]

    async def gc(self, request: Request) -> object:
        """Remove content that nothing refers to, or count it."""
        return await self._platform().clean(await body(request, Cleaning))

    async def backup(self, request: Request) -> object:
        """Keep the log as it is now, and list it with all that it refers to."""
        return await self._platform().snapshot()

    async def tries(self, request: Request) -> object:
        """Try the object storage of the platform, and return what was found; nothing without any."""
        return await self._platform().tries()

    async def piece(self, request: Request) -> object:
        """Return a piece of a part of a snapshot, from `offset` on; nothing at its end."""
        offset = whole_number(request.query_params.get("offset", "0"), _MOST)
        if offset is None:
            raise UsageError("offset is a whole number")
        found = await self._platform().snapshot_piece(
            request.path_params["name"], request.query_params.get("path", ""), offset
        )
        return Response(found, 200, _HEADERS, "application/octet-stream")

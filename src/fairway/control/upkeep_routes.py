"""The routes for the upkeep of a store: content that nothing refers to is removed, and the store is read for a copy.

Must not know who may ask, because the gate has checked that before.
"""

from starlette.requests import Request

from fairway.control import query_values as values
from fairway.control.handlers import BASE, Handlers
from fairway.control.routes import Entry, as_bytes, body
from fairway.spec.deeds import Deed, DeedQuery
from fairway.spec.upkeep import Cleaned, Cleaning, Health, Snapshot, Tried


class UpkeepRoutes(Handlers):
    """The handlers for the store."""

    def entries(self) -> list[Entry]:
        """Return all routes."""
        return [
            Entry(
                method="POST",
                path=f"{BASE}/deeds",
                policy="viewer",
                handler=self.deeds,
                takes=DeedQuery,
                gives=list[Deed],
            ),
            Entry(
                method="POST",
                path=f"{BASE}/gc",
                policy="deployer",
                handler=self.gc,
                takes=Cleaning,
                gives=Cleaned,
            ),
            Entry(method="GET", path=f"{BASE}/health", policy="viewer", handler=self.health, gives=Health),
            Entry(
                method="POST", path=f"{BASE}/backups", policy="deployer", handler=self.backup, gives=Snapshot
            ),
            Entry(
                method="GET",
                path=f"{BASE}/backups/{{name}}",
                policy="deployer",
                handler=self.piece,
                asks={"path": str, "offset": values.Offset},
                gives=bytes,
            ),
            Entry(
                method="POST", path=f"{BASE}/tries", policy="runner", handler=self.tries, gives=list[Tried]
            ),
        ]

    async def deeds(self, request: Request) -> object:
        """Return the changes that people asked for, newest first; `before` goes on."""
        return await self._platform().deeds(await body(request, DeedQuery))

    async def gc(self, request: Request) -> object:
        """Remove content that nothing refers to, or count it."""
        return await self._platform().clean(await body(request, Cleaning))

    async def health(self, request: Request) -> object:
        """Return the state of the platform and of the machine under it."""
        return await self._platform().health()

    async def backup(self, request: Request) -> object:
        """Keep the log as it is now, and list it with all that it refers to."""
        return await self._platform().snapshot()

    async def tries(self, request: Request) -> object:
        """Try the object storage of the platform, and return what was found; nothing without any."""
        return await self._platform().tries()

    async def piece(self, request: Request) -> object:
        """Return a piece of a part of a snapshot, from `offset` on; nothing at its end."""
        offset, path = values.count(request, "offset"), values.text(request, "path")
        found = await self._platform().snapshot_piece(request.path_params["name"], path, offset)
        return as_bytes(found)

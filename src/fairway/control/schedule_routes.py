"""The routes for schedules: they are listed, set and removed.

Must not know who may ask, because the gate has checked that before.
"""

from starlette.requests import Request

from fairway.control.handlers import BASE, Handlers
from fairway.control.routes import Entry, body
from fairway.spec.schedule import ScheduleSpec, ScheduleStatus

_PATH = f"{BASE}/schedules"


class ScheduleRoutes(Handlers):
    """The handlers for schedules."""

    def entries(self) -> list[Entry]:
        """Return all routes."""
        every, one = list[ScheduleStatus], ScheduleStatus
        named = f"{_PATH}/{{name}}"
        return [
            Entry(method="GET", path=_PATH, policy="viewer", handler=self.every, gives=every),
            Entry(
                method="POST", path=_PATH, policy="runner", handler=self.put, takes=ScheduleSpec, gives=one
            ),
            Entry(method="DELETE", path=named, policy="runner", handler=self.remove),
        ]

    async def every(self, request: Request) -> object:
        """Return every schedule with its last due times and the next one."""
        return await self._platform().schedules()

    async def put(self, request: Request) -> object:
        """Keep a schedule from now on, in place of the one with its name."""
        return await self._platform().schedule(await body(request, ScheduleSpec))

    async def remove(self, request: Request) -> object:
        """Remove a schedule. The runs that it started go on."""
        await self._platform().unschedule(request.path_params["name"])
        return {"unscheduled": request.path_params["name"]}

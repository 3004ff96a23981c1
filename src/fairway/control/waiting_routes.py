"""The route that tells what a request for a run waits for, before the run has a name that can be followed.

Must not know who may ask, because the gate has checked that before.
"""

from collections.abc import Callable

from starlette.requests import Request

from fairway.control import query_values as values
from fairway.control.handlers import BASE
from fairway.control.routes import Entry

_PATH = f"{BASE}/waiting"


class WaitingRoutes:
    """The handler for one platform.

    Args:
        notes: returns the notes about a request, by its key.
    """

    def __init__(self, notes: Callable[[str], list[str]]) -> None:
        self._notes = notes

    def entries(self) -> list[Entry]:
        """Return all routes."""
        return [
            Entry(
                method="GET",
                path=_PATH,
                policy="runner",
                handler=self.waiting,
                asks={"key": str},
                gives=list[str],
            ),
        ]

    async def waiting(self, request: Request) -> object:
        """Return the notes about the request for a run with the key `?key=`, which has no answer yet."""
        return self._notes(values.text(request, "key"))

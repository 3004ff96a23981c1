"""Changes that take longer than a connection may last, known by the key of their request.

A client asks with `?wait=` how long it waits for the answer, and asks again with the same key until the change is over. So a
connection that is cut begins no change twice. Must not know what a change does.
"""

import asyncio
from collections.abc import Awaitable, Callable

LONGEST_KEY = 64
_MOST_KEPT = 200


class KeyedChanges:
    """The changes of one platform."""

    def __init__(self) -> None:
        self._by_key: dict[str, asyncio.Future[object]] = {}
        self._at_work: set[asyncio.Future[object]] = set()

    async def outcome(
        self, key: str, make: Callable[[], Awaitable[object]], wait: float | None
    ) -> object | None:
        """Return the outcome of a change, which goes on if nobody waits for it any more. None: it is not over in time.

        Args:
            key: the key of the request. The change of a known key is not begun again. An empty key is never known.
            make: begins the change.
            wait: the seconds to wait; None for as long as it takes.
        """
        change = self._by_key.get(key) if key else None
        if change is None:
            change = asyncio.ensure_future(make())
            self._at_work.add(change)
            change.add_done_callback(self._over)
            if key:
                self._keep(key, change)
        await asyncio.wait({change}, timeout=wait)
        return change.result() if change.done() else None

    def _over(self, change: asyncio.Future[object]) -> None:
        self._at_work.discard(change)
        if not change.cancelled():
            change.exception()  # Taken note of, because a client that has left asks for no error.

    def _keep(self, key: str, change: asyncio.Future[object]) -> None:
        """Remember a change by its key. Of those that are over, the oldest are forgotten."""
        self._by_key[key] = change
        for old in [one for one, known in self._by_key.items() if known.done()][:-_MOST_KEPT]:
            del self._by_key[old]

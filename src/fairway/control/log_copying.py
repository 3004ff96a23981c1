"""The copying of the log to object storage from time to time, and once more at the end of the process."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from fairway.spec.errors import FairwayError

_PAUSE_SECONDS = 300.0
_LAST_SECONDS = 10.0
"""Seconds for the last copy. The cluster ends a process that takes longer than 30 for everything."""


class LogCopying:
    """A task that copies the log. A copy that fails is told once, and made later.

    Args:
        copy: copies the log, and returns the name of the copy; empty if nothing is new.
        say: takes lines for the log of the process.
        pause: seconds between two copies.
    """

    def __init__(
        self, copy: Callable[[], str], say: Callable[[str], None], pause: float = _PAUSE_SECONDS
    ) -> None:
        self._copy = copy
        self._say = say
        self._pause = pause
        self._failing = False
        self._one = asyncio.Lock()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Make a last copy, and end."""
        self._task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._once()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            await self._once()

    async def _once(self) -> None:
        async with self._one:
            try:
                name = await asyncio.to_thread(self._copy)
            except FairwayError as error:
                if not self._failing:
                    self._say(f"the log is not copied: {error.message}")
                self._failing = True
                return
            if name:
                self._say(f"the log is copied to {name}")
            self._failing = False

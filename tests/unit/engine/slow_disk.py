"""A disk that answers only when a test lets it."""

import asyncio
import threading

from fairway.engine.outbox import Outbox
from fairway.spec.event import RunEnded
from fairway.spec.run import RunSpec

_PATIENCE = 10.0


class SlowDisk:
    """A disk whose reader waits for the event loop, which hangs if the reader is on it.

    Its outbox reads the file of webhooks from it.
    """

    def __init__(self) -> None:
        self._is_read = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._may_answer = threading.Event()
        self.outbox = Outbox(self._due, aside=asyncio.to_thread)

    def read(self) -> None:
        """Wait until the disk answers."""
        self._loop.call_soon_threadsafe(self._is_read.set)
        # An error of the disk ends no run, and so it has to be an error of another kind.
        assert self._may_answer.wait(_PATIENCE), "the event loop waits for the disk"

    async def answer_once_read(self) -> None:
        """Let the disk answer as soon as somebody reads it."""
        async with asyncio.timeout(_PATIENCE):
            await self._is_read.wait()
        self._may_answer.set()

    def _due(self, spec: RunSpec, started: float, ended: RunEnded) -> None:
        self.read()

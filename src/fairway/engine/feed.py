"""The feed: updates of a run from its engine to its follower in this process.

An update is dropped once the follower asks for the updates after it. So an interrupted follower goes on at its own
position, and memory holds only the updates that nobody has taken yet.
"""

import asyncio
from collections import deque

from fairway.engine.listening import Listener
from fairway.spec.errors import UsageError
from fairway.spec.event import Event
from fairway.spec.quantities import whole_number
from fairway.spec.run import StepSpec
from fairway.spec.update import Kept, News, Noted, Over, Printed, Recalled, Recorded, Update, Waits

_PREFIX = "live-"
_MOST = 2**62
_GATHER_SECONDS = 0.02
"""Seconds for which updates are gathered before the follower gets them. A person does not notice the delay."""


class Feed(Listener):
    """The queue of updates of one run; `take` returns them."""

    def __init__(self) -> None:
        self._waiting: deque[News] = deque()
        self._dropped = 0
        self._more = asyncio.Event()
        self._waking: asyncio.TimerHandle | None = None
        self._error: BaseException | None = None
        self.on_record: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_whole(self) -> bool:
        """True if no update was dropped, so that the run can be followed from the beginning."""
        return not self._dropped

    def begun(self) -> None:
        """Let the submitter of the run go on."""
        if not self.on_record.done():
            self.on_record.set_result(None)

    def event(self, event: Event) -> None:
        """Add a recorded fact."""
        self._add(Recorded(event))

    def recalled(self, spec: StepSpec) -> None:
        """Add a call that was on record already."""
        self._add(Recalled(spec))

    def kept(self, step: str) -> None:
        """Add a step that was done already."""
        self._add(Kept(step))

    def output(self, step: str, attempt: int, data: bytes) -> None:
        """Add a piece of output."""
        self._add(Printed(step, attempt, data))

    def waits(self, step: str, whom: str) -> None:
        """Add a note about waiting."""
        self._add(Waits(step, whom))

    def note(self, text: str) -> None:
        """Add a line about the run as a whole."""
        self._add(Noted(text))

    def end(self, over: Over) -> None:
        """Add the end of the run."""
        self._add(over)
        self._wake()

    def fail(self, error: BaseException) -> None:
        """Raise an error in the follower, after the updates that came before it."""
        self._error = error
        self._wake()
        if not self.on_record.done():
            self.on_record.set_exception(error)
            self.on_record.exception()  # the caller of submit may be gone, and then nobody asks for it

    async def take(self, after: str, wait: float) -> list[Update]:
        """Return the updates after a position. Wait for them at most `wait` seconds.

        Raises:
            UsageError: the follower cannot return to that position.
            BaseException: the error that `fail` was given.
        """
        self._drop(after)
        gathering = self._waking is not None and wait > 0
        if self._error is None and (gathering or not self._waiting):
            self._more.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._more.wait()
            except TimeoutError:
                return []
        if not self._waiting and self._error is not None:
            raise self._error
        first = self._dropped + 1
        return [Update(news, f"{_PREFIX}{number}") for number, news in enumerate(self._waiting, first)]

    def _drop(self, after: str) -> None:
        number = whole_number(after.removeprefix(_PREFIX), _MOST) if after.startswith(_PREFIX) else None
        if not after:
            number = 0
        if number is None or not self._dropped <= number <= self._dropped + len(self._waiting):
            raise UsageError(f"{after[:40]!r} is no position in this run that can be returned to")
        while self._dropped < number:
            self._waiting.popleft()
            self._dropped += 1

    def _add(self, news: News) -> None:
        self._waiting.append(news)
        # A run may record hundreds of facts a second. Its follower is woken for several of them at once, because each time
        # it wakes takes a turn of the loop from the engine.
        if self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._wake)

    def _wake(self) -> None:
        """Let the follower take the updates that are there."""
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        self._more.set()

"""Live pages: regions of HTML that are made once for everybody who looks at them, and sent again when they change.

The regions of a topic are the same for all readers, so they hold nothing that only some people may see, and no forms. Must not
know what is in a region.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import msgspec
from starlette.responses import Response, StreamingResponse

from fairway.pages.visit import SAFE
from fairway.spec.errors import FairwayError

Regions = dict[str, str]
"""HTML by the id of the element that holds it."""


class Look(NamedTuple):
    """All regions as one look found them, and whether the thing was over by then."""

    regions: Regions
    is_over: bool = False


Make = Callable[[], Awaitable[Look]]
"""Function that waits until something may have changed, and looks."""

_PAUSE = 1.0
"""Seconds between two looks at a topic at least. So a run with a thousand changes a second costs as much as one with one."""

_SIGN_OF_LIFE = 15.0
"""Seconds after which a silent stream says something, so that proxies keep it open and a lost reader is noticed."""

_NOTHING: Regions = {}
"""The regions that a reader was told who has just come. It is one object for all of them, so that they are told the same."""


class _Topic:
    """The regions that one thing has now, and the readers who wait for the next.

    Attributes:
        looks: the number of looks that have begun.
        seen: the number of the look whose regions these are.
        awaited: the numbers of the looks that somebody waits for to hear anything at all.
    """

    def __init__(self) -> None:
        self.regions: Regions = {}
        self.readers = self.looks = self.seen = 0
        self.awaited: set[int] = set()
        self.is_over = False
        self.news = asyncio.Event()
        self.work: asyncio.Task[None] | None = None
        self._told: tuple[Regions, Regions, bytes] = _NOTHING, _NOTHING, b""

    def since(self, told: Regions) -> bytes:
        """Return an event for each region that is different from what a reader was told.

        The readers of a topic were mostly told the same, so the events are made once for all of those.
        """
        before, regions, events = self._told
        if before is not told or regions is not self.regions:
            events = _changes(told, self.regions)
            self._told = told, self.regions, events
        return events

    def publish(self, regions: Regions, *, over: bool = False) -> None:
        """Publish regions. All readers wake if something is different, or if it is the first that one of them hears."""
        self.seen = self.looks
        due = {look for look in self.awaited if look <= self.seen}
        self.awaited -= due
        if regions == self.regions and not due and not over:
            return
        self.regions, self.is_over = regions, over
        waiting, self.news = self.news, asyncio.Event()
        waiting.set()


class Live:
    """The topics that somebody looks at.

    Args:
        closing: is set when the process stops. All streams end then.
    """

    def __init__(self, closing: asyncio.Event) -> None:
        self._closing = closing
        self._topics: dict[str, _Topic] = {}
        self._ending: asyncio.Task[None] | None = None

    def stream(self, name: str, make: Make) -> Response:
        """Return the stream of a topic's regions as server-sent events.

        Args:
            name: the name of the topic, such as "run k7m2".
            make: makes the regions. It is called while somebody looks, by one task for all of them.
        """
        headers = SAFE | {"x-accel-buffering": "no"}
        return StreamingResponse(self._events(name, make), 200, headers, "text/event-stream")

    async def _events(self, name: str, make: Make) -> AsyncIterator[bytes]:
        topic = self._joined(name, make)
        joined = topic.looks
        sent = _NOTHING
        try:
            yield b"retry: 2000\n\n"
            while not self._closing.is_set():
                news = topic.news
                # A look that began before this reader came may have seen less than the page shows already.
                if topic.seen > joined:
                    events, sent = topic.since(sent), topic.regions
                    if events:
                        yield events
                    if topic.is_over:
                        yield b"event: over\ndata: {}\n\n"
                        return
                elif topic.is_over:
                    self._leave(name, topic)
                    topic = self._joined(name, make)
                    joined = topic.looks
                    continue
                if not await _heard(news):
                    yield b": still here\n\n"
        finally:
            self._leave(name, topic)

    def _joined(self, name: str, make: Make) -> _Topic:
        """Return the topic of a name, with one more reader. One that is over is not gone back to: a run may be resumed."""
        # One task ends all streams. A task for each would be as much work at every change as the change itself.
        self._ending = self._ending or asyncio.get_running_loop().create_task(self._end())
        topic = self._topics.get(name)
        if topic is None or topic.is_over:
            topic = self._topics[name] = _Topic()
        topic.readers += 1
        topic.awaited.add(topic.looks + 1)
        if topic.work is None:
            topic.work = asyncio.get_running_loop().create_task(self._watch(topic, make))
        return topic

    def _leave(self, name: str, topic: _Topic) -> None:
        topic.readers -= 1
        if not topic.readers:
            assert topic.work is not None
            topic.work.cancel()
            if self._topics.get(name) is topic:
                del self._topics[name]

    async def _watch(self, topic: _Topic, make: Make) -> None:
        while not topic.is_over:
            topic.looks += 1
            try:
                look = await make()
            except FairwayError:
                # What cannot be read now may be there at the next look. Until then the page keeps what it shows.
                look = Look(topic.regions)
            except Exception:
                # A defect must not leave readers waiting for ever. The error itself ends in the log of the process.
                topic.publish(topic.regions, over=True)
                raise
            # A run may be resumed and end again between two looks, so it is over only if the last look saw the same.
            topic.publish(look.regions, over=look.is_over and look.regions == topic.regions)
            await asyncio.sleep(_PAUSE)

    async def _end(self) -> None:
        """Wait for the end of the process, and wake all readers then."""
        await self._closing.wait()
        for topic in self._topics.values():
            topic.news.set()


async def _heard(news: asyncio.Event) -> bool:
    """Wait for news. Return False when there was none for a while."""
    try:
        async with asyncio.timeout(_SIGN_OF_LIFE):
            await news.wait()
    except TimeoutError:
        return False
    return True


def _changes(old: Regions, new: Regions) -> bytes:
    """Return an event for each region that is different."""
    return b"".join(
        b"event: region\ndata: " + msgspec.json.encode({"id": key, "html": html}) + b"\n\n"
        for key, html in new.items()
        if old.get(key) != html
    )

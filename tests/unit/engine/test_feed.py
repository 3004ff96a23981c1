"""Updates of a run in this process: each is given once, and kept until the follower has asked for what comes behind it."""

import asyncio

import pytest

from fairway.engine.feed import Feed
from fairway.spec.errors import StorageError, UsageError
from fairway.spec.update import Noted, Update


def texts(updates: list[Update]) -> list[str]:
    return [update.news.text for update in updates if isinstance(update.news, Noted)]


def test_what_was_not_asked_beyond_is_given_again() -> None:
    async def work() -> None:
        feed = Feed()
        for text in "abc":
            feed.note(text)
        updates = await feed.take("", 0)
        assert texts(updates) == ["a", "b", "c"]
        assert texts(await feed.take(updates[0].position, 0)) == ["b", "c"]
        assert not feed.is_whole
        assert texts(await feed.take(updates[2].position, 0)) == []

    asyncio.run(work())


def test_a_position_that_was_passed_is_refused() -> None:
    async def work() -> None:
        feed = Feed()
        feed.note("a")
        feed.note("b")
        updates = await feed.take("", 0)
        await feed.take(updates[1].position, 0)
        for after in ("", updates[0].position, "live-9", "live-x", "1.0.0."):
            with pytest.raises(UsageError):
                await feed.take(after, 0)

    asyncio.run(work())


def test_who_waits_is_given_what_comes() -> None:
    async def work() -> None:
        feed = Feed()
        waiting = asyncio.create_task(feed.take("", 30))
        await asyncio.sleep(0)
        feed.note("a")
        assert texts(await waiting) == ["a"]

    asyncio.run(work())


def test_a_failure_comes_behind_what_came_before_it() -> None:
    async def work() -> None:
        feed = Feed()
        feed.note("a")
        feed.fail(StorageError("the disk is full"))
        updates = await feed.take("", 0)
        assert texts(updates) == ["a"]
        with pytest.raises(StorageError):
            await feed.take(updates[0].position, 30)
        with pytest.raises(StorageError):
            await feed.on_record

    asyncio.run(work())

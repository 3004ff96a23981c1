"""Changes that outlive the connections of those who asked for them."""

import asyncio

import pytest

from fairway.control.changes import _MOST_KEPT, KeyedChanges
from fairway.spec.errors import NotFound


class Work:
    """A change that is over when it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.let_go = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        await self.let_go.wait()
        return "over"


def test_a_request_that_is_sent_again_joins_the_change_that_it_began() -> None:
    async def work() -> None:
        changes, change = KeyedChanges(), Work()
        assert await changes.outcome("key", change, 0.0) is None
        assert await changes.outcome("key", change, 0.01) is None
        change.let_go.set()
        assert await changes.outcome("key", change, 20.0) == "over"
        assert await changes.outcome("key", change, 0.0) == "over"
        assert change.begun == 1

    asyncio.run(work())


def test_another_key_and_no_key_begin_changes_of_their_own() -> None:
    async def work() -> None:
        changes, change = KeyedChanges(), Work()
        change.let_go.set()
        for key in ("one", "two", "", ""):
            assert await changes.outcome(key, change, None) == "over"
        assert change.begun == 4

    asyncio.run(work())


def test_a_change_goes_on_when_its_client_leaves() -> None:
    async def work() -> None:
        changes, change = KeyedChanges(), Work()
        asking = asyncio.ensure_future(changes.outcome("key", change, None))
        while not change.begun:
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        change.let_go.set()
        assert await changes.outcome("key", change, 20.0) == "over"

    asyncio.run(work())


def test_everybody_who_asks_gets_the_refusal() -> None:
    async def refuse() -> object:
        raise NotFound("there is no such model")

    async def work() -> None:
        changes = KeyedChanges()
        for _ in range(2):
            with pytest.raises(NotFound):
                await changes.outcome("key", refuse, None)

    asyncio.run(work())


def test_only_the_newest_outcomes_are_kept() -> None:
    async def work() -> None:
        changes, change = KeyedChanges(), Work()
        change.let_go.set()
        for number in range(2 * _MOST_KEPT):
            await changes.outcome(str(number), change, None)
        assert len(changes._by_key) <= _MOST_KEPT + 1

    asyncio.run(work())

"""A live page goes on through an error that may pass, and ends at a defect."""

import asyncio

import pytest

from fairway.pages import live
from fairway.pages.live import Live, Look
from fairway.spec.errors import StorageError


def heard(monkeypatch: pytest.MonkeyPatch, *looks: Look | Exception) -> list[bytes]:
    """The events of a stream whose regions are made by these looks, one after the other."""
    monkeypatch.setattr(live, "_PAUSE", 0.0)
    left = list(looks)

    async def make() -> Look:
        await asyncio.sleep(0.01)
        look = left.pop(0)
        if isinstance(look, Exception):
            raise look
        return look

    async def work() -> list[bytes]:
        response = Live(asyncio.Event()).stream("run k7m2", make)
        return [bytes(event) async for event in response.body_iterator]  # type: ignore[attr-defined]

    return asyncio.run(asyncio.wait_for(work(), 60))


def test_an_error_that_may_pass_leaves_the_page_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Look({"a": "two"}, is_over=True)
    events = heard(monkeypatch, Look({"a": "one"}), StorageError("the disk is away"), two, two)
    assert [event.partition(b"\n")[0] for event in events[1:]] == [
        b"event: region",
        b"event: region",
        b"event: over",
    ]
    assert b"one" in events[1]
    assert b"two" in events[2]


def test_a_defect_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    events = heard(monkeypatch, Look({"a": "one"}), ValueError("a defect"))
    assert events[-1].startswith(b"event: over")


def test_what_goes_on_and_ends_again_between_two_looks_is_told_with_its_last_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cancelled, done = Look({"state": "cancelled"}, is_over=True), Look({"state": "done"}, is_over=True)
    events = heard(monkeypatch, cancelled, done, done)
    assert [b"done" in event for event in events[1:]] == [False, True, False]
    assert events[-1].startswith(b"event: over")


def test_who_comes_while_an_old_look_is_under_way_hears_only_of_a_later_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "_PAUSE", 0.0)

    async def work() -> tuple[list[bytes], list[bytes]]:
        under_way, go_on = asyncio.Event(), asyncio.Event()
        cancelled, running = (
            Look({"state": "cancelled"}, is_over=True),
            Look({"state": "running"}, is_over=True),
        )
        looks = [cancelled, cancelled, running, running]

        async def make() -> Look:
            look = looks.pop(0)
            if len(looks) == 2:
                under_way.set()
                await go_on.wait()
            return look

        topics = Live(asyncio.Event())

        async def read() -> list[bytes]:
            stream = topics.stream("run k7m2", make)
            return [bytes(event) async for event in stream.body_iterator]  # type: ignore[attr-defined]

        first = asyncio.ensure_future(read())
        await under_way.wait()
        second = asyncio.ensure_future(read())
        await asyncio.sleep(0.01)
        go_on.set()
        return await first, await second

    first, second = asyncio.run(asyncio.wait_for(work(), 60))
    assert [event for event in first if b"cancelled" in event]
    assert first[-1].startswith(b"event: over")
    assert not [event for event in second if b"cancelled" in event]
    assert [event for event in second if b"running" in event]


def test_who_comes_to_what_does_not_change_hears_how_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PAUSE", 0.0)

    async def work() -> None:
        async def make() -> Look:
            await asyncio.sleep(0.001)
            return Look({"state": "running"})

        topics = Live(asyncio.Event())
        for _ in range(3):
            stream = topics.stream("run k7m2", make).body_iterator  # type: ignore[attr-defined]
            told = [bytes(await anext(stream)) for _ in range(2)]
            assert b"running" in told[1]

    asyncio.run(asyncio.wait_for(work(), 60))


def test_the_events_of_a_change_are_made_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PAUSE", 0.0)
    made: list[dict[str, str]] = []
    changes = live._changes

    def counted(old: dict[str, str], new: dict[str, str]) -> bytes:
        made.append(new)
        return changes(old, new)

    monkeypatch.setattr(live, "_changes", counted)

    async def work() -> list[list[bytes]]:
        steps = [Look({"state": str(step), "head": "same"}) for step in range(5)]
        looks = [*steps, *[Look({"state": "done"}, is_over=True)] * 2]

        async def make() -> Look:
            # Every reader hears of a change before the next one.
            await asyncio.sleep(0.05)
            return looks.pop(0)

        topics = Live(asyncio.Event())

        async def read() -> list[bytes]:
            stream = topics.stream("run k7m2", make)
            return [bytes(event) async for event in stream.body_iterator]  # type: ignore[attr-defined]

        return await asyncio.gather(*(read() for _ in range(30)))

    heard = asyncio.run(asyncio.wait_for(work(), 60))
    assert all(one == heard[0] for one in heard)
    assert [event.count(b"event: region") for event in heard[0][1:-1]] == [2, 1, 1, 1, 1, 1]
    assert len(made) <= 8


def test_all_streams_end_when_the_process_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    # A stream that is not woken would end at its next sign of life.
    monkeypatch.setattr(live, "_SIGN_OF_LIFE", 600.0)

    async def work() -> None:
        closing = asyncio.Event()
        topics = Live(closing)

        async def make() -> Look:
            return Look({"state": "running"})

        async def read(name: str, told: list[bytes]) -> None:
            async for event in topics.stream(name, make).body_iterator:  # type: ignore[attr-defined]
                told.append(bytes(event))

        heard: list[list[bytes]] = [[] for _ in range(9)]
        reading = [
            asyncio.ensure_future(read(f"run {number % 3}", told)) for number, told in enumerate(heard)
        ]
        while any(len(told) < 2 for told in heard):
            await asyncio.sleep(0.01)
        closing.set()
        await asyncio.gather(*reading)
        assert all(b"running" in told[1] for told in heard)

    asyncio.run(asyncio.wait_for(work(), 60))


def test_a_silent_stream_says_that_it_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_SIGN_OF_LIFE", 0.01)

    async def work() -> None:
        async def make() -> Look:
            await asyncio.sleep(60)
            raise AssertionError

        stream = Live(asyncio.Event()).stream("run k7m2", make).body_iterator  # type: ignore[attr-defined]
        told = [bytes(await anext(stream)) for _ in range(3)]
        assert told[1:] == [b": still here\n\n"] * 2
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(asyncio.wait_for(work(), 60))

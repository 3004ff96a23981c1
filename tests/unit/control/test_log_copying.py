"""The copies of a log while a control plane is at work, and at its end."""

import asyncio
import threading

from fairway.control.log_copying import LogCopying
from fairway.spec.errors import StorageError


def test_the_log_is_copied_from_time_to_time_and_at_the_end() -> None:
    said: list[str] = []
    third = threading.Event()

    def copy() -> str:
        if len(said) == 2:
            third.set()
        return f"copy-{len(said)}"

    async def work() -> None:
        copying = LogCopying(copy, said.append, pause=0.01)
        await asyncio.to_thread(third.wait, 30)
        before = len(said)
        await copying.close()
        assert len(said) > before
        after = len(said)
        await asyncio.sleep(0.05)
        assert len(said) == after

    asyncio.run(work())
    assert said[0] == "the log is copied to copy-0"


def test_a_store_that_is_away_is_told_once_and_a_later_copy_is_made() -> None:
    said: list[str] = []
    tries: list[int] = []
    done = threading.Event()

    def copy() -> str:
        tries.append(1)
        if len(tries) < 4:
            raise StorageError("the store does not answer")
        done.set()
        return "copy"

    async def work() -> None:
        copying = LogCopying(copy, said.append, pause=0.01)
        await asyncio.to_thread(done.wait, 30)
        await copying.close()

    asyncio.run(work())
    assert said[:2] == ["the log is not copied: the store does not answer", "the log is copied to copy"]


def test_a_last_copy_that_hangs_does_not_hold_the_end(monkeypatch) -> None:
    monkeypatch.setattr("fairway.control.log_copying._LAST_SECONDS", 0.1)
    go = threading.Event()

    def copy() -> str:
        go.wait(30)
        return ""

    async def work() -> None:
        copying = LogCopying(copy, lambda line: None)
        async with asyncio.timeout(60):
            await copying.close()
        go.set()

    asyncio.run(work())

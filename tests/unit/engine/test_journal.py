"""Facts on their way into the log, where whoever waits for the disk is stopped."""

import asyncio
import logging
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fakes import FakeClock

from fairway.engine.journal import Journal
from fairway.engine.listening import Listener
from fairway.spec.event import RunCancelling


def test_a_wait_for_the_disk_that_is_stopped_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    given_up: list[BaseException] = []
    never: Future[int] = Future()

    async def work() -> None:
        metadata = cast("Any", SimpleNamespace(submit=lambda events: never))
        journal = Journal(metadata, FakeClock(), Listener(), "r", given_up.append)
        journal.record(RunCancelling())
        waiting = asyncio.get_running_loop().create_task(journal.flush())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with caplog.at_level(logging.ERROR, logger="concurrent.futures"):
        asyncio.run(work())
    assert never.cancelled()
    assert caplog.records == []
    assert given_up == []

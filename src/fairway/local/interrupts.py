"""Signals for the event loop of a run, and the start of a loop for callers that already have one."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class Interrupts:
    """A block with signal handlers for a run: the first Ctrl-C cancels with grace, the second at once. A hangup is ignored."""

    def __init__(self, cancel: Callable[..., None]) -> None:
        self._cancel = cancel
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._asked)
        self._loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _asked(self) -> None:
        self._count += 1
        if self._count == 1:
            self._cancel()
        else:
            self._cancel(grace=0.0)

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                with suppress(ValueError, RuntimeError):
                    self._loop.remove_signal_handler(number)


def _has_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def blocking(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end. If this thread already has an event loop, as in a notebook, use another thread."""
    if not _has_a_loop():
        return asyncio.run(work)
    outcome: list[T] = []
    errors: list[BaseException] = []

    def main() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=main, name="fairway")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]

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
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            # Signals reach the main thread alone. `blocking` waits there, and passes them on.
            _in_threads[threading.get_ident()] = self
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._asked)
        self._loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _asked(self) -> None:
        self._count += 1
        if self._count == 1:
            self._cancel()
        else:
            self._cancel(grace=0.0)

    def ask(self) -> None:
        """Do what Ctrl-C does, from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked)

    def __exit__(self, *_: object) -> None:
        if _in_threads.pop(threading.get_ident(), None) is None and self._loop is not None:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                with suppress(ValueError, RuntimeError):
                    self._loop.remove_signal_handler(number)


_in_threads: dict[int, Interrupts] = {}
"""The interrupts of the runs in threads other than the main one, by thread."""


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
    done = threading.Event()

    def main() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=main, name="fairway")
    thread.start()
    # An event, because a join that was interrupted once takes the thread for ended.
    while not done.is_set():
        try:
            done.wait()
        except KeyboardInterrupt:
            run = _in_threads.get(thread.ident or 0)
            if run is None:
                raise
            # The run ends its steps, and then so does the thread.
            run.ask()
    if errors:
        raise errors[0]
    return outcome[0]

"""Batches for functions that take a list: requests that arrive during one call make up the next call."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from fairway.server.answers import too_many
from fairway.server.results import plain

Run = Callable[[tuple[list[object]]], Awaitable[Any]]


class ListBatcher:
    """A bounded queue in front of a function that takes a list and returns a list of the same length.

    Args:
        run: calls the function with its arguments.
        queue: maximum number of requests that wait.
        batch: maximum number of items in one call; a larger request is a call of its own.
        seen: called with the size of every call.
    """

    def __init__(self, run: Run, queue: int, batch: int, seen: Callable[[int], None]) -> None:
        self._run = run
        self._limit = queue
        self._batch = batch
        self._seen = seen
        self._waiting: deque[tuple[list[object], asyncio.Future[list[object]]]] = deque()
        self._working: asyncio.Task[None] | None = None

    def submit(self, items: list[object]) -> "asyncio.Future[list[object]]":
        """Add the items of one request to the queue. Raises Refusal 429 if it is full."""
        if len(self._waiting) >= self._limit:
            raise too_many()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[object]] = loop.create_future()
        self._waiting.append((items, future))
        if self._working is None:
            self._working = loop.create_task(self._work())
        return future

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = self._next()
                if batch:
                    await self._call(batch)
        finally:
            self._working = None

    def _next(self) -> "list[tuple[list[object], asyncio.Future[list[object]]]]":
        batch: list[tuple[list[object], asyncio.Future[list[object]]]] = []
        size = 0
        while self._waiting:
            items, future = self._waiting[0]
            if future.done():
                self._waiting.popleft()
                continue
            if batch and size + len(items) > self._batch:
                break
            batch.append(self._waiting.popleft())
            size += len(items)
        return batch

    async def _call(self, batch: "list[tuple[list[object], asyncio.Future[list[object]]]]") -> None:
        joined = [item for items, _ in batch for item in items]
        self._seen(len(joined))
        try:
            answers = _listed(await self._run((joined,)))
            if len(answers) != len(joined):
                raise ValueError(f"it returned {len(answers)} answers for {len(joined)} requests")
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
            else:
                # One bad request fails the whole call. Calling each request alone finds it and spares the others.
                for single in batch:
                    await self._call([single])
            return
        start = 0
        for items, future in batch:
            if not future.done():
                future.set_result(answers[start : start + len(items)])
            start += len(items)


def _listed(answers: Any) -> list[object]:
    """Return the answers as a list. Raises TypeError for a value whose items are not answers, such as a dict."""
    if hasattr(answers, "columns"):
        return _listed(plain(answers))
    kind = cast("type[object]", type(answers))
    listed = (
        isinstance(answers, Sequence | Iterator) or hasattr(answers, "tolist") or hasattr(answers, "to_list")
    )
    if not listed or isinstance(answers, str | bytes):
        raise TypeError(
            f"it returned a {kind.__name__}, and a batched function returns a list with an answer for each item"
        )
    return list(cast("Iterable[object]", answers))


def _fail(future: "asyncio.Future[list[object]]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)

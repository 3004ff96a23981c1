"""Micro-batches of what has already arrived, never of what a timer waits for.

A batch is closed when turns of the event loop, in which answers are sent and requests are read, brought it nobody new, or
when nobody else is on the way; a request that is the only one is computed at once. A quick model computes in the loop
itself, where a hand-over to a thread would cost more than it gains; a slow one computes in one thread, and what arrives
meanwhile joins the next batch. Knows arrays by name and no protocol.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from fairway.server.answers import too_many

Arrays = dict[str, Any]
Predict = Callable[[Arrays], Arrays]

_INLINE_SECONDS = 0.002
_STEP = 1.25


class Waiting:
    """One request in the queue."""

    __slots__ = ("future", "inputs", "rows", "shape")

    def __init__(self, inputs: Arrays, future: "asyncio.Future[Arrays]") -> None:
        self.inputs = inputs
        self.future = future
        self.rows = len(next(iter(inputs.values())))
        self.shape = [(array.shape[1:], array.dtype) for array in inputs.values()]


class Batcher:
    """Feeds a predictor from a bounded queue.

    Args:
        predict: computes outputs by name for inputs by name; rows are the first dimension.
        queue: requests that may wait.
        batch: rows computed at once at most; a larger single request is computed alone.
        seen: told the rows of every batch.
        under_way: how many requests have been read and not answered, whether they are in the queue yet or not.
    """

    def __init__(
        self,
        predict: Predict,
        queue: int,
        batch: int,
        seen: Callable[[int], None],
        under_way: Callable[[], int] = lambda: 0,
    ) -> None:
        self._under_way = under_way
        self._predict = predict
        self._limit = queue
        self._batch = batch
        self._seen = seen
        self._waiting: deque[Waiting] = deque()
        self._scheduled = False
        self._computing = False
        self._known = 0
        self._patient = True
        self._pace = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: ThreadPoolExecutor | None = None

    @property
    def depth(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def quick(self) -> bool:
        """Whether the model computes in the event loop."""
        return self._pace < _INLINE_SECONDS

    @property
    def free(self) -> bool:
        """Whether a request would be computed in the loop, now and by itself: then queueing it gains nothing."""
        return self.quick and not self._waiting and not self._computing and self._under_way() == 1

    def compute(self, inputs: Arrays) -> Arrays:
        """The outputs for one request, without the queue; for when `free` holds."""
        self._seen(len(next(iter(inputs.values()))))
        begun = time.perf_counter()
        try:
            return self._predict(inputs)
        finally:
            self._learn(time.perf_counter() - begun)

    def submit(self, inputs: Arrays) -> "asyncio.Future[Arrays]":
        """Queue a request. Cancelling the future before its turn takes it out. Raises Refusal 429."""
        if len(self._waiting) >= self._limit:
            raise too_many()
        loop = self._loop = self._loop or asyncio.get_running_loop()
        future: asyncio.Future[Arrays] = loop.create_future()
        self._waiting.append(Waiting(inputs, future))
        if not self._scheduled and not self._computing:
            self._schedule(loop)
        return future

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = True
        self._known = len(self._waiting)
        self._patient = True
        loop.call_soon(self._turn, loop)

    def _others_come(self) -> bool:
        """Whether the batch should stay open for one more turn. One turn without anybody new is allowed."""
        count = len(self._waiting)
        if count >= self._batch or count >= self._under_way():
            return False
        grown, self._known = count > self._known, count
        again, self._patient = grown or self._patient, grown
        return again

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._others_come():
            loop.call_soon(self._turn, loop)
            return
        self._scheduled = False
        while self._waiting and not self._computing:
            batch = self._next()
            if not batch:
                continue
            self._seen(sum(item.rows for item in batch))
            if self.quick:
                self._settle(batch, self._timed(batch))
            else:
                self._computing = True
                loop.run_in_executor(self._pool(), self._timed, batch).add_done_callback(
                    lambda done, batch=batch: self._computed(loop, batch, done.result())
                )

    def _computed(
        self, loop: asyncio.AbstractEventLoop, batch: list[Waiting], outcomes: list[Arrays | Exception]
    ) -> None:
        self._computing = False
        self._settle(batch, outcomes)
        if self._waiting:
            self._schedule(loop)

    def _next(self) -> list[Waiting]:
        """The requests at the head of the queue that fit into one batch; those given up are dropped."""
        batch: list[Waiting] = []
        rows = 0
        while self._waiting:
            first = self._waiting[0]
            if first.future.done():
                self._waiting.popleft()
                continue
            if batch and (rows + first.rows > self._batch or first.shape != batch[0].shape):
                break
            batch.append(self._waiting.popleft())
            rows += first.rows
        return batch

    def _timed(self, batch: list[Waiting]) -> list[Arrays | Exception]:
        begun = time.perf_counter()
        outcomes = self._compute(batch)
        self._learn(time.perf_counter() - begun)
        return outcomes

    def _learn(self, seconds: float) -> None:
        """Follow the median: a batch that the machine held up moves the pace by one step, however long it took."""
        if not self._pace:
            self._pace = seconds
        self._pace *= _STEP if seconds > self._pace else 1 / _STEP

    def _compute(self, batch: list[Waiting]) -> list[Arrays | Exception]:
        if len(batch) == 1:
            return [self._one(batch[0])]
        try:
            joined = {name: np.concatenate([item.inputs[name] for item in batch]) for name in batch[0].inputs}
            outputs = self._predict(joined)
        except Exception:
            return [self._one(item) for item in batch]
        outcomes: list[Arrays | Exception] = []
        start = 0
        for item in batch:
            end = start + item.rows
            outcomes.append({name: array[start:end] for name, array in outputs.items()})
            start = end
        return outcomes

    def _one(self, item: Waiting) -> Arrays | Exception:
        try:
            return self._predict(item.inputs)
        except Exception as error:
            return error

    @staticmethod
    def _settle(batch: list[Waiting], outcomes: list[Arrays | Exception]) -> None:
        for item, outcome in zip(batch, outcomes, strict=True):
            if item.future.done():
                continue
            if isinstance(outcome, Exception):
                item.future.set_exception(outcome)
            else:
                item.future.set_result(outcome)

    def _pool(self) -> ThreadPoolExecutor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        return self._thread

"""Micro-batches of what has already arrived, never of what a timer waits for.

Requests that were read in one turn of the event loop are computed together; one that nobody else is behind is computed at
once. A quick model computes in the loop itself, where a hand-over to a thread would cost more than it gains; a slow one
computes in one thread, and what arrives meanwhile is the next batch. Knows arrays by name and no protocol.
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
_WEIGHT = 0.2


class Waiting:
    """One request in the queue."""

    __slots__ = ("future", "inputs", "rows", "shape")

    def __init__(self, inputs: Arrays, future: "asyncio.Future[Arrays]") -> None:
        self.inputs = inputs
        self.future = future
        self.rows = len(next(iter(inputs.values())))
        self.shape = tuple((array.shape[1:], array.dtype.str) for array in inputs.values())


class Batcher:
    """Feeds a predictor from a bounded queue.

    Args:
        predict: computes outputs by name for inputs by name; rows are the first dimension.
        queue: requests that may wait.
        batch: rows computed at once at most; a larger single request is computed alone.
        seen: told the rows of every batch.
        alone: whether no other request has been read that could join a batch.
    """

    def __init__(
        self,
        predict: Predict,
        queue: int,
        batch: int,
        seen: Callable[[int], None],
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._alone = alone
        self._predict = predict
        self._limit = queue
        self._batch = batch
        self._seen = seen
        self._waiting: deque[Waiting] = deque()
        self._scheduled = False
        self._computing = False
        self._pace = 0.0
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
        return self.quick and not self._waiting and not self._computing and self._alone()

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
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Arrays] = loop.create_future()
        self._waiting.append(Waiting(inputs, future))
        if not self._scheduled and not self._computing:
            self._scheduled = True
            loop.call_soon(self._turn)
        return future

    def _turn(self) -> None:
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
                asyncio.get_running_loop().run_in_executor(
                    self._pool(), self._timed, batch
                ).add_done_callback(lambda done, batch=batch: self._computed(batch, done.result()))

    def _computed(self, batch: list[Waiting], outcomes: list[Arrays | Exception]) -> None:
        self._computing = False
        self._settle(batch, outcomes)
        self._turn()

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
        self._pace += _WEIGHT * (seconds - self._pace)

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

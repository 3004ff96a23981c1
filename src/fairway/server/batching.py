"""Batches of the requests that have already arrived. No timer waits for more.

The batch is closed when two turns of the event loop in a row added nobody, or when every request that was read is in it. A
request that is alone is computed at once.

A quick model computes in the event loop, because handing over to a thread would cost more than it gains. A slow model computes
in one thread, and requests that arrive meanwhile go into the next batch. Knows arrays by name and no protocol.
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
    """A request in the queue."""

    __slots__ = ("future", "inputs", "rows", "shape")

    def __init__(self, inputs: Arrays, future: "asyncio.Future[Arrays]") -> None:
        self.inputs = inputs
        self.future = future
        self.rows = len(next(iter(inputs.values())))
        self.shape = [(array.shape[1:], array.dtype) for array in inputs.values()]


class Batcher:
    """A bounded queue in front of a predictor, which computes several requests at once.

    Args:
        predict: computes outputs by name for inputs by name; rows are the first dimension.
        queue: maximum number of requests that wait.
        batch: maximum number of rows computed at once; a larger request is computed alone.
        seen: called with the number of rows of every batch.
        under_way: returns the number of requests that were read and not answered, in the queue or before it.
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
        """Number of requests that wait."""
        return len(self._waiting)

    @property
    def quick(self) -> bool:
        """True if the model is quick enough to compute in the event loop."""
        return self._pace < _INLINE_SECONDS

    @property
    def free(self) -> bool:
        """True if a request would be computed at once and alone in the event loop, so that the queue gains nothing."""
        return self.quick and not self._waiting and not self._computing and self._under_way() == 1

    def compute(self, inputs: Arrays) -> Arrays:
        """Compute one request without the queue. Call it only while `free` is true."""
        self._seen(len(next(iter(inputs.values()))))
        begun = time.perf_counter()
        try:
            return self._predict(inputs)
        finally:
            self._learn(time.perf_counter() - begun)

    def submit(self, inputs: Arrays) -> "asyncio.Future[Arrays]":
        """Add a request to the queue; a cancelled one is dropped at its turn. Raises Refusal 429 if the queue is full."""
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
        # Not computed here: requests that this turn of the loop has still to read can then join the batch.
        loop.call_soon(self._turn, loop)

    def _others_come(self) -> bool:
        """Return true if the batch stays open for one more turn of the loop. One turn may add nobody; a second one closes it.

        Clients answer a batch with new requests. Sending the answers takes one turn and reading the requests another, so a
        batch that closed after one quiet turn would miss them.
        """
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
            # `quick` can change from one batch to the next, so it is asked for each of them.
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
        """Take the requests from the head of the queue that fit into one batch. Drop those that were given up."""
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
        """Move the pace by one step towards the duration of a batch, so that it follows the median.

        With a mean, one batch that the machine delayed would send a quick model to the thread for a long time.
        """
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
            # One request can fail the whole batch. Computed alone, only that one fails.
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

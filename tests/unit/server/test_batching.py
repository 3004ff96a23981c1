import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from fairway.server.answers import Refusal
from fairway.server.batching import Arrays, Batcher


class Model:
    """Doubles its input and remembers the rows of each call, and on which thread it was called."""

    def __init__(self, seconds: float = 0.0, refuse: float | None = None) -> None:
        self.calls: list[int] = []
        self.threads: list[str] = []
        self._seconds = seconds
        self._refuse = refuse
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, inputs: Arrays) -> Arrays:
        self.calls.append(len(inputs["x"]))
        self.threads.append(threading.current_thread().name)
        time.sleep(self._seconds)
        assert self.gate.wait(60), "the loop waits for the model"
        if self._refuse is not None and (inputs["x"] == self._refuse).any():
            raise ValueError("not that one")
        return {"y": inputs["x"] * 2}


def row(*values: float) -> Arrays:
    return {"x": np.array(values, dtype=np.float32)}


def batcher(
    model: Model, under_way: Callable[[], int] = lambda: 0, **bounds: int
) -> tuple[Batcher, list[int]]:
    seen: list[int] = []
    made = Batcher(model, bounds.get("queue", 64), bounds.get("batch", 8), seen.append, under_way)
    return made, seen


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 120))


def test_what_arrives_in_one_turn_is_computed_together_and_everybody_gets_their_own_rows() -> None:
    async def work() -> None:
        model = Model()
        batch, seen = batcher(model)
        answers = await asyncio.gather(batch.submit(row(1)), batch.submit(row(2, 3)), batch.submit(row(4)))
        assert [answer["y"].tolist() for answer in answers] == [[2], [4, 6], [8]]
        assert model.calls == [4]
        assert seen == [4]

    run(work)


def test_a_batch_stays_open_while_requests_that_were_read_are_on_their_way() -> None:
    async def work() -> None:
        model, coming = Model(), 3
        batch, _ = batcher(model, lambda: coming)
        first = batch.submit(row(1))
        await asyncio.sleep(0)
        second = batch.submit(row(2))
        await asyncio.sleep(0)
        third = batch.submit(row(3))
        await asyncio.gather(first, second, third)
        assert model.calls == [3]

    run(work)


def test_a_batch_is_closed_when_two_turns_brought_nobody_though_somebody_is_on_the_way() -> None:
    async def work() -> None:
        model = Model()
        batch, _ = batcher(model, lambda: 5)
        waiting = batch.submit(row(1))
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns <= 4
        assert model.calls == [1]

    run(work)


def test_a_batch_that_everybody_who_was_read_is_in_waits_for_no_further_turn() -> None:
    async def work() -> None:
        batch, _ = batcher(Model(), lambda: 2)
        waiting = [batch.submit(row(1)), batch.submit(row(2))]
        await asyncio.sleep(0)
        assert all(one.done() for one in waiting)

    run(work)


def test_only_a_request_that_nobody_is_behind_is_computed_at_once() -> None:
    async def work() -> None:
        model, under_way = Model(), 1
        batch, seen = batcher(model, lambda: under_way)
        assert batch.free
        assert batch.compute(row(5))["y"].tolist() == [10]
        assert seen == [1]
        under_way = 2
        assert not batch.free
        under_way = 1
        waiting = batch.submit(row(1))
        assert not batch.free
        await waiting
        for _ in range(100):  # one that the machine held up counts as slow until quicker ones follow
            if batch.free:
                return
            await batch.submit(row(1))
        pytest.fail("it stays busy")

    run(work)


def test_no_batch_is_larger_than_asked_but_one_large_request_is_computed_alone() -> None:
    async def work() -> None:
        model = Model()
        batch, _ = batcher(model, batch=4)
        await asyncio.gather(*(batch.submit(row(1, 2, 3)) for _ in range(2)), batch.submit(row(*range(9))))
        assert model.calls == [3, 3, 9]

    run(work)


def test_rows_of_other_shapes_are_not_put_into_one_batch() -> None:
    async def work() -> None:
        model = Model()
        batch, _ = batcher(model)
        wide = {"x": np.ones((1, 3), dtype=np.float32)}
        narrow = {"x": np.ones((1, 2), dtype=np.float32)}
        await asyncio.gather(*map(batch.submit, (wide, narrow)))
        await asyncio.gather(*map(batch.submit, (wide, {"x": np.ones((1, 3))})))
        assert model.calls == [1, 1, 1, 1]

    run(work)


def test_one_bad_request_spoils_no_other_of_its_batch() -> None:
    async def work() -> None:
        batch, _ = batcher(Model(refuse=13))
        answers = await asyncio.gather(
            batch.submit(row(1)), batch.submit(row(13)), batch.submit(row(2)), return_exceptions=True
        )
        assert isinstance(answers[1], ValueError)
        assert [answer["y"].tolist() for answer in (answers[0], answers[2])] == [[2], [4]]  # type: ignore[index]

    run(work)


def test_a_full_queue_refuses_with_a_time_to_come_back() -> None:
    async def work() -> None:
        batch, _ = batcher(Model(), queue=2)
        waiting = [batch.submit(row(1)), batch.submit(row(2))]
        with pytest.raises(Refusal) as refused:
            batch.submit(row(3))
        assert refused.value.status == 429
        assert (b"retry-after", b"1") in refused.value.headers
        await asyncio.gather(*waiting)
        assert (await batch.submit(row(3)))["y"].tolist() == [6]

    run(work)


def test_a_request_given_up_before_its_turn_is_never_computed() -> None:
    async def work() -> None:
        model = Model()
        batch, _ = batcher(model)
        gone, stays = batch.submit(row(1)), batch.submit(row(2))
        gone.cancel()
        assert (await stays)["y"].tolist() == [4]
        assert model.calls == [1]

    run(work)


def test_a_slow_model_computes_beside_the_loop_and_what_arrives_meanwhile_is_one_batch() -> None:
    async def work() -> None:
        model = Model(seconds=0.05)
        batch, _ = batcher(model)
        await batch.submit(row(0))
        assert not batch.quick
        model.calls.clear()
        model.gate.clear()
        first = batch.submit(row(1))
        while not model.calls:
            await asyncio.sleep(0.001)
        later = [batch.submit(row(2)), batch.submit(row(3))]
        model.gate.set()
        await asyncio.gather(first, *later)
        assert model.calls == [1, 2]
        assert model.threads[0] == "MainThread"
        assert all(name.startswith("model") for name in model.threads[1:])

    run(work)


def test_one_batch_that_the_machine_held_up_does_not_make_a_quick_model_slow() -> None:
    async def work() -> None:
        model = Model()
        batch, _ = batcher(model)
        for _ in range(40):  # of which the machine may hold up some
            await batch.submit(row(1))
        model._seconds = 0.2
        await batch.submit(row(1))
        assert batch.quick

    run(work)

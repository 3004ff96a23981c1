import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pandas as pd
import polars as pl
import pytest

from fairway.server.answers import Refusal
from fairway.server.list_batching import ListBatcher


class Function:
    """Doubles every item, and fails on those it is told to."""

    def __init__(self, bad: object = None, short: bool = False) -> None:
        self.calls: list[list[Any]] = []
        self.go = asyncio.Event()
        self.go.set()
        self._bad = bad
        self._short = short

    async def __call__(self, arguments: tuple[list[Any]]) -> list[Any]:
        (items,) = arguments
        self.calls.append(items)
        await self.go.wait()
        if self._bad in items:
            raise ValueError("not that one")
        return [item * 2 for item in items][: 1 if self._short else None]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 120))


def test_what_arrived_while_a_call_ran_is_the_next_call() -> None:
    async def work() -> None:
        function, seen = Function(), list[int]()
        function.go.clear()
        batcher = ListBatcher(function, 8, 8, seen.append)
        first = batcher.submit([1])
        await asyncio.sleep(0)
        later = [batcher.submit([2]), batcher.submit([3, 4])]
        function.go.set()
        assert await asyncio.gather(first, *later) == [[2], [4], [6, 8]]
        assert function.calls == [[1], [2, 3, 4]]
        assert seen == [1, 3]

    run(work)


def test_a_call_takes_no_more_items_than_allowed_but_one_large_request_whole() -> None:
    async def work() -> None:
        function = Function()
        batcher = ListBatcher(function, 8, 2, lambda size: None)
        await asyncio.gather(batcher.submit([1]), batcher.submit([2, 3]), batcher.submit([4, 5, 6]))
        assert [len(call) for call in function.calls] == [1, 2, 3]

    run(work)


def test_one_bad_request_spoils_no_other_of_its_call() -> None:
    async def work() -> None:
        batcher = ListBatcher(Function(bad=13), 8, 8, lambda size: None)
        got = await asyncio.gather(
            batcher.submit([1]), batcher.submit([13]), batcher.submit([2]), return_exceptions=True
        )
        assert (got[0], got[2]) == ([2], [4])
        assert isinstance(got[1], ValueError)

    run(work)


def test_a_function_that_answers_with_another_length_is_told_so() -> None:
    async def work() -> None:
        batcher = ListBatcher(Function(short=True), 8, 8, lambda size: None)
        with pytest.raises(ValueError, match="1 answers for 2 requests"):
            await batcher.submit([1, 2])

    run(work)


def test_a_full_queue_refuses_and_given_up_requests_are_never_called() -> None:
    async def work() -> None:
        function = Function()
        batcher = ListBatcher(function, 2, 8, lambda size: None)
        gone, stays = batcher.submit([1]), batcher.submit([2])
        with pytest.raises(Refusal) as refused:
            batcher.submit([3])
        assert refused.value.status == 429
        gone.cancel()
        assert await stays == [4]
        assert function.calls == [[2]]

    run(work)


@pytest.mark.parametrize("answer", [{"a": 1, "b": 2}, "ab", b"ab", {3, 4}, 7, None], ids=repr)
def test_what_is_no_list_of_answers_is_never_taken_apart(answer: object) -> None:
    async def work() -> None:
        async def function(arguments: tuple[list[Any]]) -> object:
            return answer

        batcher = ListBatcher(function, 8, 8, lambda size: None)
        with pytest.raises(TypeError, match=f"returned a {type(answer).__name__}, .* a list with an answer"):
            await batcher.submit([1, 2])

    run(work)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_a_table_of_answers_is_one_row_for_each_request_and_not_one_column(kind: Any) -> None:
    async def work() -> None:
        async def function(arguments: tuple[list[Any]]) -> object:
            return kind({"label": ["x", "y"], "score": [1, 2]})

        batcher = ListBatcher(function, 8, 8, lambda size: None)
        assert await batcher.submit([1, 2]) == [{"label": "x", "score": 1}, {"label": "y", "score": 2}]

    run(work)

"""Questions to a platform, asked from code without an event loop."""

import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def ask(question: Coroutine[Any, Any, T]) -> T:
    """Return the answer to a question.

    A platform of this process answers from its record without a wait, and then no event loop is loaded (decision 0012).
    Code that has to wait has loaded an event loop before.
    """
    if "asyncio" in sys.modules:
        import asyncio

        return asyncio.run(question)
    try:
        question.send(None)
    except StopIteration as done:
        answer: T = done.value
        return answer
    raise RuntimeError("a question that has to wait was asked without an event loop")

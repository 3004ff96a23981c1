"""Asks a platform a question and waits for the answer."""

import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def ask(question: Coroutine[Any, Any, T]) -> T:
    """Return the answer to a question.

    A platform of this process answers what is on record without waiting for anything, and then no event loop is loaded
    (decision 0012). Whatever has to wait has loaded one before.
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

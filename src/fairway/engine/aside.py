"""The calling of functions that block, from code on an event loop.

A process that serves several people or runs calls them in a thread, because everybody would wait with the loop. Elsewhere the
call stands right there: a thread costs time, and nobody else waits.
"""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Aside(Protocol):
    """A caller of functions that block."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Call the function and return its value."""
        ...


async def at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a blocking function right here, because nobody else waits in this process."""
    return function(*args, **kwargs)

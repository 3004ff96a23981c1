"""Questions of a script or notebook to a platform that is opened for one question."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fairway.local.interrupts import blocking
from fairway.ports.platform import Platform

P = TypeVar("P", bound=Platform)
T = TypeVar("T")


def answered(opened: Callable[[], P], question: Callable[[P], Coroutine[Any, Any, T]]) -> T:
    """Return the answer of a platform, to code without an event loop or with one. Raises FairwayError.

    Args:
        opened: opens the platform. It is called on the loop that asks, and the platform is closed there too.
    """

    async def asked() -> T:
        platform = opened()
        try:
            return await question(platform)
        finally:
            await platform.close()

    return blocking(asked())

"""The frame of the parts of a platform that are reached over HTTP: how each asks."""

from collections.abc import Awaitable
from typing import Any, Protocol


class Asking(Protocol):
    """A function that sends a question to the API and decodes the answer. Raises FairwayError."""

    def __call__(
        self, method: str, path: str, kind: type[Any], body: bytes = b"", *, again: bool | None = None
    ) -> Awaitable[Any]:
        """Return the answer."""
        ...


class Part:
    """A part of a platform.

    Args:
        asking: sends a question to the API of the platform.
    """

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

"""The frame of a class with handlers for one platform.

Must not know which routes there are.
"""

from collections.abc import Callable

from fairway.ports.platform import Platform

BASE = "/api/v1"
"""The beginning of the addresses of the API."""


class Handlers:
    """The handlers for one platform.

    Args:
        platform: returns the platform. The table of routes is also made where there is none, to describe them.
    """

    def __init__(self, platform: Callable[[], Platform]) -> None:
        self._platform = platform

"""The ways to the API of a platform: the seam, and the way to one that listens on a URL. Must not know what is asked."""

from typing import Protocol

import httpx2

from fairway.spec.errors import Unreachable

JSON = "application/json"

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 300.0
_PATIENCE_SECONDS = 60.0
"""Seconds without any answer after which the following of a run on this machine ends."""


class Transport(Protocol):
    """The way to the API of a platform."""

    @property
    def place(self) -> str:
        """Place of the platform, for people."""
        ...

    @property
    def patience(self) -> float:
        """Seconds without any answer after which the following of a run ends."""
        ...

    @property
    def repeats(self) -> float:
        """Seconds in which a request is sent again after a broken connection."""
        ...

    @property
    def outdated(self) -> str:
        """The hint for a platform of another version."""
        ...

    async def ask(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> tuple[int, bytes]:
        """Send a request to a path of the API. Return status and content of the answer. Raises Unreachable."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Direct:
    """The way to a platform that listens on a URL.

    Args:
        url: such as "http://127.0.0.1:7700".
        token: the token that its API needs.
    """

    patience = _PATIENCE_SECONDS
    repeats = 0.0
    outdated = "stop it with `fairway down` and start it with `fairway up`"

    def __init__(self, url: str, token: str) -> None:
        self.place = url
        self._token = token

    async def ask(self, method: str, path: str, body: bytes = b"", kind: str = JSON) -> tuple[int, bytes]:
        """Send a request to a path of the API. Return status and content of the answer. Raises Unreachable."""
        headers = {"authorization": f"Bearer {self._token}", "content-type": kind}
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=timeout) as client:
                answer = await client.request(method, f"{self.place}{path}", content=body, headers=headers)
        except httpx2.ConnectError:
            raise Unreachable(
                f"no platform answers at {self.place}", hint="start it with `fairway up`"
            ) from None
        except httpx2.TimeoutException:
            raise Unreachable(
                f"the platform at {self.place} did not answer in time", hint="look at `.fairway/platform/log`"
            ) from None
        except httpx2.HTTPError as error:
            raise Unreachable(
                f"the platform at {self.place} broke off: {type(error).__name__}",
                hint="start it with `fairway up`",
            ) from None
        return answer.status_code, answer.content

    async def close(self) -> None:
        """Do nothing, because no connection is kept between two questions."""

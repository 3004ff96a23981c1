"""The ways to the API of a platform: the seam, and the way to one that listens on a URL. Must not know what is asked."""

import asyncio
from typing import Protocol
from urllib.parse import urlsplit

from fairway.remote.exchange import BROKEN, exchange
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
    """The way to a platform of this machine that listens on a URL, without TLS, proxies or redirects.

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
        to = urlsplit(self.place)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(to.hostname, to.port)
        except TimeoutError:
            raise self._too_late() from None
        except OSError:
            raise Unreachable(
                f"no platform answers at {self.place}", hint="start it with `fairway up`"
            ) from None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await exchange(reader, writer, method, path, {"host": to.netloc, **headers}, body)
        except TimeoutError:
            raise self._too_late() from None
        except BROKEN as error:
            raise Unreachable(
                f"the platform at {self.place} broke off: {type(error).__name__}",
                hint="start it with `fairway up`",
            ) from None
        finally:
            # Not closed in turn: what could not be sent yet is of no use to anybody.
            writer.transport.abort()

    def _too_late(self) -> Unreachable:
        """Return the error for a platform that did not answer in time."""
        return Unreachable(
            f"the platform at {self.place} did not answer in time", hint="look at `.fairway/platform/log`"
        )

    async def close(self) -> None:
        """Do nothing, because no connection is kept between two questions."""

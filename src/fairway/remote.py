"""A platform that runs in another process or on another machine, asked over HTTP.

Must not know how that platform does what it is asked, or where its token comes from.
"""

from typing import TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from fairway.spec.decoding import UNREADABLE
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus
from fairway.spec.errors import FairwayError, NotAllowed, NotFound, StorageError, UsageError

T = TypeVar("T")

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 300.0
_KINDS: dict[int, type[FairwayError]] = {
    400: UsageError,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    507: StorageError,
}


class Said(msgspec.Struct):
    """What the platform says when it refuses."""

    error: str
    hint: str = ""
    details: str = ""


class RemotePlatform:
    """The platform behind a URL.

    Args:
        url: such as "http://127.0.0.1:7700".
        token: what its API needs.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function; returns when it answers. Raises FairwayError, nothing changed."""
        return await self._ask("POST", "/deploy", Deployed, msgspec.json.encode(request))

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the one before. Raises FairwayError."""
        body = msgspec.json.encode({"revision": revision})
        return await self._ask("POST", f"/endpoints/{quote(endpoint, safe='')}/rollback", Deployed, body)

    async def undeploy(self, endpoint: str) -> None:
        """Take an endpoint away. Raises FairwayError."""
        await self._ask("DELETE", f"/endpoints/{quote(endpoint, safe='')}", dict[str, object])

    async def endpoints(self) -> list[EndpointStatus]:
        """Every endpoint as wanted and as observed. Raises FairwayError."""
        return await self._ask("GET", "/endpoints", list[EndpointStatus])

    async def shutdown(self, *, endpoints: bool) -> None:
        """Stop the platform, and with `endpoints` all that serves; comes back when that is done. Raises FairwayError."""
        body = msgspec.json.encode({"endpoints": endpoints})
        await self._ask("POST", "/shutdown", dict[str, object], body)

    async def _ask(self, method: str, path: str, kind: type[T], body: bytes = b"") -> T:
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        timeout = httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        try:
            async with httpx2.AsyncClient(trust_env=False, timeout=timeout) as client:
                answer = await client.request(
                    method, f"{self.url}/api/v1{path}", content=body, headers=headers
                )
        except httpx2.ConnectError:
            raise FairwayError(
                f"no platform answers at {self.url}", hint="start it with `fairway up`"
            ) from None
        except httpx2.TimeoutException:
            raise FairwayError(
                f"the platform at {self.url} did not answer in time", hint="look at `.fairway/platform/log`"
            ) from None
        except httpx2.HTTPError as error:
            raise FairwayError(
                f"the platform at {self.url} broke off: {type(error).__name__}",
                hint="start it with `fairway up`",
            ) from None
        if answer.status_code >= 400:
            raise _refusal(answer.status_code, answer.content)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except UNREADABLE:
            raise FairwayError(
                f"the platform at {self.url} answered what this version does not understand",
                hint="stop it with `fairway down` and start it with `fairway up`",
            ) from None


def _refusal(status: int, content: bytes) -> FairwayError:
    try:
        said = msgspec.json.decode(content, type=Said)
    except UNREADABLE:
        said = Said(f"the platform answered with status {status}")
    return _KINDS.get(status, FairwayError)(said.error, hint=said.hint, details=said.details)

"""Questions to the servers of endpoints, by the addresses of their pods."""

import asyncio
from contextlib import suppress

import httpx2
import msgspec

from fairway.cluster.endpoints import objects
from fairway.spec.decoding import UNREADABLE

_SECONDS = 2.0


class _Metadata(msgspec.Struct, frozen=True):
    """The part of a model's metadata that tells with which library it is computed."""

    platform: str = ""


class Servers:
    """The servers of endpoints, asked from the control plane."""

    def __init__(self) -> None:
        self._client: httpx2.AsyncClient | None = None

    async def runtime(self, endpoint: str, ip: str) -> str:
        """Return the runtime that a server reports. It is empty if the server does not say it, such as without its key."""
        if self._client is None:
            self._client = httpx2.AsyncClient(trust_env=False, timeout=_SECONDS)
        host = f"[{ip}]" if ":" in ip else ip
        with suppress(httpx2.HTTPError, TimeoutError, *UNREADABLE):
            async with asyncio.timeout(_SECONDS):
                answer = await self._client.get(f"http://{host}:{objects.PORT}/v2/models/{endpoint}")
            return msgspec.json.decode(answer.content, type=_Metadata).platform
        return ""

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()

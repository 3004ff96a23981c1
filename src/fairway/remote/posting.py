"""The post of one message to an address of somebody else, bounded in time and size.

The name of the host is resolved here, each of its addresses is checked, and the connection goes to an address that was checked.
So a name cannot lead elsewhere between the check and the connection. No redirect is followed, and the body of an answer is not
read.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import httpx2

from fairway.spec import webhook_addresses as addresses
from fairway.spec.errors import FairwayError
from fairway.spec.webhook import Answer

SECONDS = 5.0
_MOST_ADDRESSES = 4
_RESOLVERS = 4


class Sender:
    """The sender of messages.

    Args:
        shared: true for a platform that works for several people, whose own machine is not theirs.
        meaning: returns what an HTTP status means.
        agent: the name of this program for the receiver.
    """

    def __init__(self, *, shared: bool, meaning: Callable[[int], Answer], agent: str) -> None:
        self._shared = shared
        self._meaning = meaning
        self._agent = agent
        self._trusted: ssl.SSLContext | None = None
        # A name that cannot be resolved holds its thread for long. These are not the threads that everybody else works with.
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="webhooks")

    async def __call__(self, url: str, content: bytes, headers: dict[str, str]) -> Answer:
        """Post a message once. Never raises, and returns after `SECONDS` at most."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._send(url, content, headers)
        except (TimeoutError, httpx2.TimeoutException):
            return Answer(why=f"it did not answer within {SECONDS:.0f} seconds")
        except _Refused as error:
            return Answer(why=error.message, final=True)
        except (OSError, ValueError, FairwayError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Answer(why=_in_words(error))

    async def _send(self, url: str, content: bytes, headers: dict[str, str]) -> Answer:
        scheme, host, port = addresses.parts(url)
        found = await self._resolved(host, port)
        named = f"[{host}]" if ":" in host else host
        if urlsplit(url).port is not None:
            named = f"{named}:{port}"
        told = {**headers, "host": named, "user-agent": self._agent, "connection": "close"}
        if scheme == "https" and self._trusted is None:
            self._trusted = await asyncio.to_thread(httpx2.create_ssl_context)
        trusted = self._trusted if scheme == "https" and self._trusted is not None else False
        async with httpx2.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=SECONDS, verify=trusted
        ) as client:
            error: httpx2.ConnectError | None = None
            for address in found[:_MOST_ADDRESSES]:
                place = _with_host(url, address, port)
                try:
                    async with client.stream(
                        "POST", place, content=content, headers=told, extensions={"sni_hostname": host}
                    ) as answer:
                        return self._meaning(answer.status_code)
                except httpx2.ConnectError as met:
                    error = met
            assert error is not None
            raise error

    async def _resolved(self, host: str, port: int) -> list[addresses.Address]:
        """Return the addresses of a host. Raises OSError, and FairwayError if one of them may not be posted to."""
        literal = addresses.literal(host)
        found = [literal] if literal is not None else await self._looked_up(host, port)
        for one in found:
            why = addresses.refusal(one, shared=self._shared)
            if why:
                raise _Refused(f"its address {why}")
        return found

    async def _looked_up(self, host: str, port: int) -> list[addresses.Address]:
        def look_up() -> list[addresses.Address]:
            told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in told]

        return await asyncio.get_running_loop().run_in_executor(self._resolvers, look_up)


class _Refused(FairwayError):
    """The error for an address that nothing may be posted to."""


def _with_host(url: str, address: addresses.Address, port: int) -> str:
    """Return an address of the web with an address of the internet protocol in place of its host."""
    split = urlsplit(url)
    host = f"[{address}]" if address.version == 6 else str(address)
    return urlunsplit((split.scheme, f"{host}:{port}", split.path or "/", split.query, ""))


def _in_words(error: Exception) -> str:
    """Return why there was no answer. The texts of libraries may quote the address, so none of them is told."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate is not trusted"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as it should"
        if isinstance(cause, socket.gaierror):
            return "the name of its host cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return "it refuses connections"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.ConnectError):
        return "it cannot be connected to"
    return "it broke off the connection"

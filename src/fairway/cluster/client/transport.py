"""The sending of requests to an API server: TLS, proxies, credentials, a budget of requests, and second tries.

A request without an answer is `Unknown`. It is sent again only if that does no harm. Must not know what requests mean.
"""

import asyncio
import contextlib
import random
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncGenerator
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from fairway.cluster.client.access import Access
from fairway.cluster.client.auth import Authentication, Credential, bearer
from fairway.cluster.client.calls import Call, Response
from fairway.cluster.client.closing import Closing
from fairway.cluster.client.errors import ClusterConfigError, NotReached, Unknown
from fairway.cluster.client.refusals import (
    is_answer_of_server,
    is_distrusted,
    is_passing,
    refused,
    unanswered,
)
from fairway.spec import VERSION

_CONNECT_SECONDS = 10.0
_RATE = 20.0
_BURST = 40.0
_TRIES = 8
_TRIES_TO_CONNECT = 3
_PATIENCE_SECONDS = 60.0
_MAX_PAUSE_SECONDS = 30.0
_AGENT = f"fairway/{VERSION}"
"""The name by which the cluster's logs and limits know Fairway."""
_MAX_CLIENTS = 4
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class Budget:
    """A number of requests a second, of which some may come at once."""

    def __init__(self, rate: float = _RATE, burst: float = _BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = 0.0

    async def take(self) -> None:
        """Wait until one more request fits. Requests leave in the order in which they came."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
        self._at = now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)


class Transport(Closing):
    """The connections to one API server.

    Args:
        access: says where it is and who asks.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._authentication = Authentication(access)
        self._budget = Budget()
        self._clients: dict[bytes, httpx2.AsyncClient] = {}

    async def close(self) -> None:
        """Close all connections. Requests under way fail."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def send(self, call: Call) -> Response:
        """Send a request, again if that helps and does no harm, and return the answer.

        Raises:
            KubernetesError: the API server refuses, or did not answer (Unknown).
            CredentialsError: no credentials could be made.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + _PATIENCE_SECONDS
        for tries in range(1, _TRIES + 1):
            pause = 0.0
            try:
                response = await self.exchange(call)
            except Unknown as unknown:
                error = unknown
                enough = tries >= _TRIES_TO_CONNECT if isinstance(error, NotReached) else not call.repeatable
                if enough or is_distrusted(error.__cause__ or error):
                    raise
            else:
                if response.status < 300:
                    return response
                error = refused(call, response, self.access)
                # 429 comes before the request is looked at. Every other status may come behind its effect.
                again = is_passing(response) and (call.repeatable or response.status == 429)
                if not again:
                    raise error
                pause = _retry_after(response)
            pause = min(_MAX_PAUSE_SECONDS, max(pause, 0.1 * 2 ** (tries - 1) * random.uniform(0.5, 1.0)))
            if tries == _TRIES or loop.time() + pause > end:
                raise error
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def exchange(self, call: Call) -> Response:
        """Send a request once, and a second time with new credentials if those were refused. Return any answer.

        Raises:
            Unknown: no answer came.
        """
        async with self._stream(call, whole=True) as response:
            return response[1]

    @contextlib.asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[httpx2.Response]:
        """Send a request and give its answer, of which only the head was read. `call.seconds` bounds each wait.

        Raises:
            KubernetesError: the API server refuses, or did not answer (Unknown).
        """
        async with self._stream(call, whole=False) as (response, read):
            if response.status_code not in (101, 200):
                raise refused(call, read, self.access)
            yield response

    @contextlib.asynccontextmanager
    async def _stream(self, call: Call, whole: bool) -> AsyncGenerator[tuple[httpx2.Response, Response]]:
        if call.counted:
            await self._budget.take()
        credential = (
            Credential(headers=bearer(call.token)) if call.token else await self._authentication.current()
        )
        async with contextlib.AsyncExitStack() as stack:
            response, read = await self._ask(call, credential, whole, stack)
            refused_here = response.status_code == 401 and not call.token and is_answer_of_server(read)
            if refused_here and await self._authentication.renew(credential):
                await stack.aclose()
                credential = await self._authentication.current()
                response, read = await self._ask(call, credential, whole, stack)
            yield response, read

    async def _ask(
        self, call: Call, credential: Credential, whole: bool, stack: contextlib.AsyncExitStack
    ) -> tuple[httpx2.Response, Response]:
        """Send a request once. The body is read if it is wanted whole, or is that of a refusal."""
        client = self._client(credential.certificate)
        await self._close_old()
        request = client.build_request(
            call.method,
            f"{self.access.server}{call.target}",
            content=call.body or None,
            headers=[*call.headers, *credential.headers],
            timeout=httpx2.Timeout(call.seconds, connect=min(call.seconds, _CONNECT_SECONDS)),
            extensions={"sni_hostname": self.access.trust.server_name}
            if self.access.trust.server_name
            else None,
        )
        try:
            async with asyncio.timeout(call.seconds if whole else None):
                response = await client.send(request, stream=True)
                stack.push_async_callback(response.aclose)
                body = b""
                if response.status_code != 101 and (whole or response.status_code != 200):
                    body = await response.aread()
        except (httpx2.TransportError, TimeoutError) as error:
            raise unanswered(call, error, self.access) from error
        return response, Response(status=response.status_code, headers=dict(response.headers), body=body)

    def _client(self, certificate: bytes) -> httpx2.AsyncClient:
        """Return the connections that show a certificate. A new certificate leaves streams with the old one alone."""
        client = self._clients.get(certificate)
        if client is None:
            client = self._clients[certificate] = self._open(certificate)
        return client

    async def _close_old(self) -> None:
        """Close the connections of the oldest certificates, so that daily new ones do not add up."""
        while len(self._clients) > _MAX_CLIENTS:
            await self._clients.pop(next(iter(self._clients))).aclose()

    def _open(self, certificate: bytes) -> httpx2.AsyncClient:
        access = self.access
        try:
            transport = httpx2.AsyncHTTPTransport(
                verify=tls_context(access, certificate),
                proxy=access.trust.proxy or None,
                limits=httpx2.Limits(
                    max_connections=None, max_keepalive_connections=20, keepalive_expiry=30.0
                ),
                socket_options=_keepalive(),
            )
        except (ImportError, ValueError) as error:
            raise ClusterConfigError(
                f"the proxy of the cluster {access.cluster!r} cannot be used: {str(error).splitlines()[0]}",
                hint="a proxy has the form http://HOST:PORT; socks5:// also needs `pip install socksio`",
            ) from None
        return httpx2.AsyncClient(
            transport=transport,
            trust_env=False,
            headers={
                "User-Agent": _AGENT,
                "Accept": "application/json",
                "Accept-Encoding": "identity" if access.inside else "gzip",
            },
            # A cookie of one identity must not go out with the next one.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )


def _retry_after(response: Response) -> float:
    """Return the seconds that the server asks to wait, 0 if it does not."""
    text = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(
            0.0,
            parsedate_to_datetime(text).timestamp()
            - parsedate_to_datetime(response.headers["date"]).timestamp(),
        )
    except (KeyError, TypeError, ValueError):
        return 0.0


def _keepalive() -> list[tuple[int, int, int]]:
    """Return the options with which the system finds out within half a minute that a peer is away."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", 15),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 30_000),
    ):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options


def tls_context(access: Access, certificate: bytes) -> ssl.SSLContext:
    """Return what a connection trusts and shows.

    Args:
        access: says whose certificates are trusted.
        certificate: a client certificate and its key in PEM, or nothing.

    Raises:
        ClusterConfigError: a certificate cannot be read.
    """
    trust = access.trust
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.authority:
        # As in Go, each given certificate is an anchor, also one that another one signed.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        blocks = b"\n".join(_PEM.findall(trust.authority)).decode("ascii", "replace")
        try:
            context.load_verify_locations(cadata=blocks)
        except (ssl.SSLError, ValueError):
            raise ClusterConfigError(
                f"the certificate-authority of the cluster {access.cluster!r} holds no certificate",
                hint="get the kubeconfig again",
            ) from None
    else:
        context = httpx2.create_ssl_context(trust_env=not access.inside)
    if certificate:
        _show(context, certificate, access.user)
    return context


def _show(context: ssl.SSLContext, certificate: bytes, user: str) -> None:
    """Load a client certificate. The library reads one from a path only."""
    with tempfile.NamedTemporaryFile(prefix="fairway-") as file:
        file.write(certificate)
        file.flush()
        try:
            # Without a password the library would ask the terminal for the one of an encrypted key.
            context.load_cert_chain(file.name, password=lambda: b"")
        except (ssl.SSLError, ValueError):
            raise ClusterConfigError(
                f"the client certificate of the user {user!r} and its key do not fit together, or cannot be read",
                hint="get the kubeconfig again; an encrypted key cannot be used",
            ) from None

"""A connection to a port of a pod through the API server: port-forward over a WebSocket (v4.channel.k8s.io).

The request that opens it goes the way of every other request, so certificates, proxies and plugins hold here too. Only
the frames behind the handshake (RFC 6455) are written and read here.
"""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import httpcore2
import httpx2

from fairway.cluster.client import kinds
from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.calls import Call
from fairway.cluster.client.closing import Closing
from fairway.cluster.client.errors import NotReached, Unknown

_PROTOCOL = "v4.channel.k8s.io"
_OPEN_SECONDS = 15.0
_PING_SECONDS = 20.0
_SILENCE_SECONDS = 45.0
"""Seconds without a byte after which a connection is given up. The answers to pings are bytes."""
_MAX_PART = 32 * 1024
_MAX_AHEAD = 1 << 20
_BROKEN = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, OSError)
_DATA, _ERROR = 0, 1
"""Channels of the first port that is forwarded."""
_MORE, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x2, 0x8, 0x9, 0xA


class Tunnel(Closing):
    """A stream of bytes to a port of a pod. It ends with the pod, and is then opened anew to its successor.

    Args:
        stream: the connection to the API server, behind the handshake.
        pod: the name of the pod, for messages.
        opened: closes that connection.
    """

    def __init__(self, stream: Any, pod: str, opened: contextlib.AsyncExitStack) -> None:
        self._stream = stream
        self._pod = pod
        self._opened = opened
        self._received = bytearray()
        self._buffer = bytearray()
        self._channel = _DATA
        self._ports_told: set[int] = set()
        self._ended = False
        self._closed = False
        self._failure: Unknown | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._writing = asyncio.Lock()
        # The end of the pod is noticed also while nobody reads, and pings are answered.
        self._tasks = [asyncio.create_task(self._read_ahead()), asyncio.create_task(self._keep_alive())]

    @property
    def ended(self) -> bool:
        """True if nothing more can come or go, apart from bytes that wait to be read."""
        return self._ended

    async def read(self, most: int = _MAX_PART, seconds: float | None = None) -> bytes:
        """Return the next bytes of the pod, or nothing if it has closed the connection.

        Raises:
            TimeoutError: nothing came in time.
            Unknown: the connection broke, or the pod refuses it.
        """
        async with asyncio.timeout(seconds):
            while not self._buffer and not self._ended:
                self._news.clear()
                await self._news.wait()
        if not self._buffer and self._failure is not None:
            raise self._failure
        part = bytes(self._buffer[:most])
        del self._buffer[:most]
        self._room.set()
        return part

    async def write(self, content: bytes) -> None:
        """Send bytes to the pod. Raises Unknown if the connection is broken."""
        view = memoryview(content)
        for at in range(0, len(view), _MAX_PART):
            await self._send(_BINARY, bytes((_DATA,)) + bytes(view[at : at + _MAX_PART]))

    async def close(self) -> None:
        """Close the connection, also a broken one."""
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Unknown, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._send(_CLOSE, b"\x03\xe8")
        self._ended = True
        await self._opened.aclose()

    async def _keep_alive(self) -> None:
        """Send pings, so that nothing on the way takes the connection for an idle one."""
        with contextlib.suppress(Unknown):
            while not self._ended:
                await asyncio.sleep(_PING_SECONDS)
                await self._send(_PING, b"")

    async def _read_ahead(self) -> None:
        """Take in what comes until the connection ends. Wait while more bytes lie here than anybody reads."""
        try:
            while not self._ended:
                await self._room.wait()
                await self._receive()
                if len(self._buffer) > _MAX_AHEAD:
                    self._room.clear()
                self._news.set()
        except Unknown as error:
            self._failure = self._failure or error
        finally:
            self._ended = True
            self._news.set()

    async def _send(self, code: int, content: bytes) -> None:
        async with self._writing:
            try:
                await self._stream.write(frame(code, content), timeout=_SILENCE_SECONDS)
            except _BROKEN as error:
                self._ended = True
                self._news.set()
                raise self._broken(error) from error

    async def _receive(self) -> None:
        """Read once from the network, and take in all frames that are whole."""
        try:
            part = await self._stream.read(_MAX_PART, timeout=_SILENCE_SECONDS)
        except _BROKEN as error:
            raise self._broken(error) from error
        self._ended = not part
        self._received += part
        while (found := _next_frame(self._received)) is not None:
            code, content = found
            if code == _PING:
                await self._send(_PONG, content)
            elif code == _CLOSE:
                self._ended = True
            elif code == _BINARY and content:
                self._channel = content[0]
                self._take(content[1:])
            elif code == _MORE:
                # The rest of a message that came in several frames. Only the first one names the channel.
                self._take(content)

    def _take(self, content: bytes) -> None:
        channel = self._channel
        if channel not in self._ports_told:
            # The first two bytes of each channel are the number of the port.
            self._ports_told.add(channel)
            content = content[2:]
        if channel == _DATA:
            self._buffer += content
        elif channel == _ERROR and content:
            self._ended = True
            self._failure = Unknown(
                f"the port of the pod {self._pod!r} could not be reached: {content.decode(errors='replace').strip()}",
                hint="the process in the pod may not listen yet; try again",
            )

    def _broken(self, error: Exception) -> Unknown:
        why = str(error) or type(error).__name__
        return Unknown(f"the connection to the pod {self._pod!r} broke: {why}", hint="try again")


def frame(code: int, content: bytes, mask: bytes | None = None) -> bytes:
    """Return a WebSocket frame of a client, which has to be masked."""
    mask = mask or os.urandom(4)
    size = len(content)
    if size < 126:
        head = bytes((0x80 | code, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x80 | code, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | code, 0x80 | 127)) + size.to_bytes(8, "big")
    # One big number is masked some hundred times as fast as byte after byte.
    pattern = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(content, "big") ^ int.from_bytes(pattern, "big")
    return head + mask + masked.to_bytes(size, "big")


def _next_frame(received: bytearray) -> tuple[int, bytes] | None:
    """Take the first frame out of what was received, or return None if it is not whole yet."""
    if len(received) < 2:
        return None
    size, start = received[1] & 0x7F, 2
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(received) < start:
            return None
        size = int.from_bytes(received[2:start], "big")
    if len(received) < start + size:
        return None
    code, content = received[0] & 0x0F, bytes(received[start : start + size])
    del received[: start + size]
    return code, content


async def forwarded(kube: Kubernetes, pod: str, port: int) -> Tunnel:
    """Open a connection to a port of a pod in the namespace of the access. Close it, or use it in `async with`.

    Raises:
        NotThere: there is no such pod.
        Forbidden: the user may not create pods/portforward.
        Unknown: the API server does not reach the pod.
    """
    async with contextlib.AsyncExitStack() as stack:
        response = await stack.enter_async_context(kube.transport.stream(_opening(kube.access, pod, port)))
        stream = response.extensions.get("network_stream")
        if response.status_code != 101 or stream is None:
            raise NotReached(
                f"{kube.access.server} does not open a WebSocket to the pod {pod!r}",
                hint="a proxy before the cluster may not let WebSockets through",
            )
        return Tunnel(stream, pod, stack.pop_all())


def _opening(access: Access, pod: str, port: int) -> Call:
    return Call(
        method="GET",
        path=kinds.POD.path(access.namespace, pod, "portforward"),
        query=(("ports", str(port)),),
        headers=(
            ("Accept", "*/*"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()),
            ("Sec-WebSocket-Protocol", _PROTOCOL),
        ),
        seconds=_OPEN_SECONDS,
        verb="create",
        resource="pods/portforward",
        kind=kinds.POD.name,
        name=pod,
        namespace=access.namespace,
    )


class ForwardedTransport(httpx2.AsyncBaseTransport):
    """A transport of HTTP requests to a port of a pod. Each new connection asks anew which pod it goes to.

    Use it as `httpx2.AsyncClient(transport=ForwardedTransport(kube, find, port), base_url="http://fairway")`.

    Args:
        kube: the cluster.
        find: returns the name of the pod that answers at present.
        port: the port of the pod.
    """

    def __init__(self, kube: Kubernetes, find: Callable[[], Awaitable[str]], port: int) -> None:
        self._pool = httpcore2.AsyncConnectionPool(network_backend=_Backend(kube, find, port))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its answer, of which only the head was read. Raises Unknown."""
        url = request.url
        asked = httpcore2.Request(
            request.method,
            httpcore2.URL(scheme=b"http", host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = await self._pool.handle_async_request(asked)
        except _BROKEN as error:
            raise Unknown(
                f"no answer came through the forwarded port: {str(error) or type(error).__name__}",
                hint="try again",
            ) from error
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._answer.aiter_stream():
                yield part
        except _BROKEN as error:
            raise Unknown(
                f"the answer through the forwarded port broke off: {error}", hint="try again"
            ) from error

    async def aclose(self) -> None:
        await self._answer.aclose()


class _Backend(httpcore2.AsyncNetworkBackend):
    def __init__(self, kube: Kubernetes, find: Callable[[], Awaitable[str]], port: int) -> None:
        self._kube = kube
        self._find = find
        self._port = port

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _Stream(await forwarded(self._kube, await self._find(), self._port))


class _Stream(httpcore2.AsyncNetworkStream):
    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self._tunnel.read(max_bytes, timeout)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._tunnel.write(buffer)

    async def aclose(self) -> None:
        await self._tunnel.close()

    def get_extra_info(self, info: str) -> Any:
        # The pool asks this before it uses a connection again, and opens another one if it is so.
        return self._tunnel.ended if info == "is_readable" else None

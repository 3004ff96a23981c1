"""A port of this machine that leads to the pods of a Service, through the API server with the user's own kubeconfig.

Each connection gets a stream of its own to a pod that is ready at that moment. A pod that ends takes its connections with it, and
the client's next connection goes to another pod. Must not know what is sent.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable

from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import Forbidden, KubernetesError
from fairway.cluster.client.forward import Tunnel, forwarded
from fairway.cluster.ways import Pods
from fairway.spec.errors import FairwayError, UsageError

HOST = "127.0.0.1"
_READY_SECONDS = 60.0
_PAUSE_SECONDS = 0.5
_KNOWN_SECONDS = 1.0
"""Seconds in which the list of ready pods is not asked for again."""

_LAST_SECONDS = 10.0
"""Seconds of silence after which a connection is closed whose client sends no more."""

_PART = 64 * 1024
_MOST_CONNECTIONS = 512
_FIRST_TRIED, _LAST_TRIED = 8080, 8179

Note = Callable[[str], None]


@contextlib.asynccontextmanager
async def listening(
    kube: Kubernetes, service: str, port: int, wished: int, note: Note
) -> AsyncGenerator[str]:
    """Open a port of this machine for the time of a block, and yield its address, such as "http://127.0.0.1:8080".

    Args:
        kube: the cluster.
        service: the name of the Service.
        port: the port of its pods.
        wished: the port of this machine; 0 for a free one.
        note: takes lines for the user, such as that no pod is ready.

    Raises:
        UsageError: the port is taken.
        KubernetesError: the Service or its pods may not be read.
    """
    forwarder = _Forwarder(kube, service, port, note)
    await forwarder.check()
    server = await _bound(forwarder.connected, wished)
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await forwarder.close()


async def _bound(
    connected: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None], wished: int
) -> asyncio.Server:
    """Bind the wished port, or at the first free one from 8080 on. Raises UsageError."""
    for port in (wished,) if wished else (*range(_FIRST_TRIED, _LAST_TRIED + 1), 0):
        try:
            return await asyncio.start_server(connected, HOST, port)
        except OSError as error:
            if wished:
                raise UsageError(
                    f"port {wished} of this machine cannot be opened: {error.strerror}",
                    hint="choose another one with `--port`, or leave it out for a free one",
                ) from None
    raise UsageError("no port of this machine is free", hint="choose one with `--port`")


class _Forwarder:
    """The connections to the pods of one Service."""

    def __init__(self, kube: Kubernetes, service: str, port: int, note: Note) -> None:
        self._kube = kube
        self._service = service
        self._port = port
        self._note = note
        self._pods = Pods(kube, service)
        self._ready: list[str] = []
        self._ready_until = 0.0
        self._turn = 0
        self._told = ""
        self._at_work: set[asyncio.Task[None]] = set()

    async def check(self) -> None:
        """Ask for the pods once. Raises KubernetesError."""
        with contextlib.suppress(Pods.NoneReady):
            await self._pods.all_ready()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        if len(self._at_work) >= _MOST_CONNECTIONS:
            writer.close()
            self._report(f"more than {_MOST_CONNECTIONS} connections at once are refused")
            return
        work = asyncio.ensure_future(self._carry(reader, writer))
        self._at_work.add(work)
        work.add_done_callback(self._at_work.discard)

    async def close(self) -> None:
        """End all connections."""
        for work in list(self._at_work):
            work.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection to a pod until one of its ends is closed."""
        try:
            tunnel = await self._opened()
            if tunnel is not None:
                async with tunnel:
                    await _both_ways(reader, writer, tunnel)
        except (OSError, FairwayError) as error:
            # A broken stream is nothing to report: the pod ended, or the client left. Its next connection is a new one.
            if isinstance(error, Forbidden):
                self._report(error.message)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _opened(self) -> Tunnel | None:
        """Open a stream to a pod that is ready. Wait for one; None if there is none for long. Raises Forbidden."""
        until = time.monotonic() + _READY_SECONDS
        while True:
            try:
                tunnel = await forwarded(self._kube, await self._next(), self._port)
                self._told = ""
                return tunnel
            except Forbidden:
                raise
            except Pods.NoneReady:
                why = f"no pod of {self._service} is ready"
            except KubernetesError as error:
                why = error.message
            self._ready_until = 0.0
            self._report(f"{why}; it is tried again")
            if time.monotonic() > until:
                return None
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _next(self) -> str:
        """Return the name of a ready pod, in turn. Raises Pods.NoneReady, KubernetesError."""
        if time.monotonic() > self._ready_until:
            self._ready = await self._pods.all_ready()
            self._ready_until = time.monotonic() + _KNOWN_SECONDS
        self._turn += 1
        return self._ready[self._turn % len(self._ready)]

    def _report(self, text: str) -> None:
        """Note something for the user once, until a connection succeeds."""
        if text != self._told:
            self._told = text
            self._note(text)


async def _both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tunnel: Tunnel) -> None:
    """Copy bytes both ways until the pod closes the stream, or the client has closed its end and nothing more comes."""
    sending = asyncio.ensure_future(_to_pod(reader, tunnel))
    try:
        while True:
            # A stream to a pod cannot be closed in one direction, so what still comes for a client is waited for.
            try:
                part = await tunnel.read(_PART, _LAST_SECONDS)
            except TimeoutError:
                if sending.done():
                    return
                continue
            if not part:
                return
            writer.write(part)
            await writer.drain()
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, FairwayError):
            await sending


async def _to_pod(reader: asyncio.StreamReader, tunnel: Tunnel) -> None:
    while part := await reader.read(_PART):
        await tunnel.write(part)

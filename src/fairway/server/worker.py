"""The life of a worker: it loads, reproduces its samples, accepts, drains and ends.

The worker inherits the listening socket and shares it with the other workers of the endpoint, of this revision and of the next.
It accepts connections only once it is ready. A draining worker only stops accepting. The other workers take the connections in
the queue of the socket, so a replacement loses no request. A worker that others route to accepts on for a while (decision 0025).
"""

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, cast

import msgspec
import uvicorn
import uvloop

from fairway.author import redaction, tracebacks
from fairway.ports import ArtifactStore
from fairway.server.app import Application, Service
from fairway.server.control import Control
from fairway.server.gate import Gate
from fairway.server.listening import started
from fairway.server.metrics import Metrics, forget_dead
from fairway.server.pod import RoutedGate
from fairway.server.protocol import BoundedProtocol
from fairway.spec.endpoint import WorkerSpec
from fairway.spec.errors import FairwayError
from fairway.spec.host import StorePlace
from fairway.spec.text import legible, shortened
from fairway.stores.served import open_artifacts

_IDLE_CHECK = 0.05
_SPREAD_CHECK = 1.0
_OLD_SECONDS = 60.0
"""Age of a connection at which a worker that others route to ends it, so that a worker that came later gets its share."""

_TURN_SECONDS = 0.0005
"""Seconds after which a thread that computes in Python lets another one of the worker go on.

The event loop waits for such a turn several times for each request. With Python's own 5 ms and eight threads that compute, it
answers fewer requests than they do: a busy worker then answers late, or not at all, instead of refusing what is too much.
"""

_QUIET_SECONDS = 2.0
"""Seconds without a request after which a worker that others route to is not needed any more."""


class _State(Protocol):
    connections: set[object]
    tasks: set[object]


MakeService = Callable[[WorkerSpec, ArtifactStore, Metrics, Callable[[], int]], Service]
"""A function that loads the service of a worker. Its last argument returns the number of requests without an answer."""


class Worker:
    """A worker process. `phase` is "starting", "ready", "draining" or "failed"."""

    def __init__(
        self, spec: WorkerSpec, service: MakeService, listening: socket.socket, sockets: str = ""
    ) -> None:
        self._spec = spec
        self._service = service
        self._sockets = sockets
        self._listening = listening
        self._listening.set_inheritable(False)
        self._accepting: socket.socket | None = None
        self.phase = "starting"
        self.reason = ""
        self._samples = ""
        self._runtime = ""
        self._app: Application | None = None
        self._server: uvicorn.Server | None = None
        self._draining = asyncio.Event()
        self._began = time.monotonic()
        self._started_in = 0.0
        self._in_flight: Callable[[], int] = lambda: 0

    async def run(self) -> int:
        """Serve until the worker is drained, and return the exit status."""
        control = self._open_control()
        os.register_at_fork(after_in_child=partial(self._let_go, control))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.drain)
        loop.add_signal_handler(signal.SIGINT, self.drain)
        try:
            await self._load()
            if not self._draining.is_set():
                await self._serve()
        except Exception as error:
            self.phase, self.reason = "failed", _described(error)
            print(f"error: {self.reason}", file=sys.stderr, flush=True)
            return 1
        finally:
            if control is not None:
                control.close()
        return 0

    def _open_control(self) -> Control | None:
        if not self._spec.control:
            return None
        path = os.path.join(self._sockets, self._spec.control)
        control = Control(path, self._listening.fileno(), self.status, self.drain)
        control.open()
        return control

    def status(self) -> dict[str, object]:
        """Return the status for the control socket."""
        return {
            "phase": self.phase,
            "pid": os.getpid(),
            "revision": self._spec.revision.number,
            "samples": self._samples,
            "runtime": self._runtime,
            "reason": self.reason,
            "in_flight": self._in_flight(),
        }

    def _let_go(self, control: Control | None) -> None:
        """Close the sockets of the worker in a process that the project forks. Otherwise the port would stay taken."""
        if control is not None:
            control.let_go()
        for listening in (self._listening, self._accepting):
            if listening is not None and listening.fileno() >= 0:
                os.close(
                    listening.detach()
                )  # `close` would wait for the event loop, which runs only in the parent

    def drain(self) -> None:
        """Accept no new connections, close the open ones after their answers, and end."""
        if self.phase == "ready":
            self.phase = "draining"
        if self._app is not None:
            self._app.lingering = self._spec.routed
            self._app.draining = True
        self._draining.set()

    async def _load(self) -> None:
        revision = self._spec.revision
        forget_dead(Path(self._spec.metrics))
        version = str(revision.model.version if revision.model is not None else revision.number)
        metrics = Metrics(revision.endpoint, version)
        self._in_flight = lambda: metrics.in_flight
        store = open_artifacts(StorePlace(self._spec.store))
        load = partial(self._service, self._spec, store, metrics, self._under_way)
        # A function belongs to the event loop of this thread. A model may load for long, so a thread loads it, and drains work.
        service = await asyncio.to_thread(load) if revision.model is not None else load()
        self._samples, self._runtime = service.samples, service.runtime
        gc.collect()
        gc.freeze()  # loaded objects stay, so the collector need not look at them again and again
        gate = (RoutedGate if self._spec.routed else Gate)(self._spec.hosts, revision.key_digest)
        self._app = Application(service, gate, metrics, revision.limits)

    def _under_way(self) -> int:
        """Return the number of requests without an answer. uvicorn has a task for each of them once its head was read."""
        return len(cast("_State", self._server.server_state).tasks) if self._server is not None else 0

    async def _serve(self) -> None:
        self._accepting = self._listening.dup()
        close_seconds = int(self._spec.revision.limits.request_seconds) + 1
        server = self._server = await started(self._app, self._accepting, close_seconds=close_seconds)
        self.phase = "ready"
        self._started_in = time.monotonic() - self._began
        spreading = asyncio.create_task(self._spread(server)) if self._spec.routed else None
        await self._draining.wait()
        if spreading is not None:
            spreading.cancel()
        if self._spec.routed:
            await self._linger()
        for listener in server.servers:
            listener.close()
        if self._spec.listen:
            # Nobody else accepts on a port of its own: who comes now must be refused, not left waiting for an answer.
            self._listening.close()
        await self._emptied(server)
        server.force_exit = False
        await server.shutdown(sockets=[])

    async def _spread(self, server: uvicorn.Server) -> None:
        """End old connections after an answer, because whoever routes chooses a worker for a new connection only."""
        while True:
            await asyncio.sleep(_SPREAD_CHECK)
            for connection in cast("set[BoundedProtocol]", server.server_state.connections):
                connection.end_if_old(_OLD_SECONDS)

    async def _linger(self) -> None:
        """Accept for the drain time, and on while requests come, because then nobody else answers yet."""
        limits, app, began = self._spec.revision.limits, self._app, time.monotonic()
        least = limits.accepts_for(self._started_in)
        while (passed := time.monotonic() - began) < limits.longest_drain:
            if passed >= least and (app is None or time.perf_counter() - app.asked_at > _QUIET_SECONDS):
                return
            await asyncio.sleep(_IDLE_CHECK)

    async def _emptied(self, server: uvicorn.Server) -> None:
        """Wait until every client has got its `Connection: close`, or the drain time is over."""
        if self._spec.routed:
            return  # the drain time is over already
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._spec.revision.limits.drain_seconds
        state = cast("_State", server.server_state)
        while state.connections and loop.time() < deadline:
            await asyncio.sleep(_IDLE_CHECK)


def _described(error: Exception) -> str:
    if isinstance(error, FairwayError):
        return legible(redaction.live().text(error.message))
    return legible(shortened(redaction.live().text(tracebacks.summary(error)), 500))


def main(told: bytes, service: MakeService, fd: int | None = None, sockets: str = "") -> int:
    """Run a worker and return the exit status.

    Args:
        told: its `WorkerSpec` as JSON.
        service: loads its service.
        fd: descriptor of a listening socket. Without one, the worker listens at the address in its spec.
        sockets: folder of the control socket. Without one, the name of that socket in the spec is a path.
    """
    sys.setswitchinterval(_TURN_SECONDS)
    return uvloop.run(_main(msgspec.json.decode(told, type=WorkerSpec), service, fd, sockets))


async def _main(spec: WorkerSpec, service: MakeService, fd: int | None, sockets: str) -> int:
    try:
        listening = socket.socket(fileno=fd) if fd is not None else _bound(spec.listen)
    except (OSError, ValueError) as error:
        print(f"error: the worker cannot listen at {spec.listen!r}: {error}", file=sys.stderr, flush=True)
        return 1
    return await Worker(spec, service, listening, sockets).run()


def _bound(where: str) -> socket.socket:
    """Bind a socket to "HOST:PORT", or to all addresses. It refuses clients until the worker is ready and listens."""
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    both = not host and socket.has_dualstack_ipv6()
    made = socket.socket(socket.AF_INET6 if both or ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if both:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind((host, int(port)))
    return made

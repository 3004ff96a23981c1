"""Entry point `python -m fairway.control.cluster --install FILE`, the control plane of an installation: one process in a pod.

It carries out runs, looks after endpoints, answers people and pods, and holds the store on its volume. Engines and the links to
pods share one event loop. Requests are answered on another one, in a thread of its own. So nobody who asks waits for the disk of
a run (decision 0023). When the process ends, runs are left as they are: pods go on, and the next process takes the runs up. Must
not know what a request means.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # what the imports below make stays, and looking through it finds nothing to free

import argparse
import asyncio
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from fairway.control.admission import ClusterGate, admit
from fairway.control.api import Api
from fairway.control.ended_routes import EndedRoutes
from fairway.control.identity import Credentials, People
from fairway.control.log_copying import LogCopying
from fairway.control.routes import application, public_paths
from fairway.control.store_routes import StoreRoutes
from fairway.control.waiting_routes import WaitingRoutes
from fairway.engine.endpoints import EndpointEngine
from fairway.engine.together import RunsElsewhere, RunsTogether
from fairway.local import arenas
from fairway.local.exiting import leave
from fairway.local.platforms import PlatformLock
from fairway.server.listening import started
from fairway.spec import install as installs
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, FairwayError, StorageError, UsageError
from fairway.spec.install import Install
from fairway.spec.quantities import whole_number
from fairway.spec.text import one_line
from fairway.stores.faults import DiskFailed
from fairway.wiring import hooks, plane
from fairway.wiring.machine import LocalStores
from fairway.wiring.namespace import Namespace
from fairway.wiring.plane import Cluster

_VOLUME = "/var/lib/fairway"
_LOCK_SECONDS = 60.0
_CLOSE_SECONDS = 5
_TIDY_SECONDS = 10.0
_LOOK_SECONDS = 60.0
"""Seconds between two looks for hosts that no run needs.

A Job may appear after it was deleted: a request to make it may have been held up on its way, and was then given up.
"""
_LAST_PORT = 65_535


class Address(msgspec.Struct, frozen=True):
    """Host and port to listen on. Without a host it is every address of this pod."""

    host: str
    port: int

    def bind(self) -> socket.socket:
        """Open a socket that listens. Raises UsageError."""
        dual = not self.host and socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual or ":" in self.host else socket.AF_INET
        try:
            return socket.create_server(
                (self.host, self.port), family=family, backlog=1024, dualstack_ipv6=dual
            )
        except OSError as error:
            raise UsageError(f"port {self.port} cannot be listened on: {error.strerror}") from error


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the cluster around a control plane is made from.

    Attributes:
        links: the address for the links of pods.
        credential_for: returns the credential that the pods of a run show at the store routes.
        say: takes lines for the log.
    """

    install: Install
    links: Address
    stores: LocalStores
    credential_for: Callable[[str], str]
    say: Callable[[str], None]


Make = Callable[[Surroundings], Cluster]


class ControlPlane:
    """The process of an installation, from its start to its end."""

    def __init__(self, install: Install, stores: LocalStores, links: Address, make: Make) -> None:
        self._stores = stores
        self._namespace = install.namespace
        self._pods = Credentials()
        self._leases = plane.leases()
        self._stopping = asyncio.Event()
        self._status = EXIT_DONE
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._cluster = make(
            Surroundings(
                install=install, links=links, stores=stores, credential_for=self._pods.credential_for, say=log
            )
        )

    async def run(self, listening: socket.socket) -> int:
        """Carry out runs and answer requests until this process is asked to end. Return its exit status.

        All that was acknowledged is durable then.
        """
        self._loop = loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        runs = plane.together(self._stores, self._leases, self._cluster, self)
        elsewhere = RunsElsewhere(runs, loop)
        await self._cluster.start()
        await self._take_up(runs)
        endpoints = plane.endpoints(self._stores, self._cluster)
        looking = loop.create_task(endpoints.watch())
        scheduling = loop.create_task(plane.scheduler(self._stores, runs, log).keep())
        postman = hooks.postman(self._stores, shared=True)
        posting = loop.create_task(postman.keep(hooks.alone(self._stores), log))
        # Requests are the last to be let in, because an answer means that everything is up.
        answering = Answering(self._gate(elsewhere, endpoints), listening)
        copying = LogCopying(plane.log_copies(self._stores), log)
        try:
            await asyncio.wrap_future(answering.started)
            log("ready")
            await self._stopping.wait()
        finally:
            looking.cancel()
            scheduling.cancel()
            posting.cancel()
            if self._tidying is not None:
                self._tidying.cancel()
            await runs.close()
            await asyncio.to_thread(answering.stop)
            await self._cluster.close()
            await copying.close()
            # Nothing runs between this and the end of the process, so nothing is done that is not in the store.
            self._stores.close()
        return self._status

    async def _take_up(self, runs: RunsTogether) -> None:
        """Resume the runs that a process before this one left."""
        unfinished = runs.unfinished()
        tidied = asyncio.Event()
        self._tidying = asyncio.get_running_loop().create_task(self._tidy(runs, tidied))
        with suppress(TimeoutError):
            await asyncio.wait_for(tidied.wait(), _TIDY_SECONDS)
        log(f"{len(unfinished)} runs are taken up")
        runs.resume(unfinished)

    async def _tidy(self, runs: RunsTogether, tidied: asyncio.Event) -> None:
        """End the hosts that no run needs, such as those that a process before this one left. Look again and again."""
        while True:
            try:
                await self._cluster.keep_only(runs.known)
                tidied.set()
            except FairwayError as error:
                log(f"hosts that nobody needs may be left: {error}")
            await asyncio.sleep(_LOOK_SECONDS if tidied.is_set() else _TIDY_SECONDS)

    def log(self, text: str) -> None:
        """Write a line to the log."""
        log(text)

    def revoke(self, run: str) -> None:
        """Let the pods of a run ask nothing any more."""
        self._pods.revoke(run)

    def broke(self, error: BaseException) -> bool:
        """End this process if its disk failed, and tell whether it did. It may be called on any thread.

        Such a process cannot trust what it knows about its files. Kubernetes starts the next one, which reads what is there.
        """
        if not isinstance(error, DiskFailed) or self._loop is None:
            return False
        self._status = EXIT_FAILED
        log(f"giving up: {error.message}")
        self._loop.call_soon_threadsafe(self._stopping.set)
        return True

    def _gate(
        self, runs: RunsElsewhere, endpoints: EndpointEngine
    ) -> "Callable[[], tuple[Api, ClusterGate]]":
        async def review(token: str) -> str:
            return await runs.there(self._cluster.review(token))

        def made() -> tuple[Api, ClusterGate]:
            own = [*WaitingRoutes(runs.waiting).entries(), *EndedRoutes(self._cluster.ended_output).entries()]
            api = Api(plane.platform(self._stores, self._leases, runs, endpoints), more=own)
            store = StoreRoutes(*plane.store_parts(self._stores), self.broke)
            entries = [*api.entries(), *store.entries()]
            people = People(review, self._namespace)
            gate = ClusterGate(application(entries, admit=admit), people, self._pods, public_paths(entries))  # type: ignore[arg-type]
            return api, gate

        return made


class Answering:
    """The thread that answers requests, with an event loop of its own.

    Attributes:
        started: done once requests are taken.
    """

    def __init__(self, make: "Callable[[], tuple[Api, ClusterGate]]", listening: socket.socket) -> None:
        self._make = make
        self._listening = listening
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.started: Future[None] = Future()
        self._thread = threading.Thread(target=self._main, name="requests", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer the open requests and take no more. It blocks meanwhile."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_CLOSE_SECONDS * 2)

    def _main(self) -> None:
        try:
            uvloop.run(self._serve())
        except BaseException as error:
            if self.started.done():
                raise
            self.started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        api, gate = self._make()
        server = await started(gate, self._listening, close_seconds=_CLOSE_SECONDS)
        api.ready = True
        self.started.set_result(None)
        await self._stopping.wait()
        # Answer the waiting followers first, because the server's shutdown waits for open requests.
        api.closing.set()
        await server.shutdown(sockets=[self._listening])


def log(text: str) -> None:
    """Write a line to the log of the pod."""
    print(json.dumps({"level": "info", "text": text}), file=sys.stderr, flush=True)


def main(arguments: list[str], make: Make) -> int:
    """Run the control plane of an installation in this process. Return its exit status if it did not start."""
    parser = argparse.ArgumentParser(prog="fairway.control.cluster")
    parser.add_argument("--install", required=True, type=Path, help="the file install.json")
    parser.add_argument("--root", default=Path(_VOLUME), type=Path, help="the volume")
    parser.add_argument("--listen", default=f":{installs.HTTP_PORT}", type=_address)
    parser.add_argument("--links", default=f":{installs.LINK_PORT}", type=_address)
    options = parser.parse_args(arguments)
    try:
        serve(
            cast("Path", options.install),
            cast("Path", options.root).absolute(),
            options.listen,
            options.links,
            make,
        )
    except FairwayError as error:
        hint = f"\nhint: {one_line(error.hint)}" if error.hint else ""
        print(f"error: {one_line(error.message)}{hint}", file=sys.stderr, flush=True)
        return error.exit_code
    return EXIT_DONE


def serve(file: Path, volume: Path, listen: Address, links: Address, make: Make) -> None:
    """Run the control plane until it is asked to end, and then end this process. Raises FairwayError if it cannot start."""
    # Before any thread: a reader of a large store would leave memory behind in each of them.
    arenas.share_one()
    install = _read(file)
    stores = plane.open_stores(plane.prepare_volume(volume), install)
    stores.layout.prepare()
    with ExitStack() as held:
        _lock(stores.root, held)
        plane.settle(stores, install, log)
        stores.prepare()
        listening = held.enter_context(listen.bind())
        uvloop.run(_run(ControlPlane(install, stores, links, make), listening))


async def _run(process: ControlPlane, listening: socket.socket) -> None:
    status = await process.run(listening)
    # Engines are at work still. To end their tasks would end the pods of their runs, which shall go on.
    leave(status)


def _lock(root: Path, held: ExitStack) -> None:
    """Take the lock of the volume. The process before this one may still be ending. Raises UsageError."""
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            held.enter_context(PlatformLock(root))
            return
        except UsageError:
            if time.monotonic() > until:
                raise


def _read(file: Path) -> Install:
    try:
        return installs.decode(file.read_bytes())
    except OSError as error:
        raise StorageError(
            f"{file} cannot be read: {error.strerror}", hint="it is in the ConfigMap fairway-install"
        ) from error


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    number = whole_number(port, _LAST_PORT)
    if not colon or number is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return Address(host.strip("[]"), number)


def namespace(around: Surroundings) -> Cluster:
    """Return the namespace that this pod runs in as the cluster around the control plane."""
    links = (around.links.host, around.links.port)
    return Namespace(around.install, links, around.credential_for, around.say)


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    leave(main(sys.argv[1:], namespace))

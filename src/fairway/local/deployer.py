"""Model servers on this machine: workers that share one listening socket for each endpoint.

The socket stays open from one revision to the next, so a client in its queue reaches any worker that is ready. Workers outlive
this process, and `recover` finds them again. Must not know which revision should serve.
"""

import asyncio
import contextlib
import shlex
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path

from fairway import confined
from fairway.local import listening
from fairway.local.workers import Worker, adopt, control_name, last_traceback, take_socket
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import EndpointStatus, RevisionSpec, WorkerSpec, port_of, request_url
from fairway.spec.errors import FairwayError, UsageError

_READY_SECONDS = 120.0
_SOON_SECONDS = 2.0
_MARGIN_SECONDS = 5.0
_ASK_SECONDS = 0.03


class Site:
    """The workers and the socket of an endpoint. The workers in `leaving` only finish their requests."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.listening: socket.socket | None = None
        self.workers: list[Worker] = []
        self.leaving: list[Worker] = []
        self.reason = ""

    @property
    def port(self) -> int:
        """Port of the socket; 0 without one."""
        return _port(self.listening) if self.listening is not None else 0

    def silence(self) -> None:
        """Stop listening."""
        if self.listening is not None:
            self.listening.close()
            self.listening = None


class LocalDeployer:
    """Model servers as processes of this machine.

    Args:
        root: directory of the store.
        open_artifact: returns the folder of an artifact.
        first_port: the lowest port for an endpoint that names none.
    """

    def __init__(
        self,
        root: Path,
        open_artifact: Callable[[Artifact], Path | bytes],
        first_port: int,
    ) -> None:
        self._root = root
        self._open = open_artifact
        self._first_port = first_port
        self._sites: dict[str, Site] = {}
        self._reserved: dict[str, socket.socket] = {}
        self._served: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.changed: Callable[[], None] = lambda: None

    def reserve(self, endpoint: str, wish: str, others: Mapping[str, str]) -> str:
        """Reserve an address for an endpoint until `remove`: the present or wished one, otherwise at the first free port.

        Args:
            endpoint: name of the endpoint.
            wish: a port, or an address that this method returned; empty for any.
            others: addresses of the other endpoints, by name.

        Raises:
            UsageError: the wish is not a port, belongs to another endpoint, or is in use by another program.
        """
        port = listening.port_wished(wish)
        owners = {_port(held): name for name, held in self._reserved.items() if name != endpoint}
        owners |= {port_of(found): name for name, found in others.items()}
        if port and port in owners:
            raise UsageError(
                f"port {port} belongs to endpoint {owners[port]}", hint="give another `--port`, or none"
            )
        self._release(endpoint)
        site = self._sites.get(endpoint)
        if site is not None and site.port and port in (0, site.port):
            return listening.address(site.port)
        found = listening.bind(port) if port else listening.bind_free(owners, self._first_port)
        self._reserved[endpoint] = found
        return listening.address(_port(found))

    async def recover(self) -> None:
        """Take over the workers that an earlier process of this store left."""
        files = listening.worker_files(self._root)
        sockets = listening.sockets_folder(self._root) if files else self._root
        for path in files:
            worker = await adopt(path, sockets, self._ended)
            if worker is None:
                continue
            site = self._site(worker.spec.revision.endpoint)
            assert worker.status is not None
            (site.leaving if worker.status.phase == "draining" else site.workers).append(worker)
        for name, site in list(self._sites.items()):
            for worker in sorted(site.workers, key=lambda found: not found.ready):
                site.listening = site.listening or await asyncio.to_thread(take_socket, worker)
            for worker in site.workers:
                self._mind(worker)
            if site.leaving:
                self._later(self._finish(site, list(site.leaving)))
            elif not site.workers:
                del self._sites[name]

    async def roll(self, revision: RevisionSpec, address: str) -> EndpointStatus:
        """Start the workers of a revision at an address. Then end all others without losing a request.

        Raises:
            FairwayError: a worker did not become ready. The workers of other revisions continue at their address.
        """
        port = listening.port_wished(address)
        site = self._site(revision.endpoint)
        own = [worker for worker in site.workers if (worker.revision, worker.port) == (revision.number, port)]
        others = [worker for worker in site.workers if worker not in own]
        count = revision.replicas.nearest(len(own))
        own, surplus = own[:count], own[count:]
        serving = any(worker.ready for worker in own)
        before = site.listening
        fresh: list[Worker] = []
        try:
            site.listening = await self._listening(site, port)
            await self._start(site, revision, count - len(own), fresh)
            await self._all_ready([worker for worker in (*own, *fresh) if not worker.ready], revision)
        except BaseException as error:
            await self._give_up([worker for worker in (*own, *fresh) if not (serving and worker.ready)])
            if before is not None and site.listening is not before:
                site.silence()
                site.listening = before
            self._tidy(site)
            if isinstance(error, OSError):
                raise FairwayError(f"no worker of {revision.endpoint} could be started: {error}") from error
            raise
        # Only now do the others stop: at every moment before, some worker takes what waits in the shared queue.
        site.reason = ""
        self._served.add(site.name)
        for worker in fresh:
            self._mind(worker)
        await self._drain(site, surplus + others)
        if before is not None and before is not site.listening:
            before.close()
        return self._status(site, revision)

    async def observe(self, endpoint: str) -> EndpointStatus | None:
        """Return the observed status of an endpoint. `workers` counts the living workers of all revisions."""
        site = self._sites.get(endpoint)
        return self._status(site, None) if site is not None else None

    async def remove(self, endpoint: str) -> None:
        """End the workers of an endpoint after their present requests, and release its port."""
        self._release(endpoint)
        self._served.discard(endpoint)
        site = self._sites.get(endpoint)
        if site is None:
            return
        workers = [*site.workers, *site.leaving]
        site.leaving, site.workers = workers, []
        await asyncio.gather(*(worker.drain() for worker in workers))
        await self._finish(site, workers)
        site.silence()
        self._sites.pop(endpoint, None)
        listening.clear(self._root, endpoint)

    def names(self) -> list[str]:
        """Return the endpoints that have a socket or a worker here."""
        return list(self._sites)

    def let_go(self) -> None:
        """Stop supervising the workers. They continue to serve."""
        for task in self._tasks:
            task.cancel()
        for site in self._sites.values():
            for worker in (*site.workers, *site.leaving):
                worker.unwatch()
            site.silence()
        self._sites.clear()
        for endpoint in list(self._reserved):
            self._release(endpoint)
        with contextlib.suppress(OSError, FairwayError):
            listening.sockets_folder(self._root).rmdir()

    async def _listening(self, site: Site, port: int) -> socket.socket:
        """Return the socket of a port: that of the site, the reserved one, that of a worker, or a new one. Raises UsageError."""
        if site.port == port and site.listening is not None:
            return site.listening
        reserved = self._reserved.pop(site.name, None)
        if reserved is not None and _port(reserved) == port:
            listening.listen(reserved)
            return reserved
        if reserved is not None:
            reserved.close()
        for worker in [*site.workers, *site.leaving]:
            if worker.port == port:
                taken = await asyncio.to_thread(take_socket, worker)
                if taken is not None:
                    return taken
        return listening.bind(port)

    def _mind(self, worker: Worker) -> None:
        self._later(self._end_if_hung(worker))

    async def _end_if_hung(self, worker: Worker) -> None:
        if await worker.hung():
            worker.send(signal.SIGKILL)

    def _release(self, endpoint: str) -> None:
        reserved = self._reserved.pop(endpoint, None)
        if reserved is not None:
            reserved.close()

    def _site(self, name: str) -> Site:
        if name not in self._sites:
            self._sites[name] = Site(name, listening.folder(self._root, name))
        return self._sites[name]

    def _status(self, site: Site, revision: RevisionSpec | None) -> EndpointStatus:
        ready = [worker for worker in site.workers if worker.ready]
        numbers = [worker.revision for worker in ready]
        serving = revision.number if revision is not None else max(numbers, key=numbers.count, default=0)
        spec = revision or next((w.spec.revision for w in site.workers if serving in (0, w.revision)), None)
        said = next((worker.status for worker in ready if worker.revision == serving), None)
        address = listening.address(site.port)
        return EndpointStatus(
            name=site.name,
            url=request_url(address, spec) if spec is not None and address else address,
            address=address,
            wanted=serving,
            serving=serving,
            ready=numbers.count(serving),
            workers=len(site.workers),
            others=sum(worker.revision != serving for worker in site.workers),
            starting=sum(not worker.ready for worker in site.workers),
            phase="Running" if ready else "Pending",
            reason=site.reason,
            revision=spec,
            runtime=said.runtime if said is not None else "",
            samples=said.samples if said is not None else "",
        )

    async def _start(self, site: Site, revision: RevisionSpec, count: int, started: list[Worker]) -> None:
        if count <= 0:
            return
        project = ""
        if revision.source is not None:
            project = str(await asyncio.to_thread(self._open, revision.source))
        folder = site.folder / f"r{revision.number}"
        with confined.entered(str(self._root), str(folder / "metrics" / "x"), made=confined.not_durable):
            pass
        sockets = listening.sockets_folder(self._root)
        assert site.listening is not None
        numbers = [int(path.stem[1:]) for path in folder.glob("w*.log")]
        first = max(numbers, default=0) + 1
        for number in range(first, first + count):
            spec = WorkerSpec(
                revision=revision,
                store=str(self._root),
                control=control_name(folder / f"w{number}.json"),
                metrics=str(folder / "metrics"),
                hosts=(f"{listening.HOST}:{site.port}", f"localhost:{site.port}"),
                project=project,
            )
            worker = Worker.start(folder / f"w{number}.json", spec, site.listening, sockets, self._ended)
            site.workers.append(worker)
            started.append(worker)

    async def _all_ready(self, workers: Iterable[Worker], revision: RevisionSpec) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        tasks = [asyncio.create_task(self._one_ready(worker, revision, deadline)) for worker in workers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _one_ready(self, worker: Worker, revision: RevisionSpec, deadline: float) -> None:
        what = f"revision {revision.number} of {revision.endpoint}"
        while not worker.ready:
            if await worker.left(_ASK_SECONDS):
                raise FairwayError(
                    f"{what} did not become ready: {worker.how()}",
                    hint=_hint(worker),
                    details=last_traceback(worker.log),
                )
            if time.monotonic() > deadline:
                raise FairwayError(
                    f"{what} was not ready after {_READY_SECONDS:.0f} seconds", hint=_hint(worker)
                )
            status = await worker.ask("status")
            worker.ready = status is not None and status.phase == "ready"

    async def _give_up(self, workers: list[Worker]) -> None:
        """End workers that were never used, and kill those that do not answer yet."""
        for worker in workers:
            worker.send(signal.SIGTERM if worker.ready else signal.SIGKILL)
        await asyncio.gather(*(self._ensure_gone(worker, _MARGIN_SECONDS) for worker in workers))

    async def _drain(self, site: Site, workers: list[Worker]) -> None:
        """Let workers finish. Return when they have ended, or soon, while the last ones finish in the background."""
        if not workers:
            return
        site.workers = [worker for worker in site.workers if worker not in workers]
        site.leaving += workers
        await asyncio.gather(*(worker.drain() for worker in workers))
        task = self._later(self._finish(site, workers))
        await asyncio.wait({task}, timeout=_SOON_SECONDS)

    def _later(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _finish(self, site: Site, workers: list[Worker]) -> None:
        await asyncio.gather(*(self._ensure_gone(worker, _grace(worker.spec.revision)) for worker in workers))
        for number in {worker.revision for worker in workers}:
            if not any(worker.revision == number for worker in (*site.workers, *site.leaving)):
                listening.clear(self._root, site.name, number)

    async def _ensure_gone(self, worker: Worker, seconds: float) -> None:
        if not await worker.left(seconds):
            worker.send(signal.SIGKILL)
            await worker.gone.wait()

    def _ended(self, worker: Worker) -> None:
        site = self._sites.get(worker.spec.revision.endpoint)
        worker.forget(log=False)
        if site is None:
            return
        if worker in site.leaving:
            site.leaving.remove(worker)
            return
        if worker in site.workers:
            site.workers.remove(worker)
            site.reason = f"a worker is gone: {worker.how()}"
            self.changed()

    def _tidy(self, site: Site) -> None:
        """Forget a site that has no worker. If it ever served, keep its port reserved."""
        if site.workers or site.leaving:
            return
        port = site.port
        site.silence()
        self._sites.pop(site.name, None)
        if site.name in self._served:
            with contextlib.suppress(OSError, FairwayError):
                self._reserved[site.name] = listening.hold(port)


def _hint(worker: Worker) -> str:
    return f"what it printed: `cat {shlex.quote(str(worker.log))}`; what served before serves on: `fairway endpoints`"


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _grace(revision: RevisionSpec) -> float:
    return revision.limits.drain_seconds + revision.limits.request_seconds + _MARGIN_SECONDS

"""The engine of endpoints: it keeps endpoints as they are wanted.

It records an intent, acts through the deployer, and only then points the endpoint to the revision.

A revision is durable before any of its workers exists, and an endpoint is pointed to it only once it answers. So a kill
at any moment leaves either the old revision serving or the new one. Must not know what a worker is, where it runs, or
what an address is made of.
"""

import asyncio
import logging
from contextlib import suppress

import msgspec

from fairway.engine.revisions import Revisions, key_of
from fairway.plan.endpoints import Action, Remove, Roll, Tries, Wanted, decide, succeeded, tried
from fairway.ports import ArtifactStore, Clock, Deployer
from fairway.ports.serving import EndpointRecords
from fairway.spec.endpoint import Bounds, Deployed, DeployRequest, EndpointStatus, RevisionSpec
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.event import EndpointPointed, Event

_log = logging.getLogger("fairway")
_LOOK_SECONDS = 1.0


class EndpointEngine:
    """The engine of endpoints. It deploys, and from `watch` on it keeps alive what is deployed."""

    def __init__(
        self, metadata: EndpointRecords, deployer: Deployer, artifacts: ArtifactStore, clock: Clock
    ) -> None:
        self._metadata = metadata
        self._deployer = deployer
        self._revisions = Revisions(metadata, artifacts, clock)
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._tries: dict[str, Tries] = {}
        self._reasons: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._closed = False

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function and return when it answers. Raises FairwayError, nothing changed."""
        async with self._changing(request.name):
            revision = await asyncio.to_thread(self._revisions.planned, request)
            known = self._known(request.name)
            current = known.revision if known is not None and known.wanted else None
            key, digest = key_of(request, current)
            revision = msgspec.structs.replace(revision, key_digest=digest)
            address = self._reserved(request, known)
            made = None
            try:
                revision = await asyncio.to_thread(self._revisions.decided, revision)
                # Make the revision durable before its first worker starts. After a kill, the next platform then knows the worker.
                made = await asyncio.to_thread(self._metadata.create_revision, revision)
                status = await self._deployer.roll(made, address)
                # Point after the revision answers: a kill before this leaves the old one in place.
                moved = known is None or known.address != address
                await self._point(request.name, made.number, "deployed", address if moved else "")
            except BaseException:
                if current is None:
                    await self._deployer.remove(request.name)
                    if made is not None:
                        await self._point(request.name, 0, "it did not become ready")
                raise
            self._settled(request.name)
        replaced = current.number if current is not None else 0
        return Deployed(status=_as_deployed(status, made), replaced=replaced, key=key)

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the previous one. Raises FairwayError, nothing changed."""
        async with self._changing(endpoint):
            known = self._served(endpoint)
            current = known.revision
            assert current is not None
            target = await asyncio.to_thread(self._revisions.earlier, current, revision)
            if target.key_digest != current.key_digest:
                said = "open" if not target.key_digest else "another key's"
                raise UsageError(
                    f"revision {target.number} of {endpoint} is {said}, so clients would be let in or locked out",
                    hint="deploy its version again: `fairway deploy`",
                )
            status = await self._roll(target, known.address)
            await self._point(endpoint, target.number, f"rolled back from {current.number}")
            self._settled(endpoint)
        return Deployed(status=_as_deployed(status, target), replaced=current.number)

    async def undeploy(self, endpoint: str) -> None:
        """Remove an endpoint after its open requests. Raises NotFound."""
        async with self._changing(endpoint):
            self._served(endpoint)
            # Record the intent first: after a kill in between, the next platform removes what is left.
            await self._point(endpoint, 0, "undeployed")
            await self._deployer.remove(endpoint)
            self._settled(endpoint)

    async def endpoints(self) -> list[EndpointStatus]:
        """Return every endpoint as wanted and as observed."""
        found: list[EndpointStatus] = []
        for known in self._metadata.endpoints():
            seen = await self._deployer.observe(known.name)
            if known.wanted:
                found.append(self._merged(known, seen))
        return found

    async def reconcile(self) -> list[Action]:
        """Compare wanted and observed once, and begin the due actions. Endpoints that are being changed are left alone."""
        known = {
            status.name: status
            for status in self._metadata.endpoints()
            if not self._lock(status.name).locked()
        }
        wanted = [
            Wanted(name=status.name, revision=status.wanted, replicas=_replicas(status))
            for status in known.values()
        ]
        observed: dict[str, EndpointStatus] = {}
        for name in known:
            seen = await self._deployer.observe(name)
            if seen is not None:
                observed[name] = seen
        now = self._clock.monotonic()
        actions = decide(wanted, observed, self._tries, now)
        for action in actions:
            task = asyncio.get_running_loop().create_task(self._act(action, known[action.name]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if actions:
            await asyncio.sleep(0)
        return actions

    async def watch(self) -> None:
        """Reconcile now, after every `wake` and every second, until cancelled. No error ends the loop."""
        while True:
            self._woken.clear()
            try:
                await self.reconcile()
            except Exception:
                _log.exception("looking after the endpoints failed; it goes on")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._woken.wait()

    def wake(self) -> None:
        """Let `watch` look now, because something may have changed."""
        self._woken.set()

    async def close(self) -> None:
        """Stop beginning actions, and cancel those that `watch` began."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop_all(self) -> None:
        """End every endpoint after its open requests. It stays wanted and comes back with the platform."""
        await self.close()
        names = [status.name for status in self._metadata.endpoints()]
        await asyncio.gather(*(self._stop(name) for name in names))

    async def _stop(self, name: str) -> None:
        async with self._lock(name):
            await self._deployer.remove(name)

    async def _act(self, action: Action, known: EndpointStatus) -> None:
        lock = self._lock(action.name)
        if lock.locked():
            return
        async with lock:
            if isinstance(action, Remove):
                await self._deployer.remove(action.name)
                return
            await self._restore(action, known)

    async def _restore(self, action: Roll, known: EndpointStatus) -> None:
        self._tries[action.name] = tried(self._tries.get(action.name), self._clock.monotonic())
        if known.revision is None:
            return
        try:
            await self._roll(known.revision, known.address)
        except FairwayError as error:
            self._reasons[action.name] = error.message
        except OSError as error:
            self._reasons[action.name] = f"workers could not be started: {error}"
        else:
            self._reasons.pop(action.name, None)
            self._tries[action.name] = succeeded(self._tries[action.name])

    async def _roll(self, revision: RevisionSpec, address: str) -> EndpointStatus:
        """Serve a recorded revision with the permissions that the log gives it now."""
        return await self._deployer.roll(await asyncio.to_thread(self._revisions.decided, revision), address)

    def _known(self, name: str) -> EndpointStatus | None:
        return next((status for status in self._metadata.endpoints() if status.name == name), None)

    def _served(self, name: str) -> EndpointStatus:
        known = self._known(name)
        if known is None or known.revision is None or not known.wanted:
            raise NotFound(f"there is no endpoint {name!r}", hint="`fairway endpoints` lists them")
        return known

    def _reserved(self, request: DeployRequest, known: EndpointStatus | None) -> str:
        """Reserve the requested address, else the previous one, else any. Raises UsageError."""
        others = {
            status.name: status.address
            for status in self._metadata.endpoints()
            if status.name != request.name and status.phase != "Stopped" and status.address
        }
        kept = known.address if known is not None and known.address not in others.values() else ""
        try:
            return self._deployer.reserve(request.name, request.wish or kept, others)
        except UsageError:
            # Clients know the address of an endpoint that should answer now. Only an endpoint that was removed may move.
            if request.wish or known is None or known.wanted:
                raise
            return self._deployer.reserve(request.name, "", others)

    async def _point(self, name: str, number: int, reason: str, address: str = "") -> None:
        event = Event(body=EndpointPointed(name, number, reason, address), time=self._clock.now())
        await asyncio.to_thread(self._metadata.append, [event])

    def _merged(self, known: EndpointStatus, seen: EndpointStatus | None) -> EndpointStatus:
        reason = self._reasons.get(known.name) or (seen.reason if seen is not None else "")
        if seen is None:
            phase = "Failed" if reason else "Pending"
            return msgspec.structs.replace(known, phase=phase, reason=reason)
        replicas = _replicas(known)
        as_wanted = seen.serving == known.wanted and seen.ready in replicas
        return msgspec.structs.replace(
            known,
            url=seen.url,
            serving=seen.serving,
            ready=seen.ready,
            workers=replicas.nearest(seen.workers),
            others=seen.others,
            starting=seen.starting,
            crashing=seen.crashing,
            phase="Running" if seen.ready else "Failed" if self._reasons.get(known.name) else "Pending",
            reason="" if as_wanted and not seen.crashing else reason,
            runtime=seen.runtime,
            samples=seen.samples,
        )

    def _settled(self, name: str) -> None:
        self._tries.pop(name, None)
        self._reasons.pop(name, None)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _changing(self, name: str) -> asyncio.Lock:
        """Return the lock that admits one change at a time per endpoint. Raises FairwayError when the platform is stopping."""
        if self._closed:
            raise FairwayError("the platform is stopping", hint="`fairway up` starts it again")
        return self._lock(name)


def _replicas(status: EndpointStatus) -> Bounds:
    """Return the bounds for the number of workers; none when no revision should answer."""
    return status.revision.replicas if status.revision is not None else Bounds(0, 0)


def _as_deployed(status: EndpointStatus, revision: RevisionSpec) -> EndpointStatus:
    """Return the status of an endpoint that answers with a revision, before its record is read again."""
    return msgspec.structs.replace(
        status,
        wanted=revision.number,
        workers=revision.replicas.nearest(status.workers),
        revision=revision,
    )

"""Keeps endpoints as they are wanted: records intent, acts through the deployer, and only then points.

A revision is durable before any of its workers exists, and an endpoint is pointed to it only once it answers; so a kill
at any moment leaves either the old one serving or the new one. Must not know what a worker is or where it runs.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress

import msgspec

from fairway.plan.endpoints import Action, Remove, Roll, Tries, Wanted, decide, succeeded, tried
from fairway.ports import ArtifactStore, Clock, Deployer, MetadataStore
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus, RevisionSpec
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.event import EndpointPointed, Event

Claim = Callable[[str, int, frozenset[int]], int]
"""Takes hold of a port for an endpoint: `(endpoint, port or 0, ports of others)`. Raises UsageError when in use."""

_log = logging.getLogger("fairway")
_LOOK_SECONDS = 1.0
_NAME_LENGTH = 63
_MAX_WORKERS = 64
_MAX_PORT = 65535
_MAX_LIMIT = 2**40


class EndpointEngine:
    """Deploys, and from `watch` on keeps what is deployed alive."""

    def __init__(
        self,
        metadata: MetadataStore,
        deployer: Deployer,
        artifacts: ArtifactStore,
        clock: Clock,
        claim: Claim,
    ) -> None:
        self._metadata = metadata
        self._deployer = deployer
        self._artifacts = artifacts
        self._clock = clock
        self._claim = claim
        self._locks: dict[str, asyncio.Lock] = {}
        self._tries: dict[str, Tries] = {}
        self._reasons: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._closed = False

    async def deploy(self, request: DeployRequest) -> Deployed:
        """Serve a model or function; returns when it answers. Raises FairwayError, nothing changed."""
        revision = self._planned(request)
        async with self._changing(request.name):
            known = self._known(request.name)
            current = known.revision if known is not None and known.wanted else None
            key, digest = _key(request, current)
            revision = msgspec.structs.replace(revision, key_digest=digest)
            port = self._held(request, known)
            given = 0
            try:
                made, given = await asyncio.to_thread(self._metadata.create_revision, revision, port)
                status = await self._deployer.roll(made, port)
                await self._point(request.name, made.number, "deployed", port if port != given else 0)
            except BaseException:
                if current is None:
                    await self._deployer.remove(request.name)
                    if given:
                        await self._point(request.name, 0, "it did not become ready")
                raise
            self._settled(request.name)
        shown = msgspec.structs.replace(status, wanted=made.number, workers=made.workers, revision=made)
        return Deployed(status=shown, replaced=current.number if current is not None else 0, key=key)

    async def rollback(self, endpoint: str, revision: int = 0) -> Deployed:
        """Point an endpoint to an earlier revision; 0 is the one before. Raises FairwayError, nothing changed."""
        async with self._changing(endpoint):
            known = self._served(endpoint)
            current = known.revision
            assert current is not None
            target = self._earlier(current, revision)
            if target.key_digest != current.key_digest:
                said = "open" if not target.key_digest else "another key's"
                raise UsageError(
                    f"revision {target.number} of {endpoint} is {said}, so clients would be let in or locked out",
                    hint="deploy its version again: `fairway deploy`",
                )
            status = await self._deployer.roll(target, known.port)
            await self._point(endpoint, target.number, f"rolled back from {current.number}")
            self._settled(endpoint)
        shown = msgspec.structs.replace(status, wanted=target.number, workers=target.workers, revision=target)
        return Deployed(status=shown, replaced=current.number)

    async def undeploy(self, endpoint: str) -> None:
        """Take an endpoint away after what is in flight. Raises NotFound."""
        async with self._changing(endpoint):
            self._served(endpoint)
            await self._point(endpoint, 0, "undeployed")
            await self._deployer.remove(endpoint)
            self._settled(endpoint)

    async def endpoints(self) -> list[EndpointStatus]:
        """Every endpoint as wanted and as observed."""
        found: list[EndpointStatus] = []
        for known in self._metadata.endpoints():
            seen = await self._deployer.observe(known.name)
            if known.wanted:
                found.append(self._merged(known, seen))
        return found

    async def reconcile(self) -> list[Action]:
        """Look once and begin what has to be done; an endpoint that is being changed is left alone."""
        known = {
            status.name: status
            for status in self._metadata.endpoints()
            if not self._lock(status.name).locked()
        }
        wanted = [
            Wanted(name=status.name, revision=status.wanted, workers=status.workers)
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
        """Reconcile at once, whenever woken, and every second, until cancelled; no error ends it."""
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
        """Something may have changed: look now."""
        self._woken.set()

    async def close(self) -> None:
        """Begin nothing more, and stop what the watching began."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop_all(self) -> None:
        """End everything that serves, after what is in flight; it stays wanted and comes back with the platform."""
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
            await self._deployer.roll(known.revision, known.port)
        except FairwayError as error:
            self._reasons[action.name] = error.message
        except OSError as error:
            self._reasons[action.name] = f"workers could not be started: {error}"
        else:
            self._reasons.pop(action.name, None)
            self._tries[action.name] = succeeded(self._tries[action.name])

    def _planned(self, request: DeployRequest) -> RevisionSpec:
        """The revision a request asks for, not numbered yet. Raises NotFound, UsageError."""
        if not _usable(request.name):
            raise UsageError(
                f"{request.name!r} cannot be an endpoint's name",
                hint="letters a to z, digits, `-`, `_` and `.`, at most 63",
            )
        _check_numbers(request)
        revision = RevisionSpec(
            endpoint=request.name,
            number=0,
            workers=request.workers,
            limits=request.limits,
            created=self._clock.now(),
        )
        if request.model:
            version = self._metadata.resolve(request.model)
            if not version.can_be_served:
                raise UsageError(
                    f"{version} was registered without a sample, so it is not known what it takes",
                    hint="give `fw.register` rows of its input as `sample=`, and run the pipeline again",
                )
            for part in (version.candidate.compiled, version.candidate.artifact):
                if part is not None and not self._artifacts.holds(part):
                    raise NotFound(f"the content of {version} is not in the store", hint="`fairway doctor`")
            return msgspec.structs.replace(revision, model=version)
        if not request.function or request.source is None:
            raise UsageError("a deployment names a model or a function of a project")
        aliases = self._metadata.aliases()
        aliases |= {model.name: model.newest.version for model in self._metadata.models()}
        return msgspec.structs.replace(
            revision, function=request.function, source=request.source, module=request.module, aliases=aliases
        )

    def _earlier(self, current: RevisionSpec, number: int) -> RevisionSpec:
        name = current.endpoint
        served = {
            event.body.number
            for event in self._metadata.events()
            if isinstance(event.body, EndpointPointed) and event.body.endpoint == name
        }
        revisions = {
            found.number: found for found in self._metadata.revisions(name) if found.number in served
        }
        if not number:
            number = max((one for one in revisions if one < current.number), default=0)
            if not number:
                raise NotFound(f"{name} has no revision before {current.number} that served")
        if number == current.number:
            raise UsageError(f"revision {number} of {name} serves already")
        if number not in revisions:
            known = ", ".join(str(one) for one in revisions)
            raise NotFound(f"{name} has no revision {number} that served", hint=f"it has {known}")
        return revisions[number]

    def _known(self, name: str) -> EndpointStatus | None:
        return next((status for status in self._metadata.endpoints() if status.name == name), None)

    def _served(self, name: str) -> EndpointStatus:
        known = self._known(name)
        if known is None or known.revision is None or not known.wanted:
            raise NotFound(f"there is no endpoint {name!r}", hint="`fairway endpoints` lists them")
        return known

    def _held(self, request: DeployRequest, known: EndpointStatus | None) -> int:
        """The port that is asked for, else the one it had, else a free one, taken hold of. Raises UsageError."""
        others = self._ports(request.name)
        if request.port in others.values():
            owner = next(name for name, port in others.items() if port == request.port)
            raise UsageError(
                f"port {request.port} belongs to endpoint {owner}", hint="give another `--port`, or none"
            )
        kept = known.port if known is not None and known.port not in others.values() else 0
        taken = frozenset(others.values())
        try:
            return self._claim(request.name, request.port or kept, taken)
        except UsageError:
            if request.port or known is None or known.wanted:
                raise
            return self._claim(request.name, 0, taken)

    def _ports(self, but: str) -> dict[str, int]:
        """Where the other endpoints are, by name."""
        return {
            status.name: status.port
            for status in self._metadata.endpoints()
            if status.name != but and status.phase != "Stopped"
        }

    async def _point(self, name: str, number: int, reason: str, port: int = 0) -> None:
        event = Event(body=EndpointPointed(name, number, reason, port), time=self._clock.now())
        await asyncio.to_thread(self._metadata.append, [event])

    def _merged(self, known: EndpointStatus, seen: EndpointStatus | None) -> EndpointStatus:
        reason = self._reasons.get(known.name) or (seen.reason if seen is not None else "")
        if seen is None:
            phase = "Failed" if reason else "Pending"
            return msgspec.structs.replace(known, phase=phase, reason=reason)
        as_wanted = seen.serving == known.wanted and seen.ready == known.workers
        return msgspec.structs.replace(
            known,
            url=seen.url,
            serving=seen.serving,
            ready=seen.ready,
            phase="Running" if seen.ready else "Failed" if self._reasons.get(known.name) else "Pending",
            reason="" if as_wanted else reason,
            runtime=seen.runtime,
            samples=seen.samples,
        )

    def _settled(self, name: str) -> None:
        self._tries.pop(name, None)
        self._reasons.pop(name, None)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _changing(self, name: str) -> asyncio.Lock:
        """One change at a time per endpoint. Raises FairwayError when the platform is stopping."""
        if self._closed:
            raise FairwayError("the platform is stopping", hint="`fairway up` starts it again")
        return self._lock(name)


def _key(request: DeployRequest, current: RevisionSpec | None) -> tuple[str, str]:
    """A new key and its digest. An endpoint that is private stays so and keeps its key."""
    if current is not None and current.key_digest:
        return "", current.key_digest
    if not request.private:
        return "", ""
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


def _check_numbers(request: DeployRequest) -> None:
    """Refuse numbers that no server can be started with. Raises UsageError."""
    if not 1 <= request.workers <= _MAX_WORKERS:
        raise UsageError(
            f"{request.workers} workers cannot be started", hint=f"from 1 to {_MAX_WORKERS}: `--workers 2`"
        )
    if not 0 <= request.port <= _MAX_PORT:
        raise UsageError(f"there is no port {request.port}", hint=f"from 1 to {_MAX_PORT}: `--port 8000`")
    for name, limit in msgspec.structs.asdict(request.limits).items():
        if not 0 <= limit <= _MAX_LIMIT:
            raise UsageError(f"a limit of {limit} for {name} cannot be kept", hint=f"from 0 to {_MAX_LIMIT}")


def _usable(name: str) -> bool:
    return (
        0 < len(name) <= _NAME_LENGTH
        and name.isascii()
        and (name[0].isalnum() or name[0] == "_")
        and all(letter.isalnum() or letter in "-_." for letter in name)
    )

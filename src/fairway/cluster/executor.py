"""The hosts of an engine in pods of a cluster: one driver for small steps, and pods that all other steps share."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import msgspec

from fairway.cluster import names, observed, pods
from fairway.cluster.blueprints import Blueprints, Images, Project
from fairway.cluster.hosts import ClusterHost, usable
from fairway.cluster.jobs import Jobs
from fairway.cluster.links import Links
from fairway.cluster.lives import PodLives, unwanted
from fairway.cluster.pending import Pending
from fairway.cluster.room import amount
from fairway.cluster.scaling import Bounds
from fairway.cluster.seats import Seat
from fairway.cluster.workers import Worker, Workers
from fairway.spec.errors import FairwayError
from fairway.spec.places import Attempt, Back, Gone, Place
from fairway.spec.project import EnvironmentSpec, ProjectSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.wire import DRIVER, FromHost

_SHARED = "driver"
_PODS = "pods"
_OWN = "own pods"
_RECONNECT_SECONDS = 300.0
"""Seconds that a pod has to come back after a restart of the control plane. What the cluster says of it may end that earlier."""
_STOP_SECONDS = 15.0
"""Seconds that the pipeline of an earlier engine has to end."""
_YIELD_SECONDS = 5.0
"""Seconds that a driver waits for room until the driver of an earlier engine makes way for it."""
_SETTLE_SECONDS = 120.0
"""Seconds that the steps on the driver of an earlier engine have to end before it makes way. After them they are lost."""

Hear = Callable[[ClusterHost | Seat, FromHost | Gone | Back], None]


class Still(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that an earlier engine began, and that still runs or whose end that engine may not have heard."""

    step: str
    attempt: int
    place: Place
    host: ClusterHost | Seat


_Adopted = Worker | tuple[ClusterHost, tuple[tuple[str, int], ...]] | None
"""A pod of an earlier engine that came back: with a driver come its attempts. None for one that is of no use."""


class ClusterExecutor:
    """The executor for one project in a namespace of a cluster.

    Args:
        jobs: the Jobs of the installation.
        links: the links to all hosts.
        project: the project.
        images: returns the image for an environment.
        note: called with a line of text while a host is waited for.
    """

    def __init__(
        self,
        jobs: Jobs,
        links: Links,
        project: Project,
        images: Images,
        note: Callable[[str], None],
    ) -> None:
        self._jobs = jobs
        self._blueprints = Blueprints(jobs.install, project, images)
        self._lives = PodLives(jobs, links, note)
        bounds = Bounds(most=jobs.install.pods.most, kept=jobs.install.pods.kept)
        self._workers = Workers(self._lives, self._blueprints, bounds, self._has_room, self._found_room)
        self._taken: dict[int, Grant] = {}
        self._yielding: dict[str, asyncio.Future[_Adopted]] = {}
        self._has_driver = asyncio.Event()
        self._changed: Callable[[str, Resources | None], None] = lambda pool, bound: None

    def places(self, environment: EnvironmentSpec | None) -> tuple[Place, ...]:
        """Return the driver, and pods that attempts share. Another environment than the project's own is only in such pods."""
        if environment is None:
            own = Place(name="own", pool=_OWN, alone=True, outlives=True, reserved=True)
            return (
                Place(name="driver", pool=_SHARED, outlives=True),
                Place(name="pod", pool=_PODS, alone=True, outlives=True),
                own,
            )
        name = f"pod-{environment.key}"
        return (Place(name=name, environment=environment, pool=_PODS, alone=True, outlives=True),)

    def capacity(self) -> dict[str, Resources]:
        """Return what the driver has for steps. Other pods have no bound here: the cluster has one."""
        size = self._jobs.install.driver.resources
        return {_SHARED: Resources(cpu=size.cpu, memory=usable(size.memory))}

    def enter(self, run: str, changed: Callable[[str, Resources | None], None]) -> None:
        """Note the name of the run, and whom to tell that a pod has room again."""
        self._blueprints.run_name = run
        self._changed = changed

    def leave(self) -> None:
        """Give everything back, because the run is over."""
        self._taken.clear()
        self._workers.leave()

    def take(self, place: Place, wanted: Resources, step: str) -> Grant | None:
        """Take resources of the driver, or room in another pod. Return None if there is no room now.

        A step that the driver would have room for waits while steps there end quickly: a pod takes longer to start.
        """
        if place.pool != _SHARED:
            return self._workers.book(place, wanted, step, self._beside(place, wanted))
        if not self._has_room(wanted):
            return None
        grant = Grant(resources=wanted)
        self._taken[id(grant)] = grant
        self._workers.scale.pace.began(self._blueprints.kind(None, wanted), id(grant), time.monotonic())
        return grant

    def give_back(self, grant: Grant) -> None:
        """Give back a grant, because its attempt is over."""
        if self._taken.pop(id(grant), None) is None:
            self._workers.give_back(grant)
        else:
            kind = self._blueprints.kind(None, grant.resources)
            self._workers.scale.pace.ended(kind, id(grant), time.monotonic())

    def wait_for(self, wanted: Resources, step: str, waiting: int = 1) -> None:
        """Note how many steps wait. No other run uses these pods."""
        self._workers.scale.waiting = waiting

    def stop_waiting(self) -> None:
        """Note that no step waits."""
        self._workers.scale.waiting = 0

    def who_else(self) -> str:
        """Return what leaves no room: nobody but the run itself."""
        return "room in a pod of the run"

    async def open(self) -> tuple[ClusterHost, ProjectSpec]:
        """Start the driver, which describes the project and is the home of its pipeline.

        Raises:
            HostLost: it ended before it was ready.
            FairwayError: it cannot be started, or it cannot import the project.
        """
        return await self._start_driver(self.places(None)[0])

    async def start(self, place: Place, hear: Hear, attempt: Attempt | None = None) -> ClusterHost | Seat:
        """Start a driver, or return the seat of an attempt in another pod. Raises FairwayError."""
        if place.alone and attempt is not None:
            return await self._workers.start(place, attempt, hear)
        host, _ = await self._start_driver(place)
        host.listen(hear)
        return host

    async def observe(self, run: str, hear: Hear) -> tuple[Still, ...]:
        """Return the attempts of an earlier engine that its pods know. End its pipeline, because that begins again."""
        there = await self._jobs.of_run(self._blueprints.run)
        yielding, self._yielding = self._yielding, {}
        known = {*self._blueprints.given, *yielding}
        old = [job for name, job in there.items() if name not in known]
        found = await asyncio.gather(*yielding.values(), *map(self._adopt, old))
        driver, pod, _ = self.places(None)
        still: list[Still] = []
        for one in found:
            if isinstance(one, Worker):
                for (step, attempt), seat in self._workers.listen(one, hear):
                    still.append(Still(step=step, attempt=attempt, place=pod, host=seat))
            elif one is not None:
                host, attempts = one
                still += [
                    Still(step=step, attempt=attempt, place=driver, host=host) for step, attempt in attempts
                ]
                host.listen(hear)
        return tuple(still)

    async def _adopt(self, job: observed.Job) -> _Adopted:
        """Take over the host of a Job if its pod comes back with attempts. End it otherwise."""
        name = job.metadata.name
        if job.metadata.deletion_timestamp or job.status.failed:
            # Its pod is gone, or on its way, so it would be waited for in vain.
            await self._lives.refuse(name)
            return None
        if not names.is_driver(name):
            kind = job.metadata.annotations.get(pods.KIND, "")
            return await self._workers.adopt(name, kind, _room_of(job), _RECONNECT_SECONDS)
        host = self._lives.expect(name, self._blueprints.orders(), lambda: False)
        running, ended = await host.attempts(_RECONNECT_SECONDS)
        for step, attempt in running:
            if step == DRIVER:
                await host.stop(step, attempt, _STOP_SECONDS)
        kept = tuple(dict.fromkeys(one for one in (*running, *ended) if one[0] != DRIVER))
        if kept and not host.is_gone:
            return host, kept
        await self._lives.refuse(name)
        host.lose(unwanted("its engine was replaced"))
        return None

    async def _start_driver(self, place: Place) -> tuple[ClusterHost, ProjectSpec]:
        """Start a driver. Raises FairwayError."""
        # The names of an earlier engine's pods are used up, even if they are gone soon.
        there = await self._jobs.of_run(self._blueprints.run)
        self._blueprints.use_up(there)
        # Behind the first driver they are this engine's own.
        is_first = not self._has_driver.is_set()
        earlier = [job for one, job in there.items() if is_first and one not in self._blueprints.given]
        name = self._blueprints.driver()
        wanted = await self._blueprints.pod(name, place, self._jobs.install.driver.resources)
        host = self._lives.expect(name, self._blueprints.orders(place), lambda: False)
        try:
            doubt = partial(self._make_way, earlier, time.monotonic())
            project = await self._lives.described(host, wanted, lambda: "the pipeline", doubt)
            self._has_driver.set()
        except BaseException as error:
            # After a cancel as well: the pod may still wait for a node.
            host.lose(unwanted(str(error) or "nobody waits for it any more"))
            if isinstance(error, FairwayError):
                error.details = host.printed.decode(errors="replace") + error.details
            raise
        return host, project

    def _make_way(self, earlier: list[observed.Job], since: float, found: Pending, waited: float) -> None:
        """Let the driver of an earlier engine go if its room is what the new one waits for.

        All pods of an earlier engine are taken over only once the new driver is there. In a full namespace each would wait
        for the other.
        """
        if (found.unplaced or found.over_quota) and waited > _YIELD_SECONDS and earlier:
            cleared = asyncio.ensure_future(self._end_unplaced(tuple(earlier), since))
            for job in earlier:
                if names.is_driver(job.metadata.name):
                    self._yielding[job.metadata.name] = asyncio.ensure_future(self._yield(job, cleared))
            earlier.clear()

    async def _end_unplaced(self, earlier: tuple[observed.Job, ...], since: float) -> None:
        """End the pods of an earlier engine that never began, because one of them would take the room that becomes free."""
        for name in [job.metadata.name for job in earlier if not names.is_driver(job.metadata.name)]:
            if self._jobs.never_began(name, since):
                await self._lives.refuse(name)

    async def _yield(self, job: observed.Job, cleared: "asyncio.Future[None]") -> _Adopted:
        """Take over a driver of an earlier engine, and end it once its steps have ended. The engine hears of their ends later."""
        await asyncio.wait([cleared])
        adopted = await self._adopt(job)
        if isinstance(adopted, tuple):
            host, attempts = adopted
            settled = asyncio.ensure_future(host.settle(attempts, _SETTLE_SECONDS))
            placed = asyncio.ensure_future(self._has_driver.wait())
            await asyncio.wait([settled, placed], return_when=asyncio.FIRST_COMPLETED)
            settled.cancel()
            placed.cancel()
            if not self._has_driver.is_set():
                await host.close()
        return adopted

    def _has_room(self, wanted: Resources) -> bool:
        """Tell whether the driver has room for a step now."""
        size, taken = self.capacity()[_SHARED], [one.resources for one in self._taken.values()]
        cpu, memory = sum(one.cpu for one in taken), sum(one.memory for one in taken)
        return wanted.fits(Resources(cpu=size.cpu - cpu, memory=size.memory - memory))

    def _beside(self, place: Place, wanted: Resources) -> int:
        """Return how many steps of a size the driver carries out at once. Not every place can be replaced by the driver."""
        size = self.capacity()[_SHARED]
        if place.pool != _PODS or place.environment is not None or not wanted.fits(size):
            return 0
        return max(1, int(size.cpu / wanted.cpu + 1e-9)) if wanted.cpu else 1

    def _found_room(self) -> None:
        self._changed(_PODS, None)


def _room_of(job: observed.Job) -> Resources:
    """Return the size of the pod that a Job makes."""
    containers = job.spec.template.spec.containers
    limits = containers[0].resources.limits if containers else {}
    gpu = sum(int(amount(text)) for name, text in limits.items() if name.endswith("/gpu"))
    return Resources(cpu=amount(limits.get("cpu", "")), memory=int(amount(limits.get("memory", ""))), gpu=gpu)

"""The hosts of an engine in pods of a cluster: one driver for small steps, and a pod of its own for each other attempt."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from fairway.cluster import evidence, names, observed, pending, pods
from fairway.cluster.hosts import ClusterHost, Hear, usable
from fairway.cluster.jobs import Jobs
from fairway.cluster.links import Links
from fairway.spec.errors import FairwayError
from fairway.spec.imports import import_error
from fairway.spec.link import HostEnded, Orders
from fairway.spec.places import Attempt, CannotPlace, Place
from fairway.spec.project import EnvironmentSpec, ProjectSpec
from fairway.spec.quantities import Grant, Resources
from fairway.spec.run import Failure, Reason
from fairway.spec.wire import DRIVER

_SHARED = "driver"
_PODS = "pods"
_OWN = "own pods"
_MOST_PODS = 64
"""The most pods of one run at a time. The cluster has bounds of its own, and this keeps a wide run from flooding it."""
_TURN_SECONDS = 2.0
"""Seconds without the end of a step on the driver, after which a step that it has no room for gets a pod."""
_PATIENCE_SECONDS = 10.0
"""Seconds that a step waits for a driver on which steps end all the time, before it gets a pod all the same."""
_UNPLACED_SECONDS = 10.0
"""Seconds that a step waits for a node before it goes back to a driver that has room again."""
_LOOK_SECONDS = 5.0
_WITHOUT_POD_SECONDS = 3.0
"""Seconds after which a Job without a pod is asked about. The pod of a Job is usually made within one."""
_WORTH_SAYING = 2.0
_EXPLAIN_SECONDS = 3.0
"""Seconds that an end waits for the cluster to say why the pod was told to end."""
_GRACE_SECONDS = 30
_GONE_SECONDS = 45.0
_RECONNECT_SECONDS = 60.0
"""Seconds that hosts have to come back after a restart of the control plane, before anybody asks about them."""
_STOP_SECONDS = 15.0
"""Seconds that the pipeline of an earlier engine has to end."""
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 15.0
_LEAST_MEMORY = 192 * 2**20
"""The least memory of a pod. The interpreter and the host need it before the step needs any."""

Images = Callable[[EnvironmentSpec], Awaitable[str]]
"""The function that returns the image for an environment. Raises FairwayError if there can be none."""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The project of a run, as its pods get it.

    Attributes:
        key: the text that no other run of the installation has. It gives the objects of the run their names.
        orders: the orders for each host.
        api: the address of the control plane's API for pods.
        plane: host and port of the control plane's links.
        name: the name of the run for people, as far as it is known.
        image: the image with the project's own environment. It is empty for the image of the installation.
    """

    key: str
    orders: Orders
    api: str = ""
    plane: str = ""
    name: str = ""
    image: str = ""


class Still(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that an earlier engine began and that still runs."""

    step: str
    attempt: int
    place: Place
    host: ClusterHost


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
        self._links = links
        self._project = project
        self._images = images
        self._note = note
        self._run = names.of_run(project.key, jobs.install)
        self._drivers = 0
        self._own: set[str] = set()
        self._taken: dict[int, Grant] = {}
        self._pods: dict[int, Grant] = {}
        self._asked: dict[str, float] = {}
        self._turned = time.monotonic()
        self._name = project.name
        self._looking_after: dict[str, asyncio.Task[None]] = {}

    def places(self, environment: EnvironmentSpec | None) -> tuple[Place, ...]:
        """Return the driver, and pods of attempts' own. Another environment than the project's own is only in such pods."""
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
        """Return what the driver has for steps. Pods of their own have no bound here: the cluster has one."""
        size = self._jobs.install.driver.resources
        return {_SHARED: Resources(cpu=size.cpu, memory=usable(size.memory))}

    def enter(self, run: str, changed: Callable[[str, Resources | None], None]) -> None:
        """Note the name of the run. Its driver belongs to it alone, and what it has never changes."""
        self._name = run

    def leave(self) -> None:
        """Give everything back, because the run is over."""
        for kept in (self._taken, self._pods, self._asked):
            kept.clear()

    def take(self, place: Place, wanted: Resources, step: str) -> Grant | None:
        """Take resources of the driver, or what a pod will get. Return None if there is no room now.

        A step that the driver would have room for waits while other steps there end quickly: a pod takes longer to start.
        """
        grant = Grant(resources=wanted)
        if place.pool != _SHARED:
            # A step that is isolated or has another environment gains nothing from the driver.
            could_wait = place.pool == _PODS and place.environment is None
            if len(self._pods) >= _MOST_PODS or (could_wait and self._is_worth_waiting(wanted, step)):
                return None
            self._pods[id(grant)] = grant
            return grant
        if not self._has_room(wanted):
            return None
        self._asked.pop(step, None)
        self._taken[id(grant)] = grant
        return grant

    def _has_room(self, wanted: Resources) -> bool:
        """Tell whether the driver has room for a step now."""
        size, taken = self.capacity()[_SHARED], [one.resources for one in self._taken.values()]
        cpu, memory = sum(one.cpu for one in taken), sum(one.memory for one in taken)
        return wanted.fits(Resources(cpu=size.cpu - cpu, memory=size.memory - memory))

    def give_back(self, grant: Grant) -> None:
        """Give back a grant, because its attempt is over."""
        if self._taken.pop(id(grant), None) is not None:
            self._turned = time.monotonic()
        self._pods.pop(id(grant), None)

    def _is_worth_waiting(self, wanted: Resources, step: str) -> bool:
        """Tell whether a step should wait for the driver. If not, forget when it asked first."""
        if not wanted.fits(self.capacity()[_SHARED]):
            return False
        now = time.monotonic()
        asked = self._asked.setdefault(step, now)
        if now - self._turned < _TURN_SECONDS and now - asked < _PATIENCE_SECONDS:
            return True
        del self._asked[step]
        return False

    def wait_for(self, wanted: Resources, step: str) -> None:
        """Do nothing: no other run uses this driver."""

    def stop_waiting(self) -> None:
        """Do nothing: no other run uses this driver."""

    def who_else(self) -> str:
        """Return nothing, because no other run uses this driver."""
        return ""

    async def open(self) -> tuple[ClusterHost, ProjectSpec]:
        """Start the driver, which describes the project and is the home of its pipeline.

        Raises:
            HostLost: it ended before it was ready.
            FairwayError: it cannot be started, or it cannot import the project.
        """
        return await self._start(self.places(None)[0], None)

    async def start(self, place: Place, hear: Hear, attempt: Attempt | None = None) -> ClusterHost:
        """Start a host in a pod. Raises FairwayError."""
        host, _ = await self._start(place, attempt if place.alone else None, hear)
        host.listen(hear)
        return host

    async def observe(self, run: str, hear: Hear) -> tuple[Still, ...]:
        """Return the attempts that outlived an earlier engine. End the pipeline of it, because that begins again."""
        there = await self._jobs.of_run(self._run)
        found = await asyncio.gather(
            *(self._adopt(job) for name, job in there.items() if name not in self._own),
        )
        still = tuple(one for several in found for one in several)
        for host in dict.fromkeys(one.host for one in still):
            host.listen(hear)
        return still

    async def _adopt(self, job: observed.Job) -> list[Still]:
        """Take over the host of a Job if its pod comes back with attempts. End it otherwise."""
        name = job.metadata.name
        if job.metadata.deletion_timestamp:
            await self._end_old(name)
            return []
        is_driver = names.is_driver(name)
        host = self._expect(name, self._project.orders, alone=not is_driver)
        running, ended = await host.attempts(_RECONNECT_SECONDS)
        kept = [one for one in running if one[0] != DRIVER]
        for step, attempt in running:
            if step == DRIVER:
                await host.stop(step, attempt, _STOP_SECONDS)
        if not is_driver:
            # The pod may have lost its engine before that heard of the end, so the end counts as well.
            kept += [one for one in ended if one not in kept]
        if kept and not host.is_gone:
            place = self.places(None)[0 if is_driver else 1]
            return [Still(step=step, attempt=attempt, place=place, host=host) for step, attempt in kept]
        self._links.forget(name)
        await self._remove(name)
        host.lose(Failure(reason=Reason.HOST, message=f"{Reason.HOST.text}: its engine was replaced"))
        return []

    async def _end_old(self, name: str) -> None:
        """End a host of an earlier engine. Its pod is refused, wherever it is."""
        self._links.forget(name)
        await self._remove(name)

    async def _start(
        self, place: Place, attempt: Attempt | None, hear: Hear | None = None
    ) -> tuple[ClusterHost, ProjectSpec]:
        wanted = await self._wanted(place, attempt)
        before = self._looking_after.get(wanted.name)
        if before is not None:
            # An earlier try of the same attempt has the same name. Its Job is deleted before another one is made.
            await asyncio.wait([before])
        orders = msgspec.structs.replace(self._project.orders, foreign=place.environment is not None)
        host = self._expect(wanted.name, orders, alone=attempt is not None)
        try:
            # A step that is isolated or has another environment cannot go back to the driver.
            back = attempt.grant.resources if attempt is not None and place.pool == _PODS else None
            if place.environment is not None:
                back = None
            project = await self._described(host, wanted, back)
        except BaseException as error:
            # After a cancel as well: the pod may still wait for a node.
            why = str(error) or "nobody waits for it any more"
            host.lose(Failure(reason=Reason.HOST, message=f"{Reason.HOST.text}: {why}"))
            if attempt is not None:
                host.tell_printed(hear, attempt.step, attempt.number)
            elif isinstance(error, FairwayError):
                error.details = host.printed.decode(errors="replace") + error.details
            raise
        return host, project

    async def _wanted(self, place: Place, attempt: Attempt | None) -> pods.HostPod:
        """Return the pod for a place."""
        if attempt is None:
            if not self._drivers:
                # The numbers of an earlier engine's drivers are used up, even if they are gone soon.
                there = await self._jobs.of_run(self._run)
                self._drivers = max((names.number(one) for one in there if names.is_driver(one)), default=0)
            self._drivers += 1
            name, resources = names.driver(self._run, self._drivers), self._jobs.install.driver.resources
        else:
            name, resources = names.step(self._run, attempt.step, attempt.number), attempt.grant.resources
            if 0 < resources.memory < _LEAST_MEMORY:
                resources = msgspec.structs.replace(resources, memory=_LEAST_MEMORY)
        self._own.add(name)
        return pods.HostPod(
            name=name,
            command=self._command(name),
            resources=resources,
            run=self._run,
            run_name=self._name,
            step=attempt.step if attempt is not None else "",
            image=self._project.image if place.environment is None else await self._images(place.environment),
        )

    def _command(self, name: str) -> tuple[str, ...]:
        where = ("--plane", self._project.plane, "--api", self._project.api)
        return ("python", "-m", "fairway.runner.pod", *where, "--name", name)

    def _expect(self, name: str, orders: Orders, *, alone: bool) -> ClusterHost:
        """Return a host whose pod is expected, and look after it until it is gone."""
        link = self._links.expect(name, orders)
        host = ClusterHost(link, partial(self._explain, name, alone), partial(self._remove, name))
        task = asyncio.get_running_loop().create_task(self._look_after(host, alone=alone))
        self._looking_after[name] = task
        task.add_done_callback(lambda _: self._looking_after.pop(name))
        return host

    async def _described(
        self, host: ClusterHost, wanted: pods.HostPod, back: Resources | None
    ) -> ProjectSpec:
        """Make the Job of a host, and wait until the host has imported the project.

        `back` is the resources of a step that may run on the driver as well. If no node takes its pod and the driver has room,
        CannotPlace is raised, and the step begins anew.
        """
        job = pods.job(wanted, self._jobs.install)
        await self._jobs.create(job)
        began, said, pause = time.monotonic(), "", _FIRST_PAUSE
        while not host.described.done():
            waited = time.monotonic() - began
            found = await self._pending(host, waited)
            if found.failure is not None:
                raise CannotPlace(found.failure)
            if found.unplaced and waited > _UNPLACED_SECONDS and back is not None and self._has_room(back):
                raise CannotPlace(Failure(reason=Reason.UNPLACED, message=Reason.UNPLACED.text))
            if found.text and found.text != said and waited > _WORTH_SAYING:
                said = found.text
                self._note(f"{wanted.step or 'the pipeline'} waits: {said}")
            if found.again:
                # The Job would wait longer and longer for its pod. A new one tries at once.
                await self._jobs.delete(wanted.name)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            if found.again or (found.is_unmade and waited > _LOOK_SECONDS):
                await self._jobs.create(job)
            await asyncio.wait([host.described], timeout=1.0)
        if host.failure is not None and not host.failure.reason.is_loss:
            raise CannotPlace(host.failure)
        described = host.described.result()
        if described.project is None:
            await host.close()
            raise import_error(described.failure)
        if host.is_gone:
            raise host.lost()
        return described.project

    async def _pending(self, host: ClusterHost, waited: float) -> pending.Pending:
        """Find out why a host is not there yet. Nothing is asked while it is."""
        if not host.silent:
            return pending.Pending()
        pod = self._jobs.pod(host.name)
        if pod is None:
            if waited < _WITHOUT_POD_SECONDS:
                return pending.Pending()
            return pending.without_pod(await self._jobs.events("Job", host.name))
        if pod.has_ended:
            return pending.Pending()
        slow = waited > _LOOK_SECONDS
        events = await self._jobs.events("Pod", pod.metadata.name) if slow else ()
        return pending.of_pod(pod, waited, events)

    async def _look_after(self, host: ClusterHost, *, alone: bool) -> None:
        """Follow the pod of a host until the host is gone, and remove what is left of it."""
        changed = asyncio.Event()
        self._jobs.listen(host.name, changed.set)
        over = asyncio.ensure_future(host.over())
        since, read = time.monotonic(), False
        try:
            while not host.is_gone:
                look = asyncio.ensure_future(changed.wait())
                await asyncio.wait([over, look], timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                look.cancel()
                changed.clear()
                if not host.was_met and not read:
                    read = await self._read_log(host)
                if host.silent and host.ended is None:
                    since = max(since, time.monotonic() - host.silent)
                    await self._judge(host, since, alone=alone)
        finally:
            over.cancel()
            self._jobs.forget(host.name)
            self._links.forget(host.name)
            await self._jobs.delete(host.name)

    async def _read_log(self, host: ClusterHost) -> bool:
        """Keep what a pod printed that never connected, before the pod is gone, and tell whether that was tried."""
        pod = self._jobs.pod(host.name)
        if pod is None or not (pod.has_ended or pod.metadata.deletion_timestamp):
            return False
        host.keep(await self._jobs.log(pod.metadata.name))
        return True

    async def _judge(self, host: ClusterHost, since: float, *, alone: bool) -> None:
        """Report a host as gone if there is positive evidence."""
        pod = self._jobs.pod(host.name)
        absent = pod is not None and self._jobs.is_absent(host.name, since)
        seen = evidence.Sighting(pod=pod, absent=absent, silent=host.silent, now=time.time(), alone=alone)
        if pod is None or evidence.verdict(seen) is None:
            return
        events = await self._jobs.events("Pod", pod.metadata.name)
        lost = evidence.verdict(msgspec.structs.replace(seen, events=events))
        if lost is None:
            return
        if lost.fenced:
            self._links.forget(host.name, lost.failure.message)
        host.lose(lost.failure)

    async def _explain(self, name: str, alone: bool, report: HostEnded) -> Failure:
        """Return the failure that the end of a host means. If its pod was told to end, the cluster soon says why."""
        until = time.monotonic() + _EXPLAIN_SECONDS
        while report.drained and not report.dismissed and time.monotonic() < until:
            pod = self._jobs.pod(name)
            if pod is not None and evidence.says_why(pod):
                break
            await asyncio.sleep(0.1)
        return evidence.of_report(report, self._jobs.pod(name), alone=alone)

    async def _remove(self, name: str) -> None:
        """End the pod of a host. Return once it is gone, or cannot come back."""
        await self._jobs.delete(name)
        if not await self._jobs.is_gone(name, _GONE_SECONDS):
            self._links.forget(name, "it did not end in time")

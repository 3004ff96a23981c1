"""The lives of hosts' pods: each is made, waited for, followed until it is gone, and removed."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import msgspec

from fairway.cluster import evidence, observed, pending, placing, pods
from fairway.cluster.hosts import ClusterHost
from fairway.cluster.jobs import Jobs
from fairway.cluster.links import Links
from fairway.spec.imports import import_error
from fairway.spec.link import HostEnded, Orders
from fairway.spec.places import CannotPlace
from fairway.spec.project import ProjectSpec
from fairway.spec.run import Failure, Reason

_LOOK_SECONDS = 5.0
_WITHOUT_POD_SECONDS = 3.0
"""Seconds after which a Job without a pod is asked about. The pod of a Job is usually made within one."""
_WORTH_SAYING = 2.0
_EXPLAIN_SECONDS = 3.0
"""Seconds that an end waits for the cluster to say why the pod was told to end."""
_GONE_SECONDS = 45.0
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 15.0

Doubt = Callable[[pending.Pending, float], None]
"""The function that hears why a pod is not there yet, and for how many seconds. It raises an error to give the pod up."""


def no_doubt(found: pending.Pending, waited: float) -> None:
    """Wait for a pod for as long as it may come."""


class PodLives:
    """The pods of the hosts of a run, from the Job to the end.

    Args:
        jobs: the Jobs of the installation.
        links: the links to all hosts.
        note: called with a line of text while a host is waited for.
    """

    def __init__(self, jobs: Jobs, links: Links, note: Callable[[str], None]) -> None:
        self._jobs = jobs
        self._links = links
        self._note = note
        self._ending: dict[str, float] = {}
        self._looking_after: dict[str, asyncio.Task[None]] = {}

    async def cleared(self, name: str) -> None:
        """Wait until an earlier host of the same name is gone, such as that of an earlier try of an attempt."""
        before = self._looking_after.get(name)
        if before is not None:
            await asyncio.wait([before])

    def expect(self, name: str, orders: Orders, alone: Callable[[], bool]) -> ClusterHost:
        """Return a host whose pod is expected, and look after it until it is gone.

        `alone` tells whether the pod has one attempt only, so that the memory it used is the attempt's.
        """
        link = self._links.expect(name, orders)
        host = ClusterHost(link, partial(self._explain, name, alone), partial(self.remove, name))
        task = asyncio.get_running_loop().create_task(self._look_after(host, alone))
        self._looking_after[name] = task
        task.add_done_callback(lambda _: self._looking_after.pop(name, None))
        return host

    async def described(
        self, host: ClusterHost, wanted: pods.HostPod, who: Callable[[], str], doubt: Doubt = no_doubt
    ) -> ProjectSpec:
        """Make the Job of a host, and wait until the host has imported the project.

        Args:
            host: the host.
            wanted: its pod.
            who: returns the step that waits for it, or the words for the pipeline.
            doubt: hears why there is no pod yet.

        Raises:
            CannotPlace: the cluster will never run the pod.
            HostLost: the host ended before it was ready.
            FairwayError: it cannot import the project.
        """
        unfit = placing.no_image(wanted.resources, self._jobs.install)
        if unfit is not None:
            raise CannotPlace(unfit)
        job = pods.job(wanted, self._jobs.install)
        await self._jobs.create(job)
        began, said, pause = time.monotonic(), "", _FIRST_PAUSE
        while not host.described.done():
            waited = time.monotonic() - began
            found = await self._pending(host, waited)
            found = pending.in_queue(found, placing.queue_of(wanted.resources), waited)
            if found.failure is not None:
                raise CannotPlace(found.failure)
            doubt(found, waited)
            if found.text and found.text != said and waited > _WORTH_SAYING:
                said = found.text
                self._note(f"{who()} waits: {said}")
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

    async def remove(self, name: str) -> None:
        """End the pod of a host. Return once it is gone, or cannot come back."""
        await self._jobs.delete(name)
        if not await self._jobs.is_gone(name, _GONE_SECONDS):
            self._links.forget(name, "it did not end in time")

    def let_go(self, name: str) -> None:
        """Leave a pod as it is, with what runs in it, to the next engine that expects its host."""
        task = self._looking_after.pop(name, None)
        if task is not None:
            task.cancel()
        self._links.release(name)

    async def refuse(self, name: str) -> None:
        """End a host of an earlier engine. Its pod is refused, wherever it is."""
        self._links.forget(name)
        await self.remove(name)

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

    async def _look_after(self, host: ClusterHost, alone: Callable[[], bool]) -> None:
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
                    await self._judge(host, since, alone)
        finally:
            over.cancel()
            self._ending.pop(host.name, None)
            self._jobs.forget(host.name)
            # Otherwise this process ends, or the pod was let go. The next engine finds it.
            if host.is_gone:
                self._links.forget(host.name)
                await self._jobs.delete(host.name)

    async def _read_log(self, host: ClusterHost) -> bool:
        """Keep what a pod printed that never connected, before the pod is gone, and tell whether that was tried."""
        pod = self._jobs.pod(host.name)
        if pod is None or not (pod.has_ended or pod.metadata.deletion_timestamp):
            return False
        host.keep(await self._jobs.log(pod.metadata.name))
        return True

    async def _judge(self, host: ClusterHost, since: float, alone: Callable[[], bool]) -> None:
        """Report a host as gone if there is positive evidence."""
        pod = self._jobs.pod(host.name)
        absent = pod is not None and self._jobs.is_absent(host.name, since)
        seen = evidence.Sighting(
            pod=pod, absent=absent, silent=host.silent, ending=self._ending_for(host.name, pod), alone=alone()
        )
        if pod is None or evidence.verdict(seen) is None:
            return
        events = await self._jobs.events("Pod", pod.metadata.name)
        lost = evidence.verdict(msgspec.structs.replace(seen, events=events))
        if lost is None:
            return
        if lost.fenced:
            self._links.forget(host.name, lost.failure.message)
        host.lose(lost.failure)

    def _ending_for(self, name: str, pod: observed.Pod | None) -> float:
        """Return the seconds since the pod of a host was first seen in deletion, by the clock of this process."""
        if pod is None or not pod.metadata.deletion_timestamp:
            return 0.0
        now = time.monotonic()
        return now - self._ending.setdefault(name, now)

    async def _explain(self, name: str, alone: Callable[[], bool], report: HostEnded) -> Failure:
        """Return the failure that the end of a host means. If its pod was told to end, the cluster soon says why."""
        until = time.monotonic() + _EXPLAIN_SECONDS
        while report.drained and not report.dismissed and time.monotonic() < until:
            pod = self._jobs.pod(name)
            if pod is not None and evidence.says_why(pod):
                break
            await asyncio.sleep(0.1)
        return evidence.of_report(report, self._jobs.pod(name), alone=alone())


def unwanted(why: str) -> Failure:
    """Return the failure for a host that nobody waits for any more, or that cannot be."""
    return Failure(reason=Reason.HOST, message=f"{Reason.HOST.text}: {why}")

"""The Jobs of the hosts of an installation: they are made and removed, and their pods are watched.

A Job has one pod, and Kubernetes never replaces it. Names follow from what a Job is for, so a create whose answer was lost
may be repeated. One watch sees the pods of all runs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from fairway.cluster import observed, placing, pods
from fairway.cluster.client.errors import AlreadyThere, Forbidden, Invalid, KubernetesError, NotThere
from fairway.cluster.client.kinds import EVENT, JOB, POD, Kind
from fairway.spec.errors import FairwayError
from fairway.spec.install import Install
from fairway.spec.places import CannotPlace
from fairway.spec.run import Failure, Reason

T = TypeVar("T")

_AGAIN = 0.3
_LONGEST = 5.0
_LOG_SECONDS = 5.0


class Seen(Protocol):
    """The pods that there were at one moment."""

    @property
    def items(self) -> Mapping[str, Any]:
        """The pods by name."""
        ...

    @property
    def listed_at(self) -> float:
        """The monotonic time at which the last full list was asked for."""
        ...

    @property
    def trouble(self) -> str:
        """The reason why nothing is heard at present. It is empty if all is well."""
        ...


class Api(Protocol):
    """The part of the Kubernetes client that Jobs need."""

    async def get(self, kind: Kind, name: str, *, type: Any) -> Any:
        """Return an object."""
        ...

    async def list(self, kind: Kind, *, labels: str = "", fields: str = "", type: Any) -> Any:
        """Return all objects with labels and fields."""
        ...

    async def create(self, kind: Kind, body: object) -> Any:
        """Create an object."""
        ...

    async def serves(self, group: str) -> bool:
        """Tell whether the cluster serves a group of kinds."""
        ...

    async def delete(self, kind: Kind, name: str, *, grace: int | None = None, uid: str = "") -> None:
        """Delete an object and what belongs to it."""
        ...

    def watch(self, kind: Kind, *, labels: str = "", type: Any) -> AsyncIterator[Any]:
        """Yield what there is, now and after each change."""
        ...

    async def log(self, pod: str) -> bytes:
        """Return the end of what a pod has printed."""
        ...


class Jobs:
    """The Jobs of an installation. `install` says how their pods are labelled."""

    def __init__(self, api: Api, install: Install) -> None:
        self.install = install
        self._api = api
        self._selected = f"{pods.INSTALL_LABEL}={install.short}"
        self._present: dict[str, observed.Pod] = {}
        self._last: dict[str, observed.Pod] = {}
        self._listed_at = 0.0
        self._ears: dict[str, Callable[[], None]] = {}
        self._changed = asyncio.Event()

    async def watch(self) -> None:
        """Watch the pods of all hosts, for ever. Raises KubernetesError if the very first list is refused."""
        async for snapshot in self._api.watch(POD, labels=self._selected, type=observed.Pod):
            self._take(snapshot)

    def listen(self, host: str, changed: Callable[[], None]) -> None:
        """Call a function whenever the pod of a host changes, until `forget`."""
        self._ears[host] = changed

    def forget(self, host: str) -> None:
        """Stop following a host."""
        self._ears.pop(host, None)
        self._last.pop(host, None)

    def pod(self, host: str) -> observed.Pod | None:
        """Return the pod of a host as it was seen last, even if it is gone. None if none was seen."""
        return self._last.get(host)

    def is_absent(self, host: str, since: float) -> bool:
        """Tell whether a host certainly has no pod: one was seen before, or a list made after `since` (monotonic) lacks it."""
        if host in self._present:
            return False
        return host in self._last or self._listed_at > since

    def never_began(self, host: str, since: float) -> bool:
        """Tell whether a host has certainly not begun: its pod waits, or a list made after `since` (monotonic) lacks it."""
        pod = self._present.get(host)
        return pod.status.phase == "Pending" if pod is not None else self.is_absent(host, since)

    async def create(self, job: pods.Job) -> None:
        """Make a Job, unless it is there from an earlier try.

        Raises:
            CannotPlace: the cluster refuses it, or has no queues although it is for one.
            FairwayError: something else has its name.
        """
        if job.spec.suspend and not await _persistently(lambda: self._api.serves(placing.QUEUE_GROUP)):
            # Nobody would ever start it.
            raise CannotPlace(placing.no_queue(job.metadata.labels))
        name, pause = job.metadata.name, _AGAIN
        while True:
            try:
                await self._api.create(JOB, job)
            except AlreadyThere:
                if await self._is_ours(name):
                    return
            except (Forbidden, Invalid) as error:
                raise CannotPlace(
                    Failure(
                        reason=Reason.ADMISSION,
                        message=f"{Reason.ADMISSION.text}: {error.message}",
                        hint=error.hint,
                    )
                ) from error
            except KubernetesError as error:
                # It may be there now. The same name is tried until that is known.
                if not error.is_passing:
                    raise
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST)

    async def _is_ours(self, name: str) -> bool:
        """Tell whether the Job of a name is there for this host. One that is being deleted has to be gone first."""
        try:
            found = await self._api.get(JOB, name, type=observed.Job)
        except NotThere:
            return False
        except KubernetesError as error:
            if not error.is_passing:
                raise
            return False
        if found.metadata.labels.get(pods.INSTALL_LABEL) != self.install.short:
            raise FairwayError(
                f"there is a Job {name} that does not belong to this installation",
                hint=f"if nobody needs it: `kubectl delete job {name} -n {self.install.namespace}`",
            )
        return not found.metadata.deletion_timestamp

    async def delete(self, name: str, *, grace: int | None = None) -> None:
        """Delete a Job with its pod. Try again for as long as nobody knows whether that was done."""
        await _persistently(lambda: self._api.delete(JOB, name, grace=grace))

    async def is_gone(self, name: str, seconds: float) -> bool:
        """Wait until a host has no pod. Return False if it still has one after so many seconds."""
        since = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                while not self.is_absent(name, since):
                    pod = self._present.get(name)
                    if pod is not None and pod.has_ended:
                        return True
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def of_run(self, run: str) -> dict[str, observed.Job]:
        """Return the Jobs of a run by name, those that are being deleted as well. Wait for an API server in trouble.

        A run whose Jobs cannot be listed now can neither begin nor be taken up, and it is no fault of the run.
        """
        labels = f"{self._selected},{pods.RUN_LABEL}={run}"
        listed = await _persistently(lambda: self._api.list(JOB, labels=labels, type=observed.Job))
        return {job.metadata.name: job for job in listed.items}

    async def events(self, kind: str, name: str) -> tuple[observed.Event, ...]:
        """Return the events about an object, the oldest first. There are none if nobody can say."""
        fields = f"involvedObject.kind={kind},involvedObject.name={name}"
        try:
            listed = await self._api.list(EVENT, fields=fields, type=observed.Event)
        except FairwayError:
            return ()
        return tuple(sorted(listed.items, key=lambda event: event.last_timestamp or ""))

    async def log(self, pod: str) -> bytes:
        """Return the end of what a pod has printed. There is nothing if nobody can say."""
        with suppress(FairwayError, TimeoutError):
            return await asyncio.wait_for(self._api.log(pod), _LOG_SECONDS)
        return b""

    def _take(self, snapshot: Seen) -> None:
        """Take in a snapshot. One that tells of trouble says nothing new about pods."""
        if snapshot.trouble:
            return
        before = self._present
        self._present = {}
        for pod in snapshot.items.values():
            host = pod.metadata.labels.get(pods.HOST_LABEL, "")
            self._present[host] = pod
            if host in self._ears:
                self._last[host] = pod
        self._listed_at = snapshot.listed_at
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for host, ear in list(self._ears.items()):
            if before.get(host) is not self._present.get(host) or host in self._last:
                ear()


async def _persistently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the API server until it is not in trouble, and return its answer. Raises KubernetesError for a refusal."""
    pause = _AGAIN
    while True:
        try:
            return await ask()
        except KubernetesError as error:
            if not error.is_passing:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST)

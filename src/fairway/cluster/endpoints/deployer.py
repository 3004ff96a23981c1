"""Model servers of a cluster: a Service for each endpoint, and a Deployment for each revision that serves or is about to.

A roll makes the Deployment of the new revision beside the one that serves, and lets the Service lead to it once it is ready.
Every step may be repeated, and whoever starts again compares what is wanted with what is there. So a process that dies in
between leaves the old revision serving or the new one. Must not know which revision should serve.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from fairway.cluster import observed as cluster_observed
from fairway.cluster.client import kinds
from fairway.cluster.client.errors import NotThere
from fairway.cluster.client.kinds import Kind
from fairway.cluster.endpoints import naming, objects, observed, reasons
from fairway.cluster.endpoints.objects import Made
from fairway.cluster.endpoints.observed import Seen
from fairway.cluster.endpoints.patience import Events, Patience
from fairway.cluster.endpoints.watching import View, Watched
from fairway.cluster.kinds import HorizontalPodAutoscaler
from fairway.cluster.podspec import OwnerReference
from fairway.spec.endpoint import EndpointStatus, RevisionSpec, port_of
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.install import Install

APPLIED = "fairway.dev/applied"
"""Annotation with a hash of the objects of a revision, which tells if they are as they should be."""

_LOOK_SECONDS = 1.0
_ROUTED_SECONDS = 10.0
_ROUTED_POLL = 0.2
_SETTLE_SECONDS = 0.5
"""Seconds from the change of a Service until the nodes route as it says. Who was served before accepts for longer."""

_GONE_SECONDS = 15.0
_MARGIN_SECONDS = 30.0
_KEPT_REVISIONS = 10
"""Revisions whose ConfigMap stays, for people who look. What is rolled back to is made anew."""


class Api(Watched, Protocol):
    """The part of the Kubernetes client that endpoints need."""

    async def get(self, kind: Kind, name: str, *, type: Any) -> Any:
        """Return an object."""
        ...

    async def list(self, kind: Kind, *, labels: str = "", fields: str = "", type: Any) -> Any:
        """Return all objects with labels and fields."""
        ...

    async def apply(self, kind: Kind, name: str, body: object, *, type: Any, force: bool = False) -> Any:
        """Make an object have the fields of a body, and create it if it is absent."""
        ...

    async def delete(self, kind: Kind, name: str, *, uid: str = "", at_once: bool = False) -> None:
        """Delete an object."""
        ...


Runtime = Callable[[str, str], Awaitable[str]]
"""A function that asks a server for its runtime, with the name of its endpoint and its IP address."""


class ClusterDeployer:
    """Model servers as pods of an installation.

    Args:
        kube: the Kubernetes API of the namespace.
        install: the installation, with its owner.
        events: returns the events about a pod.
        runtime: returns the runtime that the server of an endpoint at an IP address reports.
        say: takes lines for the log.
    """

    def __init__(
        self, kube: Api, install: Install, events: Events, runtime: Runtime, say: Callable[[str], None]
    ) -> None:
        self._kube = kube
        self._install = install
        self._events = events
        self._ask_runtime = runtime
        self._view = View(kube, install.short, say)
        self._runtimes: dict[str, tuple[int, str]] = {}

    def start(self, changed: Callable[[], None]) -> None:
        """Watch the endpoints until `close`, and call a function after each change."""
        self._view.changed = changed
        self._view.start()

    @property
    def pods(self) -> list[cluster_observed.Pod]:
        """The pods of all endpoints."""
        return self._view.pods

    def close(self) -> None:
        """Watch no more. What serves goes on."""
        self._view.close()

    def reserve(self, endpoint: str, wish: str, others: Mapping[str, str]) -> str:
        """Return the address of an endpoint in the cluster. It follows from the name, so nothing else can be wished for.

        Raises:
            UsageError: the wish is a port or another address.
        """
        own = naming.address(endpoint, self._install)
        holder = next((name for name, address in others.items() if address in (own, wish) and wish), "")
        if holder:
            raise UsageError(f"{wish} belongs to endpoint {holder}", hint="give the endpoint another name")
        if wish not in ("", own) and port_of(wish) == 0 and "://" not in wish:
            raise UsageError(
                f"an endpoint of a cluster has the address {own}, and not port {wish}",
                hint="leave `--port` out; `fairway endpoints --forward` makes a port on this machine",
            )
        return own

    async def roll(self, revision: RevisionSpec, address: str) -> EndpointStatus:
        """Start the pods of a revision, then let the Service lead to them, then end all others without losing a request.

        Raises:
            FairwayError: the revision did not become ready. The Service leads where it led before.
        """
        await self._view.heard()
        before = self._view.of(revision.endpoint)
        owner = await self._service(revision, before)
        made = Made(
            revision=revision, install=self._install, service=owner, least=before.ready(before.pointed)
        )
        there = before.deployments.get(revision.number)
        applied = _hash_of(made)
        try:
            generation = await self._apply(made, applied)
            same = there is not None and there.metadata.annotations.get(APPLIED) == applied
            await self._wait_ready(made, generation, patient=not (same and before.pointed == revision.number))
        except FairwayError:
            if there is None:
                await self._take_back(revision, before)
            raise
        await self._lead_to(made)
        await self._retire(revision)
        seen = self._view.of(revision.endpoint)
        await self._learn_runtime(revision.endpoint, seen)
        return msgspec.structs.replace(self._status(revision.endpoint, seen), revision=revision)

    async def observe(self, endpoint: str) -> EndpointStatus | None:
        """Return the observed status of an endpoint. `workers` counts the living pods of all revisions."""
        await self._view.heard()
        seen = self._view.of(endpoint)
        if seen.is_nothing:
            return None
        await self._learn_runtime(endpoint, seen)
        return self._status(endpoint, seen)

    async def remove(self, endpoint: str) -> None:
        """Remove an endpoint after its open requests. A Service of its name that belongs to somebody else is left alone."""
        await self._view.heard()
        seen = self._view.of(endpoint)
        self._runtimes.pop(endpoint, None)
        if seen.is_nothing:
            return
        numbers = {*seen.deployments, *(observed.revision_of(pod.metadata) for pod in seen.pods)}
        for number in sorted(numbers):
            await self._delete_revision(endpoint, number)
        # The Service leads to pods that end until they have ended, because clients may still come.
        await self._until(endpoint, lambda now: not now.pods and not now.leaving, _longest(seen))
        if seen.service is not None:
            # All other objects of the endpoint are the Service's, and go with it.
            await self._kube.delete(kinds.SERVICE, naming.service(endpoint), uid=seen.service.metadata.uid)
        await self._until(endpoint, lambda now: now.is_nothing, _GONE_SECONDS)

    async def _service(self, revision: RevisionSpec, before: Seen) -> OwnerReference:
        """Return a reference to the Service of an endpoint, and make it if there is none. Raises UsageError."""
        name = naming.service(revision.endpoint)
        found = before.service
        if found is None:
            try:
                found = await self._kube.get(kinds.SERVICE, name, type=observed.Service)
            except NotThere:
                made = Made(revision=revision, install=self._install)
                found = await self._kube.apply(
                    kinds.SERVICE, name, objects.service(made), type=observed.Service, force=True
                )
        own = naming.selector(revision.endpoint, self._install)
        if any(found.metadata.labels.get(key) != value for key, value in own.items()):
            raise UsageError(
                f"there is a Service {name} in namespace {self._install.namespace} that is not of this endpoint",
                hint="give the endpoint another name: `fairway deploy --name NAME`",
            )
        return OwnerReference(api_version="v1", kind="Service", name=name, uid=found.metadata.uid)

    async def _apply(self, made: Made, applied: str) -> int:
        """Write the objects of a revision, and return the generation of its Deployment."""
        policy, config = objects.network_policy(made), objects.config_map(made)
        await self._kube.apply(kinds.NETWORK_POLICY, policy.metadata.name, policy, type=Any, force=True)
        await self._kube.apply(kinds.CONFIG_MAP, made.name, config, type=Any, force=True)
        wanted = objects.deployment(made)
        annotations = {**wanted.metadata.annotations, APPLIED: applied}
        wanted = msgspec.structs.replace(
            wanted, metadata=msgspec.structs.replace(wanted.metadata, annotations=annotations)
        )
        written = await self._kube.apply(
            kinds.DEPLOYMENT, made.name, wanted, type=observed.Deployment, force=True
        )
        await self._scale(made)
        return int(written.metadata.generation)

    async def _scale(self, made: Made) -> None:
        """Write the autoscaler and the disruption budget of a revision."""
        for one in objects.scaling(made):
            if isinstance(one, HorizontalPodAutoscaler):
                await self._kube.apply(kinds.AUTOSCALER, made.name, one, type=Any, force=True)
            else:
                await self._kube.apply(kinds.DISRUPTION_BUDGET, made.name, one, type=Any, force=True)

    async def _wait_ready(self, made: Made, generation: int, *, patient: bool) -> None:
        """Wait until enough pods of a revision are ready. Raises FairwayError as soon as that is hopeless.

        Args:
            patient: false to wait for what is known already only. Kubernetes itself starts pods again that were ready before.
        """
        endpoint, number = made.revision.endpoint, made.revision.number
        bounds = made.revision.replicas
        count = min(max(bounds.low, made.least), bounds.high) if objects.is_scaled(bounds) else bounds.low
        patience = Patience(self._events)
        while True:
            seen = self._view.of(endpoint)
            deployment = seen.deployments.get(number)
            if deployment is not None and deployment.is_complete(generation, count):
                return
            reason = await patience.judge(seen.of(number), deployment)
            if reason.final or (not patient and deployment is not None):
                raise FairwayError(
                    f"revision {number} of {endpoint} did not become ready: {reason.text}",
                    hint=reason.hint or "what served before serves on: `fairway endpoints`",
                    details=reason.details,
                )
            await self._view.wait(_LOOK_SECONDS)

    async def _take_back(self, revision: RevisionSpec, before: Seen) -> None:
        """Remove a revision that never served, and the Service if it was made for it."""
        endpoint, number = revision.endpoint, revision.number
        await self._delete_revision(endpoint, number)
        await self._kube.delete(kinds.CONFIG_MAP, naming.revision(endpoint, number))
        if before.service is None:
            await self._kube.delete(kinds.SERVICE, naming.service(endpoint))
        await self._until(
            endpoint,
            lambda now: (
                not now.of(number)
                and number not in now.deployments
                and (before.service is not None or now.service is None)
            ),
            _GONE_SECONDS,
        )

    async def _lead_to(self, made: Made) -> None:
        """Let the Service lead to a revision, and wait until it does."""
        endpoint, number = made.revision.endpoint, made.revision.number
        name = naming.service(endpoint)
        if self._view.of(endpoint).pointed != number:
            made = msgspec.structs.replace(made, service=None)
            await self._kube.apply(kinds.SERVICE, name, objects.service(made), type=Any, force=True)
        end = time.monotonic() + _ROUTED_SECONDS
        while time.monotonic() < end:
            listed = await self._kube.list(
                kinds.ENDPOINT_SLICE,
                labels=f"kubernetes.io/service-name={name}",
                type=observed.EndpointSlice,
            )
            own = {pod.metadata.name for pod in self._view.of(endpoint).of(number)}
            led = observed.routed(listed.items)
            if led and led <= own:
                await asyncio.sleep(_SETTLE_SECONDS)
                return
            await asyncio.sleep(_ROUTED_POLL)

    async def _retire(self, revision: RevisionSpec) -> None:
        """End the pods of all other revisions. Those that serve still finish their requests."""
        endpoint, number = revision.endpoint, revision.number
        others = [other for other in self._view.of(endpoint).deployments if other != number]
        for other in others:
            await self._delete_revision(endpoint, other)
        if objects.is_scaled(revision.replicas):
            # While it took over it had as many pods as the one before. From now on the autoscaler alone decides.
            owner = await self._service(revision, self._view.of(endpoint))
            await self._scale(Made(revision=revision, install=self._install, service=owner))
        if others and number > _KEPT_REVISIONS:
            await self._kube.delete(kinds.CONFIG_MAP, naming.revision(endpoint, number - _KEPT_REVISIONS))
        await self._until(
            endpoint,
            lambda now: now.serving == number and len(now.of(number)) == len(now.pods),
            _GONE_SECONDS,
        )

    async def _delete_revision(self, endpoint: str, number: int) -> None:
        name = naming.revision(endpoint, number)
        # The autoscaler goes first, because it would change the Deployment.
        await self._kube.delete(kinds.AUTOSCALER, name, at_once=True)
        await self._kube.delete(kinds.DISRUPTION_BUDGET, name, at_once=True)
        # The name is free at once, so that a roll back need not wait until the pods have drained.
        await self._kube.delete(kinds.DEPLOYMENT, name, at_once=True)

    async def _until(self, endpoint: str, is_so: Callable[[Seen], bool], seconds: float) -> None:
        """Wait until something is seen, but not longer than so many seconds."""
        end = time.monotonic() + seconds
        while not is_so(self._view.of(endpoint)) and time.monotonic() < end:
            await self._view.wait(_LOOK_SECONDS)

    async def _learn_runtime(self, endpoint: str, seen: Seen) -> None:
        """Ask a server of the revision that serves for its runtime, once for each revision."""
        number = seen.serving
        if number and self._runtimes.get(endpoint, (0, ""))[0] != number:
            ready = next(pod for pod in seen.of(number) if observed.is_ready(pod))
            self._runtimes[endpoint] = (number, await self._ask_runtime(endpoint, ready.status.pod_ip))

    def _status(self, endpoint: str, seen: Seen) -> EndpointStatus:
        number = seen.serving
        deployment = seen.deployments.get(number, observed.Deployment())
        facts = deployment.metadata.annotations
        crashing = sum(observed.is_crashing(pod) for pod in seen.pods)
        ready = sum(observed.is_ready(pod) for pod in seen.pods)
        return EndpointStatus(
            name=endpoint,
            url=facts.get(naming.REQUEST_URL, ""),
            address=naming.address(endpoint, self._install),
            wanted=number,
            serving=number,
            ready=seen.ready(number),
            workers=len(seen.pods),
            others=len(seen.pods) - len(seen.of(number)),
            starting=len(seen.pods) - ready - crashing,
            crashing=crashing,
            phase="Running" if number else "Pending",
            reason=self._reason(seen),
            runtime=self._runtimes.get(endpoint, (0, ""))[1] if number else "",
            samples=facts.get(naming.SAMPLES, ""),
        )

    def _reason(self, seen: Seen) -> str:
        """Return why pods of the newest revision are not ready. It is empty if they are."""
        number = max(seen.deployments, default=0)
        deployment = seen.deployments.get(number)
        if deployment is None or deployment.is_complete(0, 1):
            return ""
        reason = reasons.why(seen.of(number), deployment, 0.0)
        return f"revision {number}: {reason.text}"


def _hash_of(made: Made) -> str:
    """Return a hash of the Deployment of a revision."""
    return hashlib.sha256(msgspec.json.encode(objects.deployment(made))).hexdigest()[:16]


def _longest(seen: Seen) -> float:
    """Return the seconds after which every pod has ended."""
    graces = [pod.spec.termination_grace_period_seconds for pod in (*seen.pods, *seen.leaving)]
    return max(graces, default=0) + _MARGIN_SECONDS

"""The wait for the control plane, with what it waits for. Bounded, and ended early where waiting does not help."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec

from fairway.cluster import manifests
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import Forbidden, KubernetesError, NotThere, Unknown
from fairway.cluster.readiness import ClaimView, DeploymentView, EventView, Finding, PodView, Sight, judge
from fairway.spec.errors import FairwayError
from fairway.spec.install import SERVICE
from fairway.spec.text import one_line

_POLL = 0.5
_PODS = ",".join(f"{name}={value}" for name, value in manifests.SELECTOR.items())
_LINES = 20


class NotReady(FairwayError):
    """The error for a control plane that did not become ready. `details` has its last output, if there is some."""


class _Waited(msgspec.Struct):
    """The cause that lasts, the moment since which it does, and what a container printed before it ended."""

    cause: str = ""
    since: float = 0.0
    output: str = ""


async def is_ready(kube: Kubernetes) -> bool:
    """Tell whether the control plane is ready now."""
    try:
        return judge(Sight(deployment=await _deployment(kube))).ready
    except NotThere:
        return False


async def wait(kube: Kubernetes, seconds: float, note: Callable[[str], None]) -> None:
    """Wait until the control plane is ready, and report each change of what it waits for.

    Raises:
        NotReady: the time is over, or waiting does not help.
    """
    end = time.monotonic() + seconds
    waited = _Waited()
    while True:
        try:
            found = judge(await look(kube))
        except Unknown as error:
            found = Finding(words=error.message, cause="unknown", hint=error.hint)
        if found.ready:
            return
        now = time.monotonic()
        if found.cause != waited.cause:
            waited = _Waited(found.cause, now, waited.output)
            note(f"waits for the control plane: {one_line(found.words)}")
        if found.crashed:
            # It is read at each look: while a container starts again, the cluster has no output of the one before.
            waited.output = await _last_lines(kube, found.crashed) or waited.output
        late = now >= end
        if late or now - waited.since >= found.patience:
            raise _given_up(kube, found, seconds if late else 0.0, waited.output)
        await asyncio.sleep(_POLL)


async def look(kube: Kubernetes) -> Sight:
    """Return the objects of the control plane as they are now. Raises KubernetesError."""
    claim: ClaimView | None = None
    with contextlib.suppress(NotThere):
        claim = await kube.get(kinds.VOLUME_CLAIM, manifests.STORE_CLAIM, type=ClaimView)
    pods = (await kube.list(kinds.POD, labels=_PODS, type=PodView)).items
    events: list[EventView] = []
    with contextlib.suppress(Forbidden):
        events = (await kube.list(kinds.EVENT, type=EventView)).items
    return Sight(
        deployment=await _deployment(kube),
        pods=tuple(pods),
        claim=claim,
        events=tuple(sorted(events, key=lambda event: event.moment)),
    )


async def _deployment(kube: Kubernetes) -> DeploymentView:
    return await kube.get(kinds.DEPLOYMENT, SERVICE, type=DeploymentView)


def _given_up(kube: Kubernetes, found: Finding, seconds: float, output: str) -> NotReady:
    """Return the error, with the last output of a container that ended."""
    time_is_over = f" after {seconds:.0f} s" if seconds else ""
    place = f"`{kube.access.kubectl} -n {kube.access.namespace} "
    return NotReady(
        f"the control plane is not ready{time_is_over}: {found.words}",
        hint=found.hint.replace("`kubectl ", place),
        details=output if found.crashed else "",
    )


async def _last_lines(kube: Kubernetes, pod: str) -> str:
    """Return the last lines of a pod's output: of the container before the last restart, if it has one."""
    for previous in (True, False):
        try:
            output = await kube.log(pod, previous=previous, tail_bytes=8192)
        except KubernetesError:
            continue
        lines = output.decode("utf-8", "replace").strip().splitlines()
        if lines:
            return "\n".join(lines[-_LINES:])
    return ""

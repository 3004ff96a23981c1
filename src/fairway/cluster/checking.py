"""The check of a cluster, before and after an installation: each part is in order, missing, or optional, with what mends it.

No check changes anything but the one of the registry, which pushes and pulls a tiny image. A check that the user has no
right to make says so and does not fail the others.
"""

import asyncio
import email.utils
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from fairway.cluster import (
    installed,
    manifests,
    node_views,
    placing,
    pods,
    preflight,
    readying,
    removing,
    rights,
    room,
)
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.calls import Call
from fairway.cluster.client.errors import Forbidden, NotReached, NotThere, Unauthorized
from fairway.cluster.installed import Installed
from fairway.cluster.node_views import NodeView
from fairway.cluster.podspec import Amounts
from fairway.cluster.readiness import Named
from fairway.spec.errors import FairwayError
from fairway.spec.install import SERVICE, DriverSize

State = Literal["ok", "missing", "optional"]

_NOT_KNOWN = "not known: you may not list nodes"
_QUEUE = kinds.Kind(placing.QUEUE_GROUP, "v1beta1", "localqueues", "LocalQueue")
_LATE = 1.0
_SKEW = 60.0
_ASKED = 5


class Check(msgspec.Struct, frozen=True):
    """The result of a check. `hint` has the command that mends what is not in order."""

    check: str
    state: State
    found: str
    hint: str = ""


class _Policy(msgspec.Struct, frozen=True):
    class _Spec(msgspec.Struct, frozen=True, rename="camel"):
        class _Selector(msgspec.Struct, frozen=True, rename="camel"):
            match_labels: dict[str, str] = {}
            match_expressions: tuple[dict[str, object], ...] = ()

        pod_selector: _Selector = _Selector()
        policy_types: tuple[str, ...] = ()
        egress: tuple[dict[str, object], ...] = ()

    metadata: Named = Named()
    spec: _Spec = _Spec()


async def check(kube: Kubernetes, version: str) -> list[Check]:
    """Return all checks that only look. If the cluster does not answer or the user is unknown, that is the only one.

    Args:
        version: the version of this command.
    """
    try:
        first = await _kubernetes(kube)
    except (NotReached, Unauthorized) as error:
        return [Check("cluster", "missing", error.message, error.hint)]
    asked: tuple[tuple[str, Callable[[Kubernetes], Awaitable[Check]]], ...] = (
        ("namespace", _namespace),
        ("rights", _rights),
        ("quota", _quota),
        ("limits", _limits),
        ("storage", _storage),
        ("policies", _policies),
        ("metrics", _metrics),
        ("nodes", _nodes),
        ("gpus", _gpus),
        ("gateway", _gateway),
        ("kueue", _kueue),
    )
    found = await asyncio.gather(*(_guarded(kube, name, ask) for name, ask in asked))
    return [*first, *found, await _fairway(kube, version)]


async def _guarded(kube: Kubernetes, name: str, ask: Callable[[Kubernetes], Awaitable[Check]]) -> Check:
    try:
        return await ask(kube)
    except Forbidden as error:
        return Check(name, "optional", f"not seen: {error.message}", error.hint)
    except FairwayError as error:
        return Check(name, "missing", error.message, error.hint)


async def _kubernetes(kube: Kubernetes) -> list[Check]:
    """Return the checks of version, latency and clock, which one request answers."""
    times: list[float] = []
    skew = 0.0
    version = ""
    for _ in range(_ASKED):
        began = time.monotonic()
        answer = await kube.transport.send(
            Call(method="GET", path="/version", verb="get", resource="version")
        )
        times.append(time.monotonic() - began)
        version = msgspec.json.decode(answer.body, type=dict[str, str]).get("gitVersion", "")
        skew = _skew(answer.headers.get("date", ""), time.time())
    median = sorted(times)[_ASKED // 2]
    old = installed.numbers(version) < preflight.OLDEST
    return [
        Check(
            "kubernetes",
            "missing" if old else "ok",
            f"{version} at {kube.access.server}",
            "Fairway needs 1.28 or newer" if old else "",
        ),
        Check(
            "latency",
            "missing" if median > _LATE else "ok",
            f"{median * 1000:.0f} ms for a request, {max(times) * 1000:.0f} ms for the slowest of {_ASKED}",
            f"a proxy or a busy API server slows it: `{kube.access.kubectl} get --raw /readyz?verbose`"
            if median > _LATE
            else "",
        ),
        Check(
            "clock",
            "missing" if abs(skew) > _SKEW else "ok",
            f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the cluster"
            if abs(skew) >= 2
            else "as the cluster's",
            "set the clock of this machine: `timedatectl set-ntp true`" if abs(skew) > _SKEW else "",
        ),
    ]


def _skew(date: str, now: float) -> float:
    """Return the seconds by which the server's clock is ahead of `now`. An answer without a date gives 0."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - now
    except (TypeError, ValueError):
        return 0.0


async def _namespace(kube: Kubernetes) -> Check:
    name = kube.access.namespace
    try:
        found = await kube.get(kinds.NAMESPACE, name, type=removing.Member)
    except NotThere:
        return Check(
            "namespace", "missing", f"{name} is not there", f"`{kube.access.kubectl} create namespace {name}`"
        )
    level = found.metadata.labels.get("pod-security.kubernetes.io/enforce", "")
    if level in ("restricted", "baseline"):
        return Check("namespace", "ok", f"{name}; Pod Security {level} is enforced")
    return Check(
        "namespace",
        "optional",
        f"{name}; Pod Security is not enforced, and Fairway's pods pass `restricted`",
        f"`{kube.access.kubectl} label namespace {name} pod-security.kubernetes.io/enforce=restricted`",
    )


async def _rights(kube: Kubernetes) -> Check:
    name = kube.access.namespace
    lacking = await rights.missing(kube, rights.NEEDED | rights.RUNNING | rights.FORWARDING)
    who = (await kube.review_self()).username

    def granting(role: str) -> str:
        return f"`kubectl create rolebinding fairway-{role} --clusterrole={role} --user={who} -n {name}`"

    run = [right for right in lacking if right in rights.RUNNING]
    if run and await rights.missing(kube, rights.FORWARDING):
        return Check(
            "rights", "missing", f"{who} may not run anything: no {rights.in_words(run)}", granting("edit")
        )
    rest = [right for right in lacking if right in rights.NEEDED]
    if rest:
        words = f"{who} may run, not install or upgrade: no {rights.in_words(rest)}"
        return Check("rights", "optional", words, granting("admin"))
    return Check("rights", "ok", f"{who} may install and run")


def _needed() -> tuple[Amounts, Amounts]:
    """Return what the control plane and a driver ask for."""
    return manifests.CONTROL_PLANE, pods.amounts(DriverSize().resources, 0)


async def _quota(kube: Kubernetes) -> Check:
    quotas = (await kube.list(kinds.QUOTA, type=room.QuotaView)).items
    wanted = [pods.amounts(DriverSize().resources, 0)]
    if await installed.find(kube) is None:
        wanted.append(manifests.CONTROL_PLANE)
    beyond = [
        f"{quota.metadata.name}: {words}"
        for quota in quotas
        for words in room.beyond_quota(quota, room.asked(wanted))
    ]
    if beyond:
        hint = f"ask an administrator to raise it: `{kube.access.kubectl} -n {kube.access.namespace} describe quota`"
        return Check("quota", "missing", "; ".join(beyond), hint)
    named = ", ".join(quota.metadata.name for quota in quotas)
    return Check("quota", "ok", f"{named}: room for the control plane and a driver" if quotas else "none")


async def _limits(kube: Kubernetes) -> Check:
    ranges = (await kube.list(kinds.LIMIT_RANGE, type=room.LimitView)).items
    beyond = [
        f"{one.metadata.name}: {words}" for one in ranges for words in room.beyond_limits(one, _needed())
    ]
    if beyond:
        hint = f"ask an administrator to raise it: `{kube.access.kubectl} -n {kube.access.namespace} describe limitrange`"
        return Check("limits", "missing", "; ".join(beyond), hint)
    named = ", ".join(one.metadata.name for one in ranges)
    return Check("limits", "ok", f"{named}: Fairway's pods are within" if ranges else "none")


async def _storage(kube: Kubernetes) -> Check:
    try:
        claim = await kube.get(kinds.VOLUME_CLAIM, manifests.STORE_CLAIM, type=readying.ClaimView)
        if claim.status.phase == "Bound":
            return Check("storage", "ok", f"the volume {manifests.STORE_CLAIM} is bound")
    except NotThere:
        pass
    classes = (await kube.list(kinds.STORAGE_CLASS, type=removing.Member)).items
    default = [
        one.metadata.name
        for one in classes
        if one.metadata.annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
    ]
    if default:
        return Check("storage", "ok", f"default class {default[0]}")
    if classes:
        named = ", ".join(one.metadata.name for one in classes)
        hint = f"`fairway install --storage-class {classes[0].metadata.name}`"
        return Check("storage", "missing", f"no class is the default; there are {named}", hint)
    hint = "`fairway install --ephemeral` keeps the store in the pod, where it is lost with it"
    return Check("storage", "missing", "no storage class, so no volume for the store", hint)


async def _policies(kube: Kubernetes) -> Check:
    found = (await kube.list(kinds.NETWORK_POLICY, type=_Policy)).items
    closed = [
        one.metadata.name
        for one in found
        if "Egress" in one.spec.policy_types
        and not one.spec.egress
        and not one.spec.pod_selector.match_labels
        and not one.spec.pod_selector.match_expressions
    ]
    if closed:
        hint = (
            "allow pods of the namespace to reach each other, the API server and DNS (port 53): "
            f"`{kube.access.kubectl} -n {kube.access.namespace} describe networkpolicy {closed[0]}`"
        )
        return Check("policies", "missing", f"{', '.join(closed)} closes every way out of the pods", hint)
    named = ", ".join(one.metadata.name for one in found)
    return Check("policies", "ok", named or "none: every pod of the cluster reaches every other")


async def _metrics(kube: Kubernetes) -> Check:
    if await kube.serves("metrics.k8s.io"):
        return Check("metrics", "ok", "the metrics API answers")
    hint = "`kubectl apply -f https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml`"
    return Check("metrics", "optional", "no metrics API; Fairway measures its pods itself", hint)


async def _nodes(kube: Kubernetes) -> Check:
    try:
        nodes = (await kube.list(kinds.NODE, type=NodeView)).items
    except Forbidden:
        return Check("nodes", "optional", _NOT_KNOWN)
    return Check("nodes", "ok", node_views.in_words(nodes))


async def _gpus(kube: Kubernetes) -> Check:
    try:
        nodes = (await kube.list(kinds.NODE, type=NodeView)).items
    except Forbidden:
        return Check("gpus", "optional", _NOT_KNOWN)
    words, foreign = node_views.gpus_in_words(nodes), node_views.foreign_taints(nodes)
    if foreign:
        hint = "`kubectl taint nodes NODE KEY-` removes a taint, or keep those nodes for others"
        return Check("gpus", "missing", f"{words}; no step accepts {', '.join(foreign)}", hint)
    return Check("gpus", "ok" if words else "optional", words or f"none on {len(nodes)} nodes")


async def _gateway(kube: Kubernetes) -> Check:
    if await kube.serves("gateway.networking.k8s.io"):
        return Check("gateway", "ok", "the Gateway API is there")
    return Check("gateway", "optional", "no Gateway API; nothing here needs it")


async def _kueue(kube: Kubernetes) -> Check:
    if not await kube.serves(placing.QUEUE_GROUP):
        return Check("kueue", "optional", "no Kueue; quotas of the namespace bound the runs")
    try:
        queues = [one.metadata.name for one in (await kube.list(_QUEUE, type=removing.Member)).items]
    except (Forbidden, NotThere):
        return Check("kueue", "ok", "Kueue is there; which queues the namespace has is not known")
    if queues:
        return Check("kueue", "ok", f"Kueue is there, with the queues {', '.join(sorted(queues))}")
    return Check("kueue", "optional", "Kueue is there, and the namespace has no queue")


async def _fairway(kube: Kubernetes, version: str) -> Check:
    """Return the check of the installation: is it there, ready, and of the version of this command."""
    try:
        there = await installed.find(kube)
    except FairwayError as error:
        return Check("fairway", "missing", error.message, error.hint)
    if there is None:
        hint = f"`fairway install --namespace {kube.access.namespace} --registry REGISTRY`"
        return Check("fairway", "missing", "not installed", hint)
    return await _state(kube, there, version)


async def _state(kube: Kubernetes, there: Installed, version: str) -> Check:
    own = there.settings.install.version
    finding = readying.judge(await readying.look(kube))
    if not finding.ready:
        return Check("fairway", "missing", f"{own} is not ready: {finding.words}", finding.hint)
    if own != version:
        older = installed.numbers(own) < installed.numbers(version)
        hint = "`fairway upgrade`" if older else f"`pip install fairway-ml=={own}`"
        return Check("fairway", "missing", f"{own} is installed, and this command is {version}", hint)
    answer = await kube.proxied(SERVICE, "http", "GET", "/healthz", timeout=10.0)
    if answer.status != 200:
        words = f"{own} is ready; the API server does not reach it ({answer.status}), so port-forward is used"
        return Check("fairway", "optional", words, "let the API server reach pods of this namespace")
    return Check("fairway", "ok", f"{own}, ready, reached through the API server")

"""The rights that installing, upgrading and uninstalling need, and the question which of them the user lacks."""

import asyncio
from collections.abc import Iterable

import msgspec

from fairway.cluster.client.api import Kubernetes
from fairway.cluster.rules import RULES


class Right(msgspec.Struct, frozen=True, order=True):
    """A verb on a resource of the namespace."""

    group: str
    resource: str
    verb: str
    name: str = ""

    @property
    def where(self) -> str:
        """The resource as `kubectl` names it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


_WRITTEN = (
    ("", "configmaps"),
    ("", "serviceaccounts"),
    ("", "persistentvolumeclaims"),
    ("", "services"),
    ("apps", "deployments"),
    ("networking.k8s.io", "networkpolicies"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("policy", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
)
_WRITES = ("create", "delete", "get", "list", "patch")


def granted() -> frozenset[Right]:
    """Return the rights of the control plane. Only a person who has them may grant them."""
    return frozenset(
        Right(group, resource, verb, name)
        for rule in RULES
        for group in rule.api_groups
        for resource in rule.resources
        for verb in rule.verbs
        for name in rule.resource_names or ("",)
    )


NEEDED = frozenset(
    {Right(group, resource, verb) for group, resource in _WRITTEN for verb in _WRITES}
    | {Right("", "pods", verb) for verb in ("create", "delete", "get", "list")}
    | {Right("", "pods/log", "get"), Right("", "events", "list")}
    | {Right("batch", "jobs", verb) for verb in ("delete", "list")}
    | granted()
)
"""The rights that installing needs. The built-in role `admin` holds all of them in its namespace."""

RUNNING = frozenset(
    {
        Right("", "serviceaccounts/token", "create", "fairway-runner"),
        Right("", "services/proxy", "get", "fairway:http"),
        Right("", "services/proxy", "create", "fairway:http"),
    }
)
"""The rights that running something needs. The built-in role `edit` holds them."""

FORWARDING = frozenset({Right("", "pods", "list"), Right("", "pods/portforward", "create")})
"""The rights for the other way to the control plane, where the API server does not reach pods."""


async def missing(kube: Kubernetes, wanted: Iterable[Right]) -> list[Right]:
    """Return the rights that the user lacks in the namespace. Raises KubernetesError."""
    asked = sorted(wanted)
    answers = await asyncio.gather(*(_has(kube, right) for right in asked))
    return [right for right, has in zip(asked, answers, strict=True) if not has]


async def _has(kube: Kubernetes, right: Right) -> bool:
    resource, _, part = right.resource.partition("/")
    return await kube.allowed(right.verb, resource, group=right.group, subresource=part, name=right.name)


def in_words(rights: Iterable[Right]) -> str:
    """Return rights for people: "create and patch of roles.rbac.authorization.k8s.io; get of pods/log"."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verbs.setdefault(right.where, []).append(right.verb)
    return "; ".join(f"{_joined(sorted(set(found)))} of {where}" for where, found in verbs.items())


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]

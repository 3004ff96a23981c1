"""The nodes of a cluster as their labels, taints and resources describe them, in words. Pure functions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fairway.cluster import gpu_models, placing
from fairway.cluster.podspec import Toleration
from fairway.cluster.readiness import Named
from fairway.cluster.room import amount
from fairway.spec.install import PLATFORMS
from fairway.spec.nodes import NodeChoice
from fairway.spec.quantities import Resources

_KEEPS_AWAY = ("NoSchedule", "NoExecute")
_CLOUDS = {"eks": "Amazon EKS", "gke": "Google GKE", "aks": "Azure AKS", "plain": "no known cloud"}
_OWN = "node.kubernetes.io/"
"""The beginning of the taints that Kubernetes sets itself, while a node is not in order."""


class Taint(msgspec.Struct, frozen=True):
    """A taint of a node."""

    key: str = ""
    value: str = ""
    effect: str = ""

    def __str__(self) -> str:
        value = f"={self.value}" if self.value else ""
        return f"{self.key}{value}:{self.effect}"


class _Spec(msgspec.Struct, frozen=True):
    taints: tuple[Taint, ...] = ()


class _Status(msgspec.Struct, frozen=True):
    allocatable: dict[str, str] = {}


class NodeView(msgspec.Struct, frozen=True):
    """A node."""

    metadata: Named = Named()
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @property
    def gpus(self) -> dict[str, int]:
        """The number of GPUs by the name of their resource."""
        found = {
            name: int(amount(text)) for name, text in self.status.allocatable.items() if name.endswith("/gpu")
        }
        return {name: count for name, count in found.items() if count}

    @property
    def taints(self) -> tuple[Taint, ...]:
        """The taints that keep pods away and that somebody set on purpose."""
        return tuple(
            taint
            for taint in self.spec.taints
            if taint.effect in _KEEPS_AWAY and not taint.key.startswith(_OWN)
        )


def in_words(nodes: Sequence[NodeView]) -> str:
    """Return the nodes of a cluster in words: how many of which architecture, how many spot nodes, and whose they are."""
    architectures = Counter(node.metadata.labels.get(placing.ARCH, "unknown") for node in nodes)
    parts = [f"{count} {name}" for name, count in sorted(architectures.items())]
    spot = sum(placing.is_spot(node.metadata.labels) for node in nodes)
    if spot:
        parts.append(f"{spot} of them spot")
    cloud = placing.cloud_of(node.metadata.labels for node in nodes)
    return f"{', '.join(parts)}; labels of {_CLOUDS.get(cloud, 'nobody')}"


def platform_of(nodes: Iterable[Mapping[str, str]]) -> str:
    """Return the platform of nodes, such as `linux/arm64`, by their labels. It is empty if they have several, or tell none."""
    found = {f"linux/{labels.get(placing.ARCH, '')}" for labels in nodes}
    return found.pop() if len(found) == 1 and found <= set(PLATFORMS) else ""


def gpus_in_words(nodes: Sequence[NodeView]) -> str:
    """Return the GPUs of all nodes in words, with their models and the taints of their nodes. It is empty without GPUs."""
    having = [node for node in nodes if node.gpus]
    counts: Counter[tuple[str, str]] = Counter()
    for node in having:
        model = gpu_models.told_by(node.metadata.labels)
        for name, count in node.gpus.items():
            counts[name, model] += count
    if not counts:
        return ""
    named = [
        f"{count} {name} ({model or 'a model that no label tells'})"
        for (name, model), count in sorted(counts.items())
    ]
    taints = sorted({str(taint) for node in having for taint in node.taints})
    behind = f", behind the taints {', '.join(taints)}" if taints else ""
    return f"{', '.join(named)} on {len(having)} of {len(nodes)} nodes{behind}"


def foreign_taints(nodes: Sequence[NodeView]) -> list[str]:
    """Return the taints of nodes with GPUs that no pod accepts, whatever its task asks for."""
    accepted = placing.placing(Resources(gpu=1, nodes=NodeChoice(spot=True, arch="arm64"))).tolerations
    return sorted(
        {
            str(taint)
            for node in nodes
            if node.gpus
            for taint in node.taints
            if not any(_accepts(one, taint) for one in accepted)
        }
    )


def _accepts(toleration: Toleration, taint: Taint) -> bool:
    same = toleration.operator == "Exists" or toleration.value == taint.value
    return toleration.key == taint.key and same and toleration.effect in ("", taint.effect)

"""The words of a task about its nodes, as Kubernetes and the clouds understand them. Pure functions.

Clouds name the same things by different labels. Where the cloud is not known, the names of all of them are tried together.
"""

import itertools
from collections.abc import Iterable, Mapping

import msgspec

from fairway.cluster import gpu_models
from fairway.cluster.podspec import (
    Affinity,
    NodeAffinity,
    NodeTerm,
    PreferredNodes,
    RequiredNodes,
    Requirement,
    Toleration,
)
from fairway.spec.install import Install
from fairway.spec.nodes import NOTHING, NodeChoice
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Reason

CLOUDS = ("eks", "gke", "aks", "plain")
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
QUEUE_GROUP = "kueue.x-k8s.io"
ASKED = "fairway.dev/nodes"
"""The annotation with the words of the task, for people and for the explanation why no node fits."""

ARCH = "kubernetes.io/arch"
_GPU_RESOURCE = "nvidia.com/gpu"
_ANY_GPU = (
    Toleration(key="nvidia.com/gpu"),
    Toleration(key="amd.com/gpu"),
    Toleration(key="sku", operator="Equal", value="gpu", effect="NoSchedule"),
)
"""The taints with which clouds keep other pods from nodes with GPUs."""

_ANY_SPOT = (
    Toleration(key="cloud.google.com/gke-spot"),
    Toleration(key="cloud.google.com/gke-preemptible"),
    Toleration(key="cloud.google.com/gke-provisioning", operator="Equal", value="spot"),
    Toleration(key="kubernetes.azure.com/scalesetpriority", operator="Equal", value="spot"),
    Toleration(key="karpenter.sh/capacity-type", operator="Equal", value="spot"),
    Toleration(key="eks.amazonaws.com/capacityType", operator="Equal", value="SPOT"),
    Toleration(key="spot"),
)
"""The taints with which clouds, and people who followed their guides, keep other pods from spot nodes."""

_KARPENTER_SPOT = Requirement(key="karpenter.sh/capacity-type", values=("spot",))
_SPOT = {
    "eks": (_KARPENTER_SPOT, Requirement(key="eks.amazonaws.com/capacityType", values=("SPOT",))),
    "gke": (Requirement(key="cloud.google.com/gke-spot", values=("true",)),),
    "aks": (Requirement(key="kubernetes.azure.com/scalesetpriority", values=("spot",)), _KARPENTER_SPOT),
}
"""The labels of spot nodes by cloud. Each alone says that a node is one. Other clusters have no such label."""

_SIGNS = {
    "gke": ("cloud.google.com/gke-",),
    "aks": ("kubernetes.azure.com/",),
    "eks": ("eks.amazonaws.com/", "alpha.eksctl.io/", "karpenter.k8s.aws/"),
}
"""The beginnings of labels that only the nodes of a cloud have."""

_MACHINE_SIGNS = {"aks": "Standard_"}


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a pod and its Job that follow from the words about nodes.

    Attributes:
        node_selector: labels that the node must have.
        affinity: labels of which the node must have one set, or of which some are preferred.
        tolerations: taints that the pod accepts.
        priority: the name of the class of priority.
        queue: the labels of the Job that put it into a queue.
        extended: the extended resources, which are requests and limits.
        annotations: the annotations of the pod.
    """

    node_selector: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    priority: str = ""
    queue: dict[str, str] = {}
    extended: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @property
    def suspended(self) -> bool | None:
        """True for a Job that begins when its queue lets it."""
        return True if self.queue else None


def placing(wanted: Resources, cloud: str = "", architecture: str = "") -> Placing:
    """Return what the words of a task mean.

    Args:
        wanted: the resources of the task, with its words.
        cloud: "eks", "gke", "aks", "plain", or unknown if it is empty.
        architecture: the processors of nodes where the task says nothing of them. Empty for any.
    """
    nodes = wanted.nodes or NOTHING
    selector, affinity = _labels(nodes, cloud)
    architecture = nodes.arch or architecture
    return Placing(
        node_selector=selector | selector_of(architecture),
        affinity=affinity,
        tolerations=_tolerations(wanted.gpu, nodes) + tolerations_of(architecture),
        priority=nodes.priority,
        queue={QUEUE_LABEL: nodes.queue} if nodes.queue else {},
        extended=_extended(wanted.gpu, nodes),
        annotations=_asked(nodes),
    )


def selector_of(architecture: str) -> dict[str, str]:
    """Return the label of nodes with the processors that an image is for. Every kubelet sets it. Empty for any."""
    return {ARCH: architecture} if architecture else {}


def tolerations_of(architecture: str) -> tuple[Toleration, ...]:
    """Return the taint of nodes with these processors.

    Google keeps pods from nodes with another architecture than the usual one, since most images are for that.
    """
    if not architecture:
        return ()
    return (Toleration(key=ARCH, operator="Equal", value=architecture, effect="NoSchedule"),)


def queue_of(wanted: Resources) -> str:
    """Return the queue in which a step waits for its turn. It is empty for none."""
    return wanted.nodes.queue if wanted.nodes is not None else ""


def no_image(wanted: Resources, install: Install) -> Failure | None:
    """Return the failure of a step for nodes that the images of an installation are not for; None if they are."""
    asked = wanted.nodes.arch if wanted.nodes is not None else ""
    if not asked or install.architecture in ("", asked):
        return None
    return Failure(
        reason=Reason.RESOURCES,
        message=f'it asks for arch="{asked}", and the images of this installation are for {install.platform}',
        hint=f"leave `arch=` out, or move the installation: `fairway upgrade --platform linux/{asked}`",
    )


def no_queue(labels: Mapping[str, str]) -> Failure:
    """Return the failure of a Job for a queue in a cluster that has none."""
    return Failure(
        reason=Reason.RESOURCES,
        message=f"it asks for queue {labels.get(QUEUE_LABEL)}, and this cluster has no Kueue, which keeps queues",
        hint="leave `queue=` out, or ask an administrator to install Kueue: https://kueue.sigs.k8s.io",
    )


def is_spot(labels: Mapping[str, str]) -> bool:
    """Tell whether the labels of a node say that it may be taken away at any time."""
    signs = (one for several in _SPOT.values() for one in several)
    return any(labels.get(one.key) in one.values for one in signs)


def cloud_of(labels: Iterable[Mapping[str, str]]) -> str:
    """Return the cloud that the labels of nodes tell. It is "plain" for nodes of none, and empty without nodes."""
    seen = False
    for one in labels:
        seen = True
        for cloud, signs in _SIGNS.items():
            if any(key.startswith(signs) for key in one):
                return cloud
    return "plain" if seen else ""


def cloud_at(version: str, server: str) -> str:
    """Return the cloud that the version and the address of an API server tell, which everybody may read. Empty for none."""
    if "-gke." in version:
        return "gke"
    if "-eks-" in version or ".eks.amazonaws.com" in server:
        return "eks"
    return "aks" if ".azmk8s.io" in server else ""


def _asked(nodes: NodeChoice) -> dict[str, str]:
    """Return the annotation with the words that a node has to meet. Priority and queue are no matter of nodes."""
    words = str(msgspec.structs.replace(nodes, priority="", queue=""))
    return {ASKED: words} if words else {}


def _extended(count: int, nodes: NodeChoice) -> dict[str, str]:
    if not count:
        return {}
    resource = gpu_models.model_of(nodes.gpu).resource if nodes.gpu else _GPU_RESOURCE
    return {resource: str(count)}


def _tolerations(gpus: int, nodes: NodeChoice) -> tuple[Toleration, ...]:
    found = _ANY_GPU if gpus else ()
    if nodes.spot:
        found += _ANY_SPOT
    return found


def _labels(nodes: NodeChoice, cloud: str) -> tuple[dict[str, str], Affinity | None]:
    """Return the labels for the model of GPUs and for spot: a plain selector where one set of labels says it."""
    models = _models(nodes.gpu, cloud) if nodes.gpu else ()
    spot = _SPOT.get(cloud, ()) if nodes.spot else ()
    # Without a term, a node is chosen by its resources alone.
    terms = [
        tuple(part for part in pair if part is not None)
        for pair in itertools.product(models or (None,), spot or (None,))
    ]
    terms = [term for term in terms if term]
    if len(terms) == 1 and all(len(part.values) == 1 for part in terms[0]):
        return {part.key: part.values[0] for part in terms[0]}, None
    required = RequiredNodes(node_selector_terms=tuple(NodeTerm(match_expressions=term) for term in terms))
    preferred = _preferred() if nodes.spot and not spot and cloud != "plain" else ()
    if not terms and not preferred:
        return {}, None
    return {}, Affinity(node_affinity=NodeAffinity(required=required if terms else None, preferred=preferred))


def _models(word: str, cloud: str) -> tuple[Requirement, ...]:
    """Return the labels of a model of GPUs. Each alone says that a node has it."""
    model = gpu_models.model_of(word)
    amazon, azure = _machines(model, amazon=True), _machines(model, amazon=False)
    product = gpu_models.AMD_PRODUCT if model.resource == "amd.com/gpu" else gpu_models.PRODUCT
    found = {
        "eks": (
            (gpu_models.KARPENTER, model.amazon),
            (gpu_models.AUTO_MODE, model.amazon),
            (product, model.product),
            (gpu_models.MACHINE, amazon),
        ),
        "gke": ((gpu_models.GOOGLE, model.google or (f"nvidia-{word.lower()}",)),),
        "aks": (
            (gpu_models.AZURE, model.azure),
            (product, model.product),
            (gpu_models.MACHINE, azure),
        ),
        "plain": ((product, model.product),),
    }.get(
        cloud,
        (
            (product, model.product),
            (gpu_models.GOOGLE, model.google),
            (gpu_models.KARPENTER, model.amazon),
            (gpu_models.AUTO_MODE, model.amazon),
            (gpu_models.AZURE, model.azure),
            (gpu_models.MACHINE, amazon + azure),
        ),
    )
    return tuple(Requirement(key=key, values=values) for key, values in found if values)


def _machines(model: gpu_models.GpuModel, *, amazon: bool) -> tuple[str, ...]:
    azure = _MACHINE_SIGNS["aks"]
    return tuple(name for name in model.machines if name.startswith(azure) is not amazon)


def _preferred() -> tuple[PreferredNodes, ...]:
    """Return a preference for the spot nodes of each cloud. A cluster without them runs the pod all the same."""
    found = dict.fromkeys(one for several in _SPOT.values() for one in several)
    return tuple(PreferredNodes(weight=100, preference=NodeTerm(match_expressions=(one,))) for one in found)

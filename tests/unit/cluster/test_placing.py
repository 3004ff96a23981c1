"""Words about nodes, held against the labels and taints that real nodes have.

The sets of labels come from the pages that each test names. A small scheduler here reads what a pod says.
"""

from typing import Any

import msgspec
import pytest

from fairway.cluster import pods
from fairway.cluster.placing import Placing, cloud_at, cloud_of, no_image, placing
from fairway.cluster.pods import HostPod
from fairway.spec.install import Install
from fairway.spec.nodes import NodeChoice
from fairway.spec.quantities import Resources

Labels = dict[str, str]
UNKNOWN = ""

KARPENTER_L4 = {
    "karpenter.k8s.aws/instance-category": "g",
    "karpenter.k8s.aws/instance-family": "g6",
    "karpenter.k8s.aws/instance-gpu-count": "1",
    "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia",
    "karpenter.k8s.aws/instance-gpu-memory": "22888",
    "karpenter.k8s.aws/instance-gpu-name": "l4",
    "karpenter.k8s.aws/instance-size": "xlarge",
    "karpenter.sh/capacity-type": "on-demand",
    "karpenter.sh/nodepool": "gpu",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "g6.xlarge",
    "topology.kubernetes.io/zone": "us-east-1a",
}
KARPENTER_L40S = KARPENTER_L4 | {
    "karpenter.k8s.aws/instance-family": "g6e",
    "karpenter.k8s.aws/instance-gpu-name": "l40s",
    "node.kubernetes.io/instance-type": "g6e.xlarge",
}
AUTO_MODE_T4_SPOT = {
    "eks.amazonaws.com/compute-type": "auto",
    "eks.amazonaws.com/instance-gpu-manufacturer": "nvidia",
    "eks.amazonaws.com/instance-gpu-name": "t4",
    "karpenter.sh/capacity-type": "spot",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "g4dn.2xlarge",
}
NODE_GROUP_A10G_SPOT = {
    "eks.amazonaws.com/capacityType": "SPOT",
    "eks.amazonaws.com/nodegroup": "gpu-spot",
    "eks.amazonaws.com/nodegroup-image": "ami-0a1b2c3d4e5f67890",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "g5.12xlarge",
    "topology.kubernetes.io/region": "eu-west-1",
}
GKE_L4_SPOT = {
    "cloud.google.com/gke-accelerator": "nvidia-l4",
    "cloud.google.com/gke-accelerator-count": "1",
    "cloud.google.com/gke-boot-disk": "pd-balanced",
    "cloud.google.com/gke-nodepool": "l4",
    "cloud.google.com/gke-provisioning": "spot",
    "cloud.google.com/gke-spot": "true",
    "cloud.google.com/machine-family": "g2",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "g2-standard-4",
}
GKE_A100_80 = {
    "cloud.google.com/gke-accelerator": "nvidia-a100-80gb",
    "cloud.google.com/gke-nodepool": "a100",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "a2-ultragpu-1g",
}
GKE_ARM = {
    "cloud.google.com/gke-nodepool": "arm",
    "cloud.google.com/machine-family": "t2a",
    "kubernetes.io/arch": "arm64",
    "node.kubernetes.io/instance-type": "t2a-standard-4",
}
AKS_V100 = {
    "accelerator": "nvidia",
    "agentpool": "gpunp",
    "kubernetes.azure.com/accelerator": "nvidia",
    "kubernetes.azure.com/agentpool": "gpunp",
    "kubernetes.azure.com/mode": "user",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "Standard_NC6s_v3",
}
AKS_SPOT = {
    "agentpool": "spotpool",
    "kubernetes.azure.com/agentpool": "spotpool",
    "kubernetes.azure.com/scalesetpriority": "spot",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "Standard_D8s_v5",
}
AKS_NAP_A100 = {
    "karpenter.azure.com/sku-family": "N",
    "karpenter.azure.com/sku-gpu-count": "1",
    "karpenter.azure.com/sku-gpu-manufacturer": "nvidia",
    "karpenter.azure.com/sku-gpu-name": "A100",
    "karpenter.sh/capacity-type": "on-demand",
    "kubernetes.azure.com/agentpool": "default",
    "kubernetes.io/arch": "amd64",
    "node.kubernetes.io/instance-type": "Standard_NC24ads_A100_v4",
}
PLAIN_A100 = {
    "feature.node.kubernetes.io/pci-10de.present": "true",
    "kubernetes.io/arch": "amd64",
    "nvidia.com/cuda.driver.major": "535",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.family": "ampere",
    "nvidia.com/gpu.memory": "40960",
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB",
    "nvidia.com/mig.capable": "true",
}
PLAIN_MI300X = {
    "amd.com/gpu.cu-count": "304",
    "amd.com/gpu.device-id": "74a1",
    "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
    "amd.com/gpu.vram": "192G",
    "kubernetes.io/arch": "amd64",
}
PLAIN = {"kubernetes.io/arch": "amd64", "kubernetes.io/hostname": "n1"}


def choice(cloud: str = UNKNOWN, gpus: int = 0, **words: Any) -> Placing:
    if words.get("gpu"):
        gpus = gpus or 1
    return placing(Resources(gpu=gpus, nodes=NodeChoice(**words) if words else None), cloud)


def takes(place: Placing, labels: Labels) -> bool:
    """Tell whether the scheduler would let a node with labels have the pod."""
    if any(labels.get(key) != value for key, value in place.node_selector.items()):
        return False
    required = place.affinity.node_affinity.required if place.affinity is not None else None
    return required is None or any(
        all(labels.get(part.key) in part.values for part in term.match_expressions)
        for term in required.node_selector_terms
    )


def tolerates(place: Placing, key: str, value: str = "", effect: str = "NoSchedule") -> bool:
    """Tell whether the pod accepts a taint."""
    return any(
        one.key == key and (one.operator == "Exists" or one.value == value) and one.effect in ("", effect)
        for one in place.tolerations
    )


@pytest.mark.parametrize("cloud", ["eks", UNKNOWN])
def test_amazon_s_nodes_are_known_by_their_gpus(cloud: str) -> None:
    """docs.aws.amazon.com/eks/latest/userguide/ml-workload-placement.html and karpenter.sh/docs/concepts/scheduling."""
    assert takes(choice(cloud, gpu="L4"), KARPENTER_L4)
    assert not takes(choice(cloud, gpu="L4"), KARPENTER_L40S)
    assert takes(choice(cloud, gpu="t4"), AUTO_MODE_T4_SPOT)
    assert takes(choice(cloud, gpu="A10G"), NODE_GROUP_A10G_SPOT)
    assert not takes(choice(cloud, gpu="A10"), NODE_GROUP_A10G_SPOT)
    assert tolerates(choice(cloud, gpu="L4"), "nvidia.com/gpu")


def test_amazon_s_spot_nodes_are_those_of_node_groups_and_of_karpenter() -> None:
    """docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html, karpenter.sh/docs/concepts/nodepools."""
    spot = choice("eks", spot=True)
    assert takes(spot, NODE_GROUP_A10G_SPOT)
    assert takes(spot, AUTO_MODE_T4_SPOT)
    assert not takes(spot, KARPENTER_L4)
    both = choice("eks", gpu="T4", spot=True)
    assert takes(both, AUTO_MODE_T4_SPOT)
    assert not takes(both, AUTO_MODE_T4_SPOT | {"karpenter.sh/capacity-type": "on-demand"})
    assert not takes(both, NODE_GROUP_A10G_SPOT)


def test_autopilot_gets_the_plain_selectors_that_its_pages_show() -> None:
    """cloud.google.com/kubernetes-engine/docs/how-to/autopilot-gpus and …/how-to/autopilot-spot-pods."""
    place = choice("gke", gpu="L4", spot=True)
    assert place.node_selector == {
        "cloud.google.com/gke-accelerator": "nvidia-l4",
        "cloud.google.com/gke-spot": "true",
    }
    assert place.affinity is None
    assert place.extended == {"nvidia.com/gpu": "1"}
    assert takes(place, GKE_L4_SPOT)
    assert tolerates(place, "cloud.google.com/gke-spot", "true")
    assert tolerates(place, "nvidia.com/gpu", "present")


@pytest.mark.parametrize("cloud", ["gke", UNKNOWN])
def test_google_s_models_have_several_sizes(cloud: str) -> None:
    """cloud.google.com/kubernetes-engine/docs/concepts/gpus."""
    assert takes(choice(cloud, gpu="A100"), GKE_A100_80)
    assert takes(choice(cloud, gpu="A100-80GB"), GKE_A100_80)
    assert not takes(choice(cloud, gpu="A100-40GB"), GKE_A100_80)
    assert not takes(choice(cloud, gpu="L4"), GKE_A100_80)


def test_google_s_arm_nodes_are_accepted_by_those_that_ask_for_them() -> None:
    """cloud.google.com/kubernetes-engine/docs/how-to/prepare-arm-workloads-for-deployment."""
    arm = choice("gke", arch="arm64")
    assert takes(arm, GKE_ARM)
    assert tolerates(arm, "kubernetes.io/arch", "arm64")
    assert not takes(choice("gke", arch="amd64"), GKE_ARM)
    assert not tolerates(choice("gke", arch="amd64"), "kubernetes.io/arch", "arm64")


def test_images_for_one_platform_get_nodes_of_that_kind_and_accept_their_taint() -> None:
    arm = placing(Resources(), "gke", "arm64")
    assert takes(arm, GKE_ARM)
    assert tolerates(arm, "kubernetes.io/arch", "arm64")
    usual = placing(Resources(), "gke", "amd64")
    assert takes(usual, GKE_A100_80)
    assert not takes(usual, GKE_ARM)
    assert takes(placing(Resources(), "gke"), GKE_ARM)
    # The word of a task is about nodes that it knows to be there.
    assert takes(placing(Resources(nodes=NodeChoice(arch="arm64")), "gke", "amd64"), GKE_ARM)


@pytest.mark.parametrize(
    ("asked", "platform", "refused"),
    [
        ("arm64", "linux/amd64", True),
        ("amd64", "linux/arm64", True),
        ("arm64", "linux/arm64", False),
        ("arm64", "", False),
        ("", "linux/arm64", False),
    ],
)
def test_a_step_for_nodes_that_no_image_is_for_is_refused_with_what_to_do(
    asked: str, platform: str, refused: bool
) -> None:
    install = Install(uid="0" * 32, namespace="team", version="1", image="none", platform=platform)
    found = no_image(Resources(nodes=NodeChoice(arch=asked)), install)
    assert (found is not None) == refused
    if found is not None:
        assert (
            found.message
            == f'it asks for arch="{asked}", and the images of this installation are for {platform}'
        )
        assert f"--platform linux/{asked}" in found.hint


@pytest.mark.parametrize("cloud", ["aks", UNKNOWN])
def test_azure_s_nodes_are_known_by_their_machines(cloud: str) -> None:
    """learn.microsoft.com/azure/aks/use-labels, …/aks/gpu-cluster, …/aks/node-auto-provisioning-node-pools."""
    assert takes(choice(cloud, gpu="V100"), AKS_V100)
    assert not takes(choice(cloud, gpu="A100"), AKS_V100)
    assert takes(choice(cloud, gpu="A100"), AKS_NAP_A100)
    assert tolerates(choice(cloud, gpu="V100"), "sku", "gpu")
    assert not tolerates(choice(cloud, gpu="V100"), "sku", "other")


def test_azure_s_spot_nodes_are_chosen_and_their_taint_is_accepted() -> None:
    """learn.microsoft.com/azure/aks/spot-node-pool."""
    spot = choice("aks", spot=True)
    assert takes(spot, AKS_SPOT)
    assert not takes(spot, AKS_V100)
    assert tolerates(spot, "kubernetes.azure.com/scalesetpriority", "spot")


@pytest.mark.parametrize("cloud", ["plain", "eks", UNKNOWN])
def test_the_labels_of_nvidia_s_discovery_count_where_it_may_run(cloud: str) -> None:
    """github.com/NVIDIA/k8s-device-plugin/blob/main/docs/gpu-feature-discovery/README.md."""
    assert takes(choice(cloud, gpu="A100"), PLAIN_A100)
    assert takes(choice(cloud, gpu="A100-40GB"), PLAIN_A100)
    assert not takes(choice(cloud, gpu="A100-80GB"), PLAIN_A100)
    mine = PLAIN_A100 | {"nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-4090"}
    assert takes(choice(cloud, gpu="RTX 4090"), mine)


@pytest.mark.parametrize("cloud", ["plain", UNKNOWN])
def test_a_model_of_amd_is_another_resource(cloud: str) -> None:
    """github.com/ROCm/k8s-device-plugin, the labels of its node labeller."""
    place = choice(cloud, gpu="MI300X", gpus=8)
    assert takes(place, PLAIN_MI300X)
    assert place.extended == {"amd.com/gpu": "8"}
    assert tolerates(place, "amd.com/gpu", "present")


@pytest.mark.parametrize("cloud", ["plain", UNKNOWN])
def test_a_cluster_without_spot_nodes_takes_a_spot_step_all_the_same(cloud: str) -> None:
    assert takes(choice(cloud, spot=True), PLAIN)


def test_spot_nodes_are_preferred_where_nobody_knows_whose_they_are() -> None:
    affinity = choice(UNKNOWN, spot=True).affinity
    assert affinity is not None
    preferred = {
        (part.key, part.values[0])
        for one in affinity.node_affinity.preferred
        for part in one.preference.match_expressions
    }
    assert preferred == {
        ("karpenter.sh/capacity-type", "spot"),
        ("eks.amazonaws.com/capacityType", "SPOT"),
        ("cloud.google.com/gke-spot", "true"),
        ("kubernetes.azure.com/scalesetpriority", "spot"),
    }


def test_a_number_of_gpus_goes_to_any_node_that_has_them() -> None:
    place = choice("gke", gpus=2)
    assert (place.node_selector, place.affinity) == ({}, None)
    assert place.extended == {"nvidia.com/gpu": "2"}


def test_a_step_without_words_says_nothing_about_nodes() -> None:
    assert placing(Resources(), "gke") == Placing()


@pytest.mark.parametrize(
    ("labels", "cloud"),
    [
        ([PLAIN, GKE_ARM], "gke"),
        ([AKS_NAP_A100], "aks"),
        ([KARPENTER_L4], "eks"),
        ([NODE_GROUP_A10G_SPOT], "eks"),
        ([PLAIN, PLAIN_A100], "plain"),
        ([], ""),
    ],
)
def test_nodes_tell_their_cloud(labels: list[Labels], cloud: str) -> None:
    assert cloud_of(labels) == cloud


@pytest.mark.parametrize(
    ("version", "server", "cloud"),
    [
        ("v1.33.4-gke.1350000", "https://34.118.1.2", "gke"),
        ("v1.34.1-eks-113cf36", "https://ABC.gr7.eu-west-1.eks.amazonaws.com", "eks"),
        ("v1.33.2", "https://team-dns-x1y2.hcp.westeurope.azmk8s.io:443", "aks"),
        ("v1.37.2", "https://10.0.0.1:6443", ""),
    ],
)
def test_an_api_server_tells_its_cloud_to_those_who_may_list_no_nodes(
    version: str, server: str, cloud: str
) -> None:
    assert cloud_at(version, server) == cloud


def test_words_reach_the_job_and_the_template_of_its_pod() -> None:
    install = Install(
        uid="0" * 32, namespace="team", version="1", image="r/f@sha256:" + "0" * 64, cloud="gke"
    )
    nodes = NodeChoice(gpu="L4", priority="high", queue="team-a", spot=True)
    wanted = HostPod(
        name="fw-1-s2-a1",
        command=("python",),
        resources=Resources(gpu=1, disk=2**30, nodes=nodes),
        run="1",
    )
    job = msgspec.to_builtins(pods.job(wanted, install))
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    template = job["spec"]["template"]
    assert template["spec"]["priorityClassName"] == "high"
    assert template["spec"]["nodeSelector"]["cloud.google.com/gke-accelerator"] == "nvidia-l4"
    assert template["metadata"]["annotations"]["fairway.dev/nodes"] == 'gpu="L4", spot=True'
    limits = template["spec"]["containers"][0]["resources"]["limits"]
    assert (limits["nvidia.com/gpu"], limits["ephemeral-storage"]) == ("1", "1Gi")

"""The nodes of a cluster in words."""

from typing import Any

import msgspec
import pytest

from fairway.cluster import node_views
from fairway.cluster.node_views import NodeView


def node(gpus: int = 0, taints: tuple[str, ...] = (), **labels: str) -> NodeView:
    """Return a node. A taint is written as `key=value:effect`."""

    def taint(text: str) -> dict[str, str]:
        rest, _, effect = text.rpartition(":")
        key, _, value = rest.partition("=")
        return {"key": key, "value": value, "effect": effect}

    body: dict[str, Any] = {
        "metadata": {"labels": {"kubernetes.io/arch": "amd64"} | labels},
        "spec": {"taints": [taint(text) for text in taints]},
        "status": {"allocatable": {"cpu": "4"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {})},
    }
    return msgspec.convert(body, NodeView)


L4 = {"cloud.google.com/gke-accelerator": "nvidia-l4", "cloud.google.com/gke-spot": "true"}


def test_gpus_are_named_with_their_models_and_the_taints_before_them() -> None:
    taints = ("nvidia.com/gpu=present:NoSchedule", "node.kubernetes.io/unreachable:NoExecute")
    nodes = [node(), node(2, taints, **L4), node(1, (), **L4), node(8)]
    assert node_views.gpus_in_words(nodes) == (
        "8 nvidia.com/gpu (a model that no label tells), 3 nvidia.com/gpu (nvidia-l4) on 3 of 4 nodes, "
        "behind the taints nvidia.com/gpu=present:NoSchedule"
    )
    assert node_views.foreign_taints(nodes) == []


def test_a_taint_that_no_step_accepts_is_named_only_where_gpus_are() -> None:
    own = ("team=vision:NoSchedule", "sku=cpu:NoSchedule", "sku=gpu:NoSchedule", "mild:PreferNoSchedule")
    nodes = [node(1, own), node(0, ("other:NoSchedule",))]
    assert node_views.foreign_taints(nodes) == ["sku=cpu:NoSchedule", "team=vision:NoSchedule"]


def test_a_cluster_without_gpus_has_no_words_for_them() -> None:
    assert node_views.gpus_in_words([node()]) == ""


def test_nodes_are_told_by_architecture_and_cloud() -> None:
    arm = {"kubernetes.io/arch": "arm64"}
    assert node_views.in_words([node(), node(**L4), node(**arm)]) == (
        "2 amd64, 1 arm64, 1 of them spot; labels of Google GKE"
    )
    assert node_views.in_words([node()]) == "1 amd64; labels of no known cloud"


@pytest.mark.parametrize(
    ("architectures", "platform"),
    [
        (("arm64", "arm64"), "linux/arm64"),
        (("amd64",), "linux/amd64"),
        (("amd64", "arm64"), ""),
        (("riscv64",), ""),
        ((), ""),
    ],
    ids=str,
)
def test_nodes_of_one_architecture_have_one_platform(architectures: tuple[str, ...], platform: str) -> None:
    assert node_views.platform_of({"kubernetes.io/arch": one} for one in architectures) == platform
    assert node_views.platform_of([{}]) == ""

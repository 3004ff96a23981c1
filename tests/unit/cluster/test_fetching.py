"""Pods that fetch packages before their host starts."""

from typing import Any

import msgspec
import pytest

from fairway.cluster import pods
from fairway.cluster.pods import HostPod
from fairway.spec.install import Install
from fairway.spec.layers import LayerList, LayerReference, StoredLayer, parse_reference
from fairway.spec.quantities import Resources

IMAGE = "r.example/fairway@sha256:" + "0" * 64
INSTALL = Install(uid="0" * 32, namespace="team", version="1", image=IMAGE)
REFERENCE = LayerReference("a" * 64, 3 * 2**30)


def spec(image: str, **asked: Any) -> Any:
    wanted = HostPod(name="fw-1", command=("python",), resources=Resources(**asked), run="1", image=image)
    return msgspec.to_builtins(pods.host_pod(wanted, INSTALL))["spec"]


def test_a_pod_with_an_image_of_its_own_fetches_nothing() -> None:
    other = IMAGE.replace("fairway", "fairway-env")
    assert "initContainers" not in spec(other)
    assert spec(other)["containers"][0]["image"] == other


def test_a_pod_with_a_reference_fetches_the_packages_into_a_volume_of_their_size() -> None:
    found = spec(str(REFERENCE), gpu=2, disk=2**30)
    (fetch,), (host,) = found["initContainers"], found["containers"]
    assert fetch["image"] == host["image"] == IMAGE
    assert list(fetch["command"][-4:]) == ["--list", "a" * 64, "--to", "/opt/fairway/env"]
    assert "http://fairway.team.svc:7700" in fetch["command"]
    (volume,) = (one for one in found["volumes"] if one["name"] == "packages")
    assert volume["emptyDir"] == {"sizeLimit": str(3 * 2**30)}
    mounted = {"name": "packages", "mountPath": "/opt/fairway/env"}
    assert mounted in fetch["volumeMounts"]
    assert mounted | {"readOnly": True} in host["volumeMounts"]
    assert fetch["securityContext"] == host["securityContext"]
    assert fetch["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_the_packages_take_nothing_of_the_disk_of_the_step_and_no_gpu() -> None:
    found = spec(str(REFERENCE), gpu=2, disk=2**30)
    (fetch,), (host,) = found["initContainers"], found["containers"]
    assert host["resources"]["limits"]["ephemeral-storage"] == str(4 * 2**30)
    assert host["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in fetch["resources"]["limits"] | fetch["resources"]["requests"]


@pytest.mark.parametrize("text", [IMAGE, "", "layers:abc:1", f"layers:{'a' * 64}", f"layers:{'a' * 64}:0"])
def test_only_a_whole_reference_is_one(text: str) -> None:
    assert parse_reference(text) is None


def test_a_reference_is_read_as_it_was_written() -> None:
    assert parse_reference(str(REFERENCE)) == REFERENCE


def test_the_room_holds_the_files_and_the_largest_archive() -> None:
    def layer(size: int, unpacked: int) -> StoredLayer:
        return StoredLayer(digest="", size=size, unpacked=unpacked, parts=())

    listed = LayerList(python="3.11", layers=(layer(10, 100), layer(50, 200)))
    assert listed.room >= 2 * 300 + 50

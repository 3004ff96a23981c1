"""The configuration of the lab's programs, as files and flags."""

import json
import tarfile
import tomllib
from pathlib import Path

import pytest

from lab import audit, control_plane, images, node
from lab.places import Addresses
from lab.volumes import is_waiting, volume_for

THERE = Addresses(1)


def test_the_configuration_of_containerd_is_toml_with_the_nodes_own_folders() -> None:
    settings = tomllib.loads(node.containerd_config(Path("/lab/n2")))
    registry = settings["plugins"]["io.containerd.cri.v1.images"]["registry"]
    assert registry == {"config_path": "/lab/n2/certs.d"}
    assert settings["plugins"]["io.containerd.cri.v1.runtime"]["restrict_oom_score_adj"] is True


def test_the_kubelet_stays_in_the_group_of_its_node() -> None:
    settings = node.kubelet_config(Path("/lab/n2"), "/k8s-fw/n2", THERE)
    assert settings["cgroupRoot"] == "/k8s-fw/n2"
    assert settings["clusterDNS"] == ["10.97.0.10"]


def test_every_program_is_told_the_networks_of_its_block() -> None:
    flags = control_plane.api_server_flags(THERE)
    assert {"--advertise-address=10.251.0.1", "--service-cluster-ip-range=10.97.0.0/16"} <= set(flags)
    init, cluster = map(json.loads, control_plane.kubeadm_config(THERE).split("---"))
    assert init["localAPIEndpoint"]["advertiseAddress"] == "10.251.0.1"
    assert cluster["networking"]["podSubnet"] == "10.245.0.0/16"
    assert node.proxy_config("n1", THERE)["clusterCIDR"] == "10.245.0.0/16"


def test_the_certificate_of_the_api_server_holds_for_the_fault_proxy() -> None:
    cluster = json.loads(control_plane.kubeadm_config(THERE).split("---")[1])
    assert {"127.0.0.1", "10.251.0.254"} <= set(cluster["apiServer"]["certSANs"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Files of a small image."""
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "tool").write_text("x")
    return root


def test_equal_files_make_equal_images(root: Path, tmp_path: Path) -> None:
    made = []
    for name in ("a.tar", "b.tar"):
        images.write_archive(tmp_path / name, "example.org/tool:1", root, {"Cmd": ["/bin/tool"]})
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


def test_every_blob_of_an_image_is_named_by_its_digest(root: Path, tmp_path: Path) -> None:
    images.write_archive(tmp_path / "a.tar", "example.org/tool:1", root, {"Cmd": ["/bin/tool"]})
    with tarfile.open(tmp_path / "a.tar") as tar:
        blobs = {
            member.name: tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if member.name.startswith("blobs/")
        }
    assert len(blobs) == 3
    assert all(images._blob_path(images._digest(content)) == name for name, content in blobs.items())


def test_a_record_of_the_audit_log_names_the_impersonated_user_and_the_subresource() -> None:
    record = {
        "verb": "create",
        "requestURI": "/api/v1/namespaces/team/pods/x/exec?command=ls",
        "user": {"username": "admin"},
        "impersonatedUser": {"username": "ada"},
        "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "team", "name": "x"},
        "responseStatus": {"code": 403},
        "annotations": {"authorization.k8s.io/decision": "forbid"},
    }
    call = audit.parsed(record)
    assert (call.user, call.verb, call.resource, call.status) == ("ada", "create", "pods/exec", 403)
    assert not call.allowed


CLAIM = {
    "metadata": {"namespace": "team", "name": "store", "uid": "1-2"},
    "spec": {
        "storageClassName": "standard",
        "accessModes": ["ReadWriteOncePod"],
        "resources": {"requests": {"storage": "1Gi"}},
    },
    "status": {"phase": "Pending"},
}


def test_a_volume_is_bound_to_the_claim_that_waits_for_it() -> None:
    volume = volume_for(CLAIM, Path("/lab/volumes/pvc-1-2"))
    assert volume["spec"]["claimRef"]["uid"] == "1-2"
    assert volume["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert volume["metadata"]["name"] == "pvc-1-2"


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"phase": "Bound"}},
        {"spec": {**CLAIM["spec"], "volumeName": "mine"}},
        {"spec": {**CLAIM["spec"], "storageClassName": "other"}},
        {"metadata": {**CLAIM["metadata"], "deletionTimestamp": "now"}},
    ],
)
def test_only_a_claim_that_waits_for_this_class_gets_a_volume(change: dict[str, object]) -> None:
    assert is_waiting(CLAIM)
    assert not is_waiting({**CLAIM, **change})

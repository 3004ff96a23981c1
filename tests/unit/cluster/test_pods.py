"""The pods of runs."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.cluster import pods
from fairway.cluster.pods import HostPod
from fairway.spec.install import Install
from fairway.spec.quantities import Resources, parse_cpu, parse_memory

INSTALL = Install(
    uid="0123456789abcdef" * 2,
    namespace="team",
    version="0.1.0",
    image="registry.example/fairway@sha256:" + "a" * 64,
    owner="the-uid",
)


def some(**changes: object) -> HostPod:
    """Return a pod that is wanted."""
    wanted = HostPod(
        name="fw-01234567-d-a1",
        command=("python", "-m", "fairway.runner.pod"),
        resources=Resources(),
        run="01234567",
        run_name="brave-otter-7",
    )
    return msgspec.structs.replace(wanted, **changes)


def plain(value: object) -> dict:
    """Return an object as a client sends it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def container(wanted: HostPod) -> dict:
    """Return the only container of a pod."""
    (found,) = plain(pods.host_pod(wanted, INSTALL))["spec"]["containers"]
    return found


def test_a_job_makes_one_pod_and_never_a_second_one() -> None:
    document = plain(pods.job(some(), INSTALL))
    spec = document["spec"]
    assert (document["apiVersion"], document["kind"]) == ("batch/v1", "Job")
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["podFailurePolicy"] == {
        "rules": [
            {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }


def test_a_job_is_owned_by_the_installation_and_bears_its_labels() -> None:
    metadata = plain(pods.job(some(step="train"), INSTALL))["metadata"]
    assert metadata["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "fairway-install", "uid": "the-uid"}
    ]
    assert metadata["labels"]["fairway.dev/install"] == "01234567"
    assert metadata["labels"]["fairway.dev/run"] == "01234567"
    assert metadata["labels"]["fairway.dev/host"] == "fw-01234567-d-a1"
    assert metadata["annotations"]["fairway.dev/run-name"] == "brave-otter-7"
    assert metadata["annotations"]["fairway.dev/step"] == "train"


def test_every_pod_of_an_installation_gets_nodes_that_its_images_are_for() -> None:
    arm = msgspec.structs.replace(INSTALL, platform="linux/arm64")
    spec = plain(pods.job(some(), arm))["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert {
        "key": "kubernetes.io/arch",
        "operator": "Equal",
        "value": "arm64",
        "effect": "NoSchedule",
    } in spec["tolerations"]
    assert "nodeSelector" not in plain(pods.host_pod(some(), INSTALL))["spec"]


def test_names_of_people_stand_in_annotations_only() -> None:
    wanted = some(run_name="Ein Lauf / 7", step="naïve step " * 40)
    metadata = plain(pods.host_pod(wanted, INSTALL))["metadata"]
    assert "Ein Lauf / 7" not in metadata["labels"].values()
    assert metadata["annotations"]["fairway.dev/run-name"] == "Ein Lauf / 7"


def test_a_pod_gets_no_token_but_the_one_that_proves_its_name() -> None:
    spec = plain(pods.host_pod(some(), INSTALL))["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["serviceAccountName"] == "fairway-step"
    tokens = [volume for volume in spec["volumes"] if "projected" in volume]
    assert tokens == [
        {
            "name": "token",
            "projected": {
                "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}],
            },
        }
    ]


def test_a_pod_passes_restricted() -> None:
    spec = plain(pods.host_pod(some(), INSTALL))["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsUser": 65532,
        "runAsGroup": 65532,
    }
    assert container(some())["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_cluster_may_choose_the_user() -> None:
    install = msgspec.structs.replace(INSTALL, user=0)
    security = plain(pods.host_pod(some(), install))["spec"]["securityContext"]
    assert "runAsUser" not in security


def test_what_is_asked_for_is_requested_and_limited() -> None:
    resources = container(some(resources=Resources(cpu=1.5, memory=3 * 2**30, gpu=2)))["resources"]
    assert resources["requests"] == {
        "cpu": "1500m",
        "memory": "3Gi",
        "ephemeral-storage": "1Gi",
        "nvidia.com/gpu": "2",
    }
    assert resources["limits"] == resources["requests"] | {"ephemeral-storage": "10Gi"}


def test_a_step_without_an_amount_of_memory_gets_the_driver_s() -> None:
    resources = container(some(resources=Resources(cpu=0)))["resources"]
    assert resources["limits"]["memory"] == "1Gi"
    assert resources["limits"]["cpu"] == "10m"


def test_disk_that_is_asked_for_is_reserved() -> None:
    resources = container(some(resources=Resources(disk=5 * 2**30)))["resources"]
    assert resources["requests"]["ephemeral-storage"] == resources["limits"]["ephemeral-storage"] == "5Gi"


def test_shared_memory_grows_with_the_pod() -> None:
    spec = plain(pods.host_pod(some(resources=Resources(memory=8 * 2**30)), INSTALL))["spec"]
    (shm,) = (volume for volume in spec["volumes"] if volume["name"] == "shm")
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "4Gi"}


def test_only_pods_with_gpus_go_to_nodes_that_are_kept_for_them() -> None:
    def keys(wanted: HostPod) -> set[str]:
        spec = plain(pods.host_pod(wanted, INSTALL))["spec"]
        return {toleration["key"] for toleration in spec["tolerations"]}

    away = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert keys(some()) == away
    assert keys(some(resources=Resources(gpu=1))) == away | {"nvidia.com/gpu", "amd.com/gpu", "sku"}


def test_a_user_without_a_password_entry_has_a_home_and_a_name_and_texts_have_one_hash() -> None:
    variables = {one["name"]: one["value"] for one in container(some(environment={"A": "1"}))["env"]}
    assert variables == {
        "A": "1",
        "HOME": "/tmp/home",
        "LOGNAME": "fairway",
        "PYTHONHASHSEED": "0",
        "TMPDIR": "/tmp",
        "USER": "fairway",
    }


def test_a_deadline_is_the_pod_s_so_that_its_log_stays() -> None:
    document = plain(pods.job(some(deadline=90), INSTALL))
    assert "activeDeadlineSeconds" not in document["spec"]
    assert document["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 90


@pytest.mark.parametrize(
    ("cores", "written"),
    [(1.0, "1"), (2, "2"), (0.5, "500m"), (1.5, "1500m"), (0.0001, "1m"), (0.1 + 0.2, "300m"), (16.0, "16")],
)
def test_cores_are_written_as_kubernetes_writes_them(cores: float, written: str) -> None:
    assert pods.format_cpu(cores) == written


@given(st.floats(0.001, 10_000))
def test_a_pod_never_has_fewer_cores_than_it_asked_for(cores: float) -> None:
    assert parse_cpu(pods.format_cpu(cores)) >= cores - 1e-6


@given(st.integers(1, 2**53))
def test_bytes_are_written_exactly(size: int) -> None:
    assert parse_memory(pods.format_bytes(size)) == size

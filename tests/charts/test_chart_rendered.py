"""The objects that Helm makes of the chart are those that Fairway itself makes."""

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from fairway.cli.installing import namespace_uid
from fairway.cluster import manifests, placing, pods
from fairway.cluster.manifests import Settings
from fairway.cluster.preflight import with_cache
from fairway.spec import install as spec
from fairway.spec.install import DriverSize, Install, StepPods
from fairway.spec.quantities import Resources
from lab.helm import CHART, Helm

IMAGE = "registry.example/fairway@sha256:" + "a" * 64
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
OWN = ("helm.sh/chart", "app.kubernetes.io/managed-by")
NAMESPACED = {
    "ConfigMap",
    "Deployment",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
}
CLUSTERS = sorted((CHART / "ci").glob("*-values.yaml"))

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing else": ({}, {}, {}),
    "a size in gibibytes": ({"size": "25Gi"}, {"size": 25 * 2**30}, {}),
    "a size in tebibytes": ({"size": "2Ti"}, {"size": 2 * 2**40}, {}),
    "a size in bytes": ({"size": "1500000001"}, {"size": 1_500_000_001}, {}),
    "a size as a number": ({"size": 12_000_000_000}, {"size": 12_000_000_000}, {}),
    "a storage class": ({"storageClass": "fast"}, {"storage_class": "fast"}, {}),
    "a volume for one node": ({"access": "ReadWriteOnce"}, {"access": "ReadWriteOnce"}, {}),
    "no volume": ({"ephemeral": True}, {"ephemeral": True}, {}),
    "no volume, of an odd size": (
        {"ephemeral": True, "size": "1537Ki"},
        {"ephemeral": True, "size": 1537 * 2**10},
        {},
    ),
    "secrets": ({"pullSecrets": ["one", "two"]}, {}, {"pull_secrets": ("one", "two")}),
    "a registry": ({"registry": "http://registry.local:5000/ml"}, {}, {"registry": "http://registry.local:5000/ml"}),
    "a large driver": (
        {"driver": {"cpu": 4, "memory": "16Gi"}},
        {},
        {"driver": DriverSize(cpu=4.0, memory="16Gi")},
    ),
    "a small driver": (
        {"driver": {"cpu": 0.25, "memory": "512Mi"}},
        {},
        {"driver": DriverSize(cpu=0.25, memory="512Mi")},
    ),
    "a driver whose size is a text": (
        {"driver": {"cpu": "0.5", "memory": "1Gi"}},
        {},
        {"driver": DriverSize(cpu=0.5)},
    ),
    "a store in S3": (
        {"store": "s3://bucket/prefix?region=eu-central-1", "size": "20Gi"},
        {"size": 20 * 2**30},
        {"store": "s3://bucket/prefix?region=eu-central-1"},
    ),
    "a small volume beside S3": (
        {"store": "s3://bucket", "size": "1Mi"},
        {"size": 2**20},
        {"store": "s3://bucket"},
    ),
    "an identity of AWS": (
        {"store": "s3://bucket", "storeIdentity": "arn:aws:iam::123456789012:role/fairway"},
        {"store_identity": "arn:aws:iam::123456789012:role/fairway"},
        {"store": "s3://bucket"},
    ),
    "an identity of Google": (
        {"store": "gs://bucket", "storeIdentity": "fairway@acme.iam.gserviceaccount.com"},
        {"store_identity": "fairway@acme.iam.gserviceaccount.com"},
        {"store": "gs://bucket"},
    ),
    "an identity of Azure": (
        {"store": "az://bucket", "storeIdentity": "01234567-0123-0123-0123-0123456789ab"},
        {"store_identity": "01234567-0123-0123-0123-0123456789ab"},
        {"store": "az://bucket"},
    ),
    "Azure without an identity": ({"store": "az://bucket"}, {}, {"store": "az://bucket"}),
    "a secret of the store": (
        {"store": "s3://bucket", "storeSecret": "keys"},
        {"store_secret": "keys"},
        {"store": "s3://bucket"},
    ),
    "a copy of the log": (
        {"store": "s3://bucket", "restoreFrom": "newest"},
        {},
        {"store": "s3://bucket", "restore": "newest"},
    ),
    "a cloud": ({"cloud": "aks"}, {}, {"cloud": "aks"}),
    "a platform": ({"platform": "linux/arm64"}, {}, {"platform": "linux/arm64"}),
    "few pods": ({"stepPods": {"most": 8, "kept": 0}}, {}, {"pods": StepPods(most=8, kept=0.0)}),
    "pods kept for a part of a second": (
        {"stepPods": {"most": 64, "kept": 0.5}},
        {},
        {"pods": StepPods(kept=0.5)},
    ),
    "any user": ({"user": 0}, {}, {"user": 0}),
    "a large user": ({"user": 1_000_710_000}, {}, {"user": 1_000_710_000}),
    "labels": ({"podLabels": {"a.example/b": "true", "c": ""}}, {}, {"pod_labels": {"a.example/b": "true", "c": ""}}),
    "certificates": ({"trust": "corp"}, {}, {"trust": "corp"}),
    "an identity": ({"uid": "0123456789abcdef" * 2}, {}, {"uid": "0123456789abcdef" * 2}),
    "everything": (
        {
            "size": "3Mi", "storageClass": "fast", "access": "ReadWriteOnce", "pullSecrets": ["one"], "user": 7,
            "registry": "r.example", "driver": {"cpu": 1.5, "memory": "2Gi"}, "trust": "corp", "podLabels": {"a": "b"},
        },
        {"size": 3 * 2**20, "storage_class": "fast", "access": "ReadWriteOnce"},
        {
            "pull_secrets": ("one",), "user": 7, "registry": "r.example", "trust": "corp",
            "driver": DriverSize(cpu=1.5, memory="2Gi"), "pod_labels": {"a": "b"},
        },
    ),
}  # fmt: skip
"""Values of the chart, and the same as settings: of the installation, and of what every process reads."""


def settings(changes: dict[str, Any], install: dict[str, Any]) -> Settings:
    """Return the settings of an installation in the namespace `team`."""
    plain = Install(uid=namespace_uid("team"), namespace="team", version=VERSION, image=IMAGE)
    return with_cache(Settings(install=msgspec.structs.replace(plain, **install), **changes))


def key(one: dict[str, Any]) -> tuple[str, str]:
    """Return kind and name of an object."""
    return one["kind"], one["metadata"]["name"]


def without_helm(objects: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return objects by kind and name, without the labels and annotations that are Helm's."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in objects:
        metadata = one["metadata"]
        if "helm.sh/hook" in metadata.get("annotations", {}):
            continue
        metadata["labels"] = {name: text for name, text in metadata["labels"].items() if name not in OWN}
        metadata["annotations"].pop("helm.sh/resource-policy", None)
        found[key(one)] = one
    return found


def rendered(helm: Helm, folder: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of the chart for some values."""
    file = folder / "values.json"
    file.write_text(json.dumps({"image": IMAGE, **values}), "utf-8")
    return helm.rendered("--values", str(file))


@pytest.mark.parametrize("case", CASES)
def test_helm_and_fairway_make_equal_objects(case: str, helm: Helm, tmp_path: Path) -> None:
    values, changes, install = CASES[case]
    own = msgspec.json.decode(msgspec.json.encode(manifests.render(settings(changes, install))))
    assert without_helm(rendered(helm, tmp_path, values)) == without_helm(own)


@pytest.mark.parametrize("file", CLUSTERS, ids=lambda file: file.stem)
def test_the_values_for_a_cluster_are_valid_and_make_objects_of_the_namespace(file: Path, helm: Helm) -> None:
    told = helm("lint", str(CHART), "--strict", "--values", str(file))
    assert "0 chart(s) failed" in told
    assert "[WARNING]" not in told
    objects = helm.rendered("--values", str(file))
    assert {one["kind"] for one in objects} == NAMESPACED
    assert {one["metadata"]["namespace"] for one in objects} == {"team"}
    assert [key(one) for one in objects if "helm.sh/hook" in one["metadata"].get("annotations", {})] == [
        ("Pod", "fairway-test")
    ]


def test_there_are_values_for_every_sort_of_cluster() -> None:
    named = {file.name.removesuffix("-values.yaml") for file in CLUSTERS}
    assert named == {"aks", "air-gapped", "eks", "gke", "kubeadm", "minikube", "openshift", "private-ca"}


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the specs of the pods that objects make, and the one of a run's pod."""
    (config,) = (one for one in objects if one["kind"] == "ConfigMap")
    install = spec.decode(config["data"]["install.json"])
    wanted = pods.HostPod(name="fw-1-d-a1", command=("x",), resources=Resources(cpu=1, memory=2**30), run="1")
    run = msgspec.json.decode(msgspec.json.encode(pods.host_pod(wanted, install)))
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    test = [one for one in objects if one["kind"] == "Pod"]
    return [deployment["spec"]["template"], run, *test]


def of_cluster(helm: Helm, name: str) -> list[dict[str, Any]]:
    """Return the objects for a sort of cluster."""
    return helm.rendered("--values", str(CHART / "ci" / f"{name}-values.yaml"))


def test_no_pod_on_openshift_names_a_user(helm: Helm) -> None:
    for pod in pod_specs(of_cluster(helm, "openshift")):
        security = pod["spec"]["securityContext"]
        assert security == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_pods_on_aks_have_the_label_that_gives_them_an_identity(helm: Helm) -> None:
    control_plane, run, _ = pod_specs(of_cluster(helm, "aks"))
    for pod in (control_plane, run):
        assert pod["metadata"]["labels"]["azure.workload.identity/use"] == "true"


@pytest.mark.parametrize(
    ("name", "annotation"),
    [
        ("eks", "eks.amazonaws.com/role-arn"),
        ("gke", "iam.gke.io/gcp-service-account"),
        ("aks", "azure.workload.identity/client-id"),
    ],
)
def test_runs_and_the_control_plane_have_identities_of_their_own_in_a_cloud(
    name: str, annotation: str, helm: Helm
) -> None:
    accounts = [one for one in of_cluster(helm, name) if one["kind"] == "ServiceAccount"]
    given = {one["metadata"]["name"]: one["metadata"]["annotations"].get(annotation, "") for one in accounts}
    found = {account: identity for account, identity in given.items() if identity}
    assert set(found) == {"fairway", "fairway-step"}
    assert found["fairway"] != found["fairway-step"]


def test_every_pod_trusts_the_certificates_of_a_private_authority(helm: Helm) -> None:
    control_plane, run, _ = pod_specs(of_cluster(helm, "private-ca"))
    for pod in (control_plane, run):
        (container,) = pod["spec"]["containers"]
        (volume,) = (one for one in pod["spec"]["volumes"] if one["name"] == "trust")
        (mount,) = (one for one in container["volumeMounts"] if one["name"] == "trust")
        named = {
            one["value"] for one in container["env"] if one["name"] in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        }
        assert volume["configMap"]["name"] == "corp-certificates"
        assert named == {f"{mount['mountPath']}/ca.crt"}


def test_the_control_plane_is_placed_as_the_values_say(helm: Helm, tmp_path: Path) -> None:
    gpu = {"key": "pool", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}
    term = {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["amd64"]}]}
    affinity = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    }
    values = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [gpu],
        "affinity": affinity,
        "priorityClassName": "high",
    }
    (deployment,) = (one for one in rendered(helm, tmp_path, values) if one["kind"] == "Deployment")
    found = deployment["spec"]["template"]["spec"]
    assert found["nodeSelector"] == {"disk": "fast"}
    assert found["affinity"] == affinity
    assert found["priorityClassName"] == "high"
    assert [one["key"] for one in found["tolerations"]] == [
        "pool",
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]


def test_the_volume_is_kept_unless_the_values_say_otherwise(helm: Helm, tmp_path: Path) -> None:
    def policy(values: dict[str, Any]) -> str:
        (claim,) = (one for one in rendered(helm, tmp_path, values) if one["kind"] == "PersistentVolumeClaim")
        return claim["metadata"]["annotations"].get("helm.sh/resource-policy", "")

    assert policy({}) == "keep"
    assert policy({"keepStore": False}) == ""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": ""}, "there is no image"),
        ({"image": "registry.example/fairway:0.1.0"}, "/image"),
        ({"imagee": "x"}, "additional properties 'imagee' not allowed"),
        ({"size": "10 GB"}, "/size"),
        ({"storeSecret": "keys"}, "the store is on a volume"),
        ({"restoreFrom": "newest"}, "the store is on a volume"),
        ({"store": "nfs://server"}, "/store"),
        ({"store": "gs://b", "storeIdentity": "arn:aws:iam::123456789012:role/fairway"}, "/storeIdentity"),
        ({"cloud": "mars"}, "/cloud"),
        ({"stepPods": {"most": 0}}, "/stepPods/most"),
        ({"size": 0}, "/size"),
        ({"driver": {"cpu": "two"}}, "/driver/cpu"),
        ({"driver": {"cpu": 0}}, "/driver/cpu"),
        ({"size": "100Ki"}, "a store of size 100Ki is too small"),
        ({"user": -1}, "/user"),
        ({"user": "root"}, "/user"),
        ({"access": "ReadWriteMany"}, "/access"),
        ({"uid": "mine"}, "/uid"),
        ({"pullSecrets": ["Not Allowed"]}, "/pullSecrets"),
        ({"podLabels": {"a": True}}, "/podLabels"),
        ({"accountAnnotations": {"fairway-steps": {}}}, "fairway-steps"),
        ({"driver": {"gpu": 1}}, "/driver"),
    ],
)
def test_values_that_make_no_installation_are_refused(
    values: dict[str, Any], said: str, helm: Helm, tmp_path: Path
) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps({"image": IMAGE, **values}), "utf-8")
    assert said in helm.fails("template", "fairway", str(CHART), "--values", str(file))


@pytest.mark.parametrize(
    ("version", "cloud"), [("1.33.4-gke.1036000", "gke"), ("1.33.4-eks-0123abc", "eks"), ("1.33.4", "")]
)
def test_the_cloud_is_told_by_the_version_of_the_cluster(version: str, cloud: str, helm: Helm) -> None:
    objects = helm.rendered("--set", f"image={IMAGE}", "--kube-version", version)
    (config,) = (one for one in objects if one["kind"] == "ConfigMap")
    assert spec.decode(config["data"]["install.json"]).cloud == cloud == placing.cloud_at(f"v{version}", "")


def test_an_older_kubernetes_is_refused(helm: Helm) -> None:
    told = helm.fails(
        "template", "fairway", str(CHART), "--set", f"image={IMAGE}", "--kube-version", "1.27.3"
    )
    assert "requires kubeVersion" in told


def test_every_value_has_a_comment_and_the_default_that_the_schema_names(helm: Helm) -> None:
    text = helm("show", "values", str(CHART))
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]
    lines = text.splitlines()
    bare = [
        line
        for above, line in itertools.pairwise(lines)
        if line.strip() and not line.lstrip().startswith("#") and not above.lstrip().startswith("#")
    ]
    assert sorted(bare) == ["driver:", "stepPods:"]
    for name, value in yaml.safe_load(text).items():
        inner = schema[name].get("properties", {})
        told = (
            {part: inner[part]["default"] for part in inner}
            if name in ("driver", "stepPods")
            else schema[name]["default"]
        )
        assert told == value

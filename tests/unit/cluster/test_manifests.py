"""The objects of an installation."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml as peer
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from fairway.cluster import manifests, pods, yaml
from fairway.cluster.kinds import Deployment, NetworkPolicy, Role, Service
from fairway.cluster.manifests import Settings, Source
from fairway.spec import install as spec
from fairway.spec.errors import UsageError
from fairway.spec.install import DriverSize, Install

GOLDEN = Path(__file__).with_name("rendered.yaml")
IMAGE = "registry.example/fairway@sha256:" + "a" * 64
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
NAMESPACED = {
    "ConfigMap",
    "Deployment",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
}

labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
installs = st.builds(
    Install,
    uid=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    namespace=labels,
    version=st.from_regex(
        r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(\.dev[0-9]+\+g[0-9a-f]{7,40})?", fullmatch=True
    ),
    image=st.just(IMAGE),
    driver=st.builds(DriverSize, cpu=st.floats(0.1, 64), memory=st.sampled_from(["512Mi", "1Gi", "64G"])),
    pull_secrets=st.lists(labels, max_size=3).map(tuple),
    owner=st.sampled_from(["", "5b1f6c1e-9a43-4a7e-8bd0-5f1c2f3a4b5c"]),
    user=st.sampled_from([0, 65532, 1000710000]),
    registry=st.sampled_from(["", "registry.example/ml"]),
    pod_labels=st.sampled_from([{}, {"a.example/b": "true"}]),
    trust=st.one_of(st.just(""), labels),
)
settings = st.builds(
    Settings,
    install=installs,
    size=st.integers(2**20, 2**50),
    storage_class=st.one_of(st.just(""), labels),
    access=st.sampled_from(["ReadWriteOncePod", "ReadWriteOnce"]),
    ephemeral=st.booleans(),
)


def some(**changes: object) -> Settings:
    """Return settings of an installation."""
    install = Install(uid="0123456789abcdef" * 2, namespace="team", version="0.1.0", image=IMAGE)
    return Settings(install=msgspec.structs.replace(install, **changes))


def plain(value: object) -> list[dict]:
    """Return objects as a client sends them."""
    return msgspec.json.decode(msgspec.json.encode(value))


def containers(document: object) -> list[dict]:
    """Return every container in a document."""
    if isinstance(document, list):
        return [found for inner in document for found in containers(inner)]
    if not isinstance(document, dict):
        return []
    here = [*document.get("containers", []), *document.get("initContainers", [])]
    return here + [found for inner in document.values() for found in containers(inner)]


def test_the_objects_are_those_that_were_reviewed() -> None:
    assert yaml.write(manifests.render(some())) == GOLDEN.read_text("utf-8")


def test_the_control_plane_gets_a_node_that_its_image_is_for() -> None:
    (deployment,) = (
        one for one in manifests.render(some(platform="linux/arm64")) if isinstance(one, Deployment)
    )
    pod = deployment.spec.template.spec
    assert pod.node_selector == {"kubernetes.io/arch": "arm64"}
    assert ("kubernetes.io/arch", "arm64") in {(one.key, one.value) for one in pod.tolerations}


@bounded(max_examples=30, deadline=None)
@given(settings)
def test_yaml_says_what_the_client_sends(wanted: Settings) -> None:
    objects = manifests.render(wanted)
    assert list(peer.safe_load_all(yaml.write(objects))) == plain(objects)


@bounded(max_examples=30, deadline=None)
@given(settings)
def test_nothing_is_cluster_wide_and_everything_lies_in_the_namespace(wanted: Settings) -> None:
    for one in plain(manifests.render(wanted)):
        assert one["kind"] in NAMESPACED
        assert one["metadata"]["namespace"] == wanted.install.namespace


@bounded(max_examples=30, deadline=None)
@given(settings)
def test_every_container_has_requests_and_limits_and_passes_restricted(wanted: Settings) -> None:
    found = containers(plain(manifests.render(wanted)))
    assert found
    for container in found:
        assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["requests"])
        assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"]["limits"])
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@bounded(max_examples=30, deadline=None)
@given(settings)
def test_names_and_labels_are_short_enough_for_kubernetes(wanted: Settings) -> None:
    for one in plain(manifests.render(wanted)):
        assert len(one["metadata"]["name"]) <= 63
        assert all(LABEL.fullmatch(value) for value in one["metadata"]["labels"].values())
        assert set(one["metadata"]["labels"]) == {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/managed-by",
            "fairway.dev/install",
        }


@bounded(max_examples=30, deadline=None)
@given(settings)
def test_the_selectors_are_the_same_in_every_installation_and_version(wanted: Settings) -> None:
    constant = {"app.kubernetes.io/name": "fairway", "app.kubernetes.io/instance": "fairway"}
    for one in manifests.render(wanted):
        if isinstance(one, Service):
            assert one.spec.selector == constant
        if isinstance(one, Deployment):
            assert one.spec.selector.match_labels == constant
            assert constant.items() <= one.spec.template.metadata.labels.items()
        if isinstance(one, NetworkPolicy):
            assert one.spec.pod_selector.match_labels == constant


@bounded(max_examples=30, deadline=None)
@given(settings)
def test_no_secret_is_read_and_no_variable_comes_from_elsewhere(wanted: Settings) -> None:
    document = msgspec.json.encode(manifests.render(wanted)).decode()
    assert not re.search(r"secretKeyRef|valueFrom|envFrom|\"secret\"|hostPath|privileged", document)


@bounded(max_examples=30, deadline=None)
@given(settings)
def test_settings_come_back_from_the_config_map(wanted: Settings) -> None:
    config = manifests.render(wanted)[0]
    assert manifests.read_settings(config.data) == wanted
    assert spec.decode(config.data["install.json"]) == wanted.install


def test_everything_but_the_volume_is_owned_by_the_config_map() -> None:
    first, *others = plain(manifests.render(some(owner="the-uid")))
    owned = {one["kind"] for one in others if one["metadata"].get("ownerReferences")}
    assert first["kind"] == "ConfigMap"
    assert owned == NAMESPACED - {"ConfigMap", "PersistentVolumeClaim"}
    assert {one["kind"] for one in others if not one["metadata"].get("ownerReferences")} == {
        "PersistentVolumeClaim"
    }


def test_without_an_owner_nothing_refers_to_one() -> None:
    assert all("ownerReferences" not in one["metadata"] for one in plain(manifests.render(some())))


def test_the_role_has_no_secrets_no_exec_and_no_wildcard() -> None:
    (role,) = (one for one in manifests.render(some()) if isinstance(one, Role))
    granted = {resource for rule in role.rules for resource in rule.resources}
    assert granted == {
        "configmaps", "deployments", "endpointslices", "events", "horizontalpodautoscalers", "jobs", "networkpolicies",
        "poddisruptionbudgets", "pods", "pods/log", "services",
    }  # fmt: skip
    assert not any("*" in (*rule.verbs, *rule.resources, *rule.api_groups) for rule in role.rules)


def test_only_the_control_plane_has_rights() -> None:
    objects = plain(manifests.render(some()))
    (binding,) = (one for one in objects if one["kind"] == "RoleBinding")
    accounts = [one for one in objects if one["kind"] == "ServiceAccount"]
    assert [subject["name"] for subject in binding["subjects"]] == ["fairway"]
    assert {one["metadata"]["name"] for one in accounts} == {
        "fairway",
        "fairway-viewer",
        "fairway-runner",
        "fairway-deployer",
        "fairway-step",
        "fairway-server",
    }
    assert all(one["automountServiceAccountToken"] is False for one in accounts)


def test_pods_of_runs_are_not_found_by_the_service_of_the_control_plane() -> None:
    wanted = pods.HostPod(name="fw-1-d-a1", command=("x",), resources=spec.Resources(), run="1")
    found = pods.labels(wanted, some().install)
    assert not manifests.SELECTOR.items() <= found.items()


def test_a_changed_installation_restarts_the_control_plane() -> None:
    def template(wanted: Settings) -> object:
        (one,) = (one for one in manifests.render(wanted) if isinstance(one, Deployment))
        return one.spec.template

    assert template(some()) == template(some())
    assert template(some()) != template(some(driver=DriverSize(memory="2Gi")))


def test_an_ephemeral_store_needs_no_volume() -> None:
    objects = plain(manifests.render(msgspec.structs.replace(some(), ephemeral=True)))
    assert not [one for one in objects if one["kind"] == "PersistentVolumeClaim"]
    (container,) = containers(objects)
    assert container["resources"]["limits"]["ephemeral-storage"] == "12Gi"


def test_all_pods_have_the_labels_of_the_installation_and_never_lose_their_own() -> None:
    wanted = some(pod_labels={"a.example/b": "true", "app.kubernetes.io/name": "other"})
    (deployment,) = (one for one in manifests.render(wanted) if isinstance(one, Deployment))
    run = pods.HostPod(name="fw-1-d-a1", command=("x",), resources=spec.Resources(memory=1), run="1")
    for made in (deployment.spec.template, pods.host_pod(run, wanted.install)):
        assert made.metadata.labels["a.example/b"] == "true"
        assert made.metadata.labels["app.kubernetes.io/name"] != "other"


def test_all_pods_trust_the_certificates_of_the_installation() -> None:
    run = pods.HostPod(name="fw-1-d-a1", command=("x",), resources=spec.Resources(memory=1), run="1")
    for wanted, there in ((some(trust="corp"), True), (some(), False)):
        (deployment,) = (one for one in manifests.render(wanted) if isinstance(one, Deployment))
        for made in (deployment.spec.template.spec, pods.host_pod(run, wanted.install).spec):
            text = msgspec.json.encode(made).decode()
            assert ('"configMap":{"name":"corp"' in text) is there
            assert ('"name":"SSL_CERT_FILE"' in text) is there


@pytest.mark.parametrize(
    ("registry", "insecure", "typed"),
    [
        ("", True, ""),
        ("r.example/ml", False, "r.example/ml"),
        ("r.example/ml", True, "http://r.example/ml"),
        ("http://r.example", True, "http://r.example"),
    ],
)
def test_a_registry_without_tls_is_remembered_with_its_scheme(
    registry: str, insecure: bool, typed: str
) -> None:
    assert Source(registry=registry, insecure=insecure).typed == typed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"namespace": "Team"}, "namespace"),
        ({"namespace": "a" * 64}, "namespace"),
        ({"namespace": "-a"}, "namespace"),
        ({"image": "registry.example/fairway:0.1.0"}, "digest"),
        ({"image": "fairway@sha256:abc"}, "digest"),
        ({"uid": "x"}, "uid"),
        ({"pull_secrets": ("Not Allowed",)}, "Secret"),
        ({"trust": "Not Allowed"}, "ConfigMap"),
    ],
)
def test_settings_that_no_cluster_accepts_are_refused(changes: dict, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        manifests.render(some(**changes))


@pytest.mark.parametrize("data", [{}, {"settings.json": "{}"}, {"settings.json": "[" * 100_000}])
def test_a_config_map_of_somebody_else_is_no_installation(data: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="does not describe an installation"):
        manifests.read_settings(data)


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, b"\xff"])
def test_a_text_that_is_no_installation_is_refused(text: str | bytes) -> None:
    with pytest.raises(UsageError, match="does not describe an installation"):
        spec.decode(text)


@pytest.mark.parametrize(
    ("store", "identity", "annotation"),
    [
        ("s3://models", "arn:aws:iam::123456789012:role/fairway", "eks.amazonaws.com/role-arn"),
        ("gs://models", "fairway@acme.iam.gserviceaccount.com", "iam.gke.io/gcp-service-account"),
        ("az://models", "0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f", "azure.workload.identity/client-id"),
    ],
)
def test_an_identity_is_that_of_the_control_plane_alone(store: str, identity: str, annotation: str) -> None:
    objects = plain(manifests.render(msgspec.structs.replace(some(store=store), store_identity=identity)))
    having = [
        (one["kind"], one["metadata"]["name"])
        for one in objects
        if annotation in one["metadata"].get("annotations", {})
    ]
    assert having == [("ServiceAccount", spec.SERVICE)]
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    labelled = "azure.workload.identity/use" in deployment["spec"]["template"]["metadata"]["labels"]
    assert labelled == store.startswith("az")


def test_another_identity_makes_another_pod() -> None:
    def template(identity: str) -> dict:
        settings = msgspec.structs.replace(some(store="s3://models"), store_identity=identity)
        return plain(manifests.render(settings))[-1]["spec"]["template"]

    first, second = (template(f"arn:aws:iam::123456789012:role/{name}") for name in ("one", "two"))
    assert first != second

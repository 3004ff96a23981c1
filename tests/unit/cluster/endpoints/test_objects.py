"""The objects of endpoints."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.cluster.endpoints import naming, objects
from fairway.cluster.endpoints.objects import Made
from fairway.cluster.podspec import OwnerReference
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Bounds, RevisionSpec, ServerLimits, WorkerSpec
from fairway.spec.install import Install

IMAGE = "registry.example/fairway@sha256:" + "a" * 64
INSTALL = Install(
    uid="ab" * 16, namespace="team", version="1", image=IMAGE, owner="u-1", pull_secrets=("pull",)
)
OWNER = OwnerReference(api_version="v1", kind="Service", name="churn", uid="u-2")


def revision(**changes: Any) -> RevisionSpec:
    """Return a revision of a function."""
    source = Artifact(format="folder", digest="0" * 64, size=1000, files=True)
    whole = RevisionSpec(endpoint="churn", number=3, function="churn", source=source, module="ep.py")
    return msgspec.structs.replace(whole, **changes)


def made(**changes: Any) -> Made:
    """Return a revision whose objects belong to a Service."""
    return Made(revision=revision(**changes), install=INSTALL, service=OWNER)


def plain(one: object) -> dict[str, Any]:
    """Return an object as it is sent."""
    return cast("dict[str, Any]", msgspec.json.decode(msgspec.json.encode(one)))


def pod(**changes: Any) -> dict[str, Any]:
    """Return the pod of a revision."""
    return cast("dict[str, Any]", plain(objects.deployment(made(**changes)))["spec"]["template"]["spec"])


def test_the_service_leads_to_the_pods_of_one_revision_alone() -> None:
    service, deployment = plain(objects.service(made())), plain(objects.deployment(made()))
    selector = service["spec"]["selector"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    other = plain(objects.deployment(made(number=4)))["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= other.items()
    assert (service["spec"]["ports"][0]["port"], service["spec"]["ports"][0]["targetPort"]) == (80, "http")


def test_the_installation_owns_the_service_and_the_service_owns_the_rest() -> None:
    assert plain(objects.service(made()))["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    rest = [
        objects.network_policy(made()), objects.config_map(made()), objects.deployment(made()),
        *objects.scaling(made(replicas=Bounds(2, 5))),
    ]  # fmt: skip
    assert {plain(one)["metadata"]["ownerReferences"][0]["uid"] for one in rest} == {"u-2"}


def test_no_pod_of_an_endpoint_is_taken_for_one_of_a_run_or_of_the_control_plane() -> None:
    for one in (objects.service(made()), objects.deployment(made()), objects.network_policy(made())):
        labels = plain(one)["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "fairway-endpoint"
        assert labels["fairway.dev/install"] == INSTALL.short
        assert "fairway.dev/run" not in labels


def test_a_pod_ends_late_enough_for_everybody_who_routes_and_for_its_requests() -> None:
    limits = ServerLimits(request_seconds=20.0, drain_seconds=10.0)
    spec = pod(limits=limits)
    (container,) = spec["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause == 5
    longest = max(limits.accepts_for(started) for started in (0.0, 3.0, 10_000.0))
    assert spec["terminationGracePeriodSeconds"] >= pause + longest + limits.request_seconds + 5
    strategy = plain(objects.deployment(made()))["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_a_pod_is_restricted_and_has_no_rights() -> None:
    spec = pod()
    (container,) = spec["containers"]
    assert spec["serviceAccountName"] == "fairway-server"
    assert spec["automountServiceAccountToken"] is spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
    assert {volume["name"] for volume in spec["volumes"]} == {"tmp", "cache", "spec", "token"}


def test_a_pod_runs_the_image_of_its_revision_or_that_of_the_installation() -> None:
    own = "registry.example/churn@sha256:" + "b" * 64
    assert pod(image=own)["containers"][0]["image"] == own
    assert pod()["containers"][0]["image"] == IMAGE


def test_a_pod_has_the_labels_certificates_and_nodes_that_the_installation_gives_to_all() -> None:
    install = msgspec.structs.replace(
        INSTALL, pod_labels={"team": "blue"}, trust="corporate", platform="linux/arm64"
    )
    found = plain(objects.deployment(Made(revision=revision(), install=install, service=OWNER)))
    template = found["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "blue"
    assert "corporate" in {one.get("configMap", {}).get("name") for one in template["spec"]["volumes"]}
    assert template["spec"]["nodeSelector"] == {"kubernetes.io/arch": "arm64"}
    assert ("kubernetes.io/arch", "arm64") in {
        (one["key"], one.get("value")) for one in template["spec"]["tolerations"]
    }
    alone = plain(objects.render(revision(), install)[3])
    assert "corporate" not in str(alone)


def test_the_server_is_told_all_it_needs_and_no_secret() -> None:
    settings = msgspec.json.decode(plain(objects.config_map(made()))["data"]["worker.json"], type=WorkerSpec)
    assert settings.revision == revision()
    assert settings.listen == ":8080"
    assert settings.routed
    assert settings.hosts == ("churn", "churn.team", "churn.team.svc")
    assert settings.store.startswith("served:http://fairway.team.svc:7700|/")
    assert settings.store.endswith("|/opt/fairway/served")


def test_connections_come_from_the_namespace_and_go_to_the_control_plane_and_name_servers_alone() -> None:
    spec = plain(objects.network_policy(made()))["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [
        {"ports": [{"protocol": "TCP", "port": 8080}], "from": [{"podSelector": {"matchLabels": {}}}]}
    ]
    names, plane = spec["egress"]
    assert {(port["port"], port["protocol"]) for port in names["ports"]} == {
        (port, kind) for port in (53, 5353) for kind in ("UDP", "TCP")
    }
    assert [port["port"] for port in plane["ports"]] == [7700]
    assert plane["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "fairway"


@pytest.mark.parametrize(
    ("bounds", "kinds"),
    [
        (Bounds(1, 1), []),
        (Bounds(2, 2), ["PodDisruptionBudget"]),
        (Bounds(1, 4), ["HorizontalPodAutoscaler"]),
        (Bounds(2, 4), ["HorizontalPodAutoscaler", "PodDisruptionBudget"]),
    ],
)
def test_bounds_have_an_autoscaler_and_two_pods_a_budget(bounds: Bounds, kinds: list[str]) -> None:
    assert [one.kind for one in objects.scaling(made(replicas=bounds))] == kinds


def test_nobody_but_the_autoscaler_says_how_many_pods_there_are() -> None:
    assert "replicas" not in plain(objects.deployment(made(replicas=Bounds(1, 4))))["spec"]
    assert plain(objects.deployment(made(replicas=Bounds(1, 1))))["spec"]["replicas"] == 1
    spec = plain(objects.scaling(made(replicas=Bounds(1, 4)))[0])["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 4)
    assert spec["metrics"][0]["containerResource"]["container"] == "server"
    assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_a_revision_that_takes_over_has_as_many_pods_as_the_one_before() -> None:
    taking_over = msgspec.structs.replace(made(replicas=Bounds(1, 4)), least=3)
    assert plain(objects.scaling(taking_over)[0])["spec"]["minReplicas"] == 3
    too_many = msgspec.structs.replace(made(replicas=Bounds(1, 4)), least=9)
    assert plain(objects.scaling(too_many)[0])["spec"]["minReplicas"] == 4


@given(st.integers(0, 2**40))
def test_the_memory_of_a_server_follows_from_what_it_serves(size: int) -> None:
    source = Artifact(format="folder", digest="0" * 64, size=size, files=True)
    amounts = objects.amounts(revision(source=source))
    assert amounts.requests["memory"] == amounts.limits["memory"]
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    number, unit = amounts.limits["memory"][:-2], amounts.limits["memory"][-2:]
    assert int(number) * units[unit] >= max(2**29, 3 * size)


def test_a_server_with_too_much_to_do_leaves_the_service_long_before_it_is_restarted() -> None:
    (container,) = pod()["containers"]
    patience = {
        name: container[name]["periodSeconds"] * container[name]["failureThreshold"]
        for name in ("readinessProbe", "livenessProbe")
    }
    assert patience["readinessProbe"] <= 10
    assert patience["livenessProbe"] >= 180


def test_plain_manifests_stand_alone_in_a_namespace_without_fairway() -> None:
    found = [plain(one) for one in objects.render(revision(replicas=Bounds(2, 3)), INSTALL)]
    assert [one["kind"] for one in found] == [
        "Service", "NetworkPolicy", "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget",
    ]  # fmt: skip
    assert all("ownerReferences" not in one["metadata"] for one in found)
    spec = found[3]["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "default"
    assert "token" not in {volume["name"] for volume in spec["volumes"]}
    assert "token" not in {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}


def test_objects_change_with_what_the_server_is_told() -> None:
    def told(trusted: bool) -> str:
        template = plain(objects.deployment(made(trusted=trusted)))["spec"]["template"]
        return str(template["metadata"]["annotations"]["fairway.dev/config"])

    assert told(True) != told(False)
    assert naming.ENDPOINT_NAME in plain(objects.service(made()))["metadata"]["annotations"]


def test_servers_fetch_packages_that_are_in_no_image_before_they_start() -> None:
    wanted = pod(image=f"layers:{'b' * 64}:1000")
    (fetch,), (server,) = wanted["initContainers"], wanted["containers"]
    assert (fetch["name"], fetch["image"], server["image"]) == ("packages", IMAGE, IMAGE)
    assert fetch["command"][-4:] == ["--list", "b" * 64, "--to", "/opt/fairway/env"]
    # The cluster refuses these for a container that runs before the others.
    assert not {"ports", "lifecycle", "startupProbe", "readinessProbe", "livenessProbe"} & fetch.keys()
    assert {"ports", "lifecycle", "startupProbe"} <= server.keys()
    (mount,) = [one for one in server["volumeMounts"] if one["mountPath"] == "/opt/fairway/env"]
    assert mount["readOnly"]

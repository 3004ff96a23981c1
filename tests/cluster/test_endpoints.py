"""Endpoints on a real cluster: what is deployed answers through its Service, and a change loses no request."""

import contextlib
import subprocess
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
from plane_here import push_image
from teams import FUNCTION, LABEL, OBJECTS, VISITORS, Team, answer, fairway, lost_nothing, until

from fairway.spec.errors import FairwayError
from fairway.spec.quantities import Bounds
from lab.kubectl import Kubectl, make_user

LONG = pytest.mark.thorough
POISON = "import fairway as fw\n\nraise ValueError('no such table')\n"


@pytest.mark.timeout(600, func_only=True)
def test_updates_and_rollbacks_under_load_lose_nothing(team: Team) -> None:
    first = team.deploy("churn", 10)
    status = first.status
    assert (status.serving, status.ready, status.phase) == (1, 1, "Running")
    assert status.address == f"http://churn.{team.kubectl.namespace}.svc"
    assert answer(team.address("churn"), 2) == 20

    with team.load("churn", keep=False) as fresh, team.load("churn", keep=True) as kept:
        second = team.deploy("churn", 100)
        assert (second.replaced, second.status.serving) == (1, 2)
        until(lambda: fresh.bodies[-1] == kept.bodies[-1] == b"200.0")
        back = team.ask(lambda platform: platform.rollback("churn"))
        assert back.status.serving == 1
        until(lambda: fresh.bodies[-1] == kept.bodies[-1] == b"20.0")
        until(lambda: len(team.kubectl.json("get", "pods", "-l", LABEL)["items"]) == 1)
    lost_nothing(fresh, kept)
    assert {*fresh.bodies, *kept.bodies} == {b"20.0", b"200.0"}


@pytest.mark.timeout(600, func_only=True)
def test_a_revision_that_never_becomes_ready_is_taken_back_with_its_own_words(team: Team) -> None:
    team.deploy("rate", 10)
    before = team.objects("rate")
    with team.load("rate", keep=False) as asked:
        with pytest.raises(FairwayError) as failure:
            team.serve("rate", POISON)
        until(lambda: team.objects("rate") == before)
        until(lambda: asked.sent > 100)
    assert "no such table" in str(failure.value)
    assert "ended" in str(failure.value)
    lost_nothing(asked)
    assert set(asked.bodies) == {b"20.0"}
    status = team.endpoint("rate")
    assert status is not None
    assert (status.serving, status.phase, status.others, status.crashing) == (1, "Running", 0, 0)
    team.undeploy("rate")
    assert team.endpoint("rate") is None


@pytest.mark.timeout(600, func_only=True)
@pytest.mark.parametrize(
    ("text", "image", "words"),
    [
        (POISON, "", "no such table"),
        pytest.param(
            "kept = [b'x' * 2**20 * n for n in range(1, 200)]\n", "", "it ran out of memory", marks=LONG
        ),
        pytest.param("import os\n\nos._exit(3)\n", "", "its server ended with status 3", marks=LONG),
        pytest.param(
            FUNCTION.format(name="first", factor=1),
            "{registry}/none@sha256:" + "0" * 64,
            "there is no image",
            marks=LONG,
        ),
    ],
    ids=["raises", "takes too much memory", "exits", "has no image"],
)
def test_a_first_revision_that_never_becomes_ready_says_why_and_leaves_nothing(
    team: Team, registry: str, text: str, image: str, words: str
) -> None:
    with pytest.raises(FairwayError, match=words):
        team.serve("first", text, image=image.format(registry=registry))
    until(lambda: team.objects("first") == [])
    assert team.endpoint("first") is None


@pytest.mark.timeout(600, func_only=True)
def test_a_service_that_belongs_to_somebody_else_is_left_alone(team: Team) -> None:
    team.kubectl("create", "service", "clusterip", "taken", "--tcp=80:80")
    before = team.kubectl.json("get", "service", "taken")["spec"]
    with pytest.raises(FairwayError, match="a Service taken in namespace"):
        team.deploy("taken", 1)
    assert team.kubectl.json("get", "service", "taken")["spec"] == before
    with pytest.raises(FairwayError, match="a Service fairway in namespace"):
        team.deploy("fairway", 1)


@pytest.mark.thorough
@pytest.mark.timeout(600, func_only=True)
def test_pods_that_are_deleted_are_replaced_before_clients_notice(team: Team) -> None:
    team.deploy("steady", 10)
    with team.load("steady", keep=False) as fresh, team.load("steady", keep=True) as kept:
        (pod,) = team.pods("steady")
        team.kubectl("delete", "pod", pod, "--wait=false")
        until(
            lambda: (
                (status := team.endpoint("steady")) is not None
                and status.ready == 1
                and pod not in team.pods("steady")
            )
        )
        until(lambda: pod not in team.kubectl("get", "pods", "-o", "name"))
    lost_nothing(fresh, kept)
    team.undeploy("steady")


@pytest.mark.timeout(600, func_only=True)
def test_an_endpoint_answers_without_the_control_plane_whose_death_ends_no_change(team: Team) -> None:
    team.deploy("lasting", 10)
    plane = (
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/name=fairway",
        "-o",
        "jsonpath={.items[*].metadata.name}",
    )
    killed = team.kubectl(*plane).split()
    with team.load("lasting", keep=False) as asked:
        with contextlib.suppress(FairwayError, urllib.error.URLError):
            _while_deploying(team, "lasting", killed)
        until(lambda: _is_settled(team, "lasting"), 180)
        until(lambda: asked.sent > 100)
    lost_nothing(asked)
    assert set(asked.bodies) <= {b"20.0", b"200.0"}
    assert len(team.pods("lasting")) == 1
    services = team.kubectl.json("get", "deployments", "-l", f"{LABEL}=lasting")["items"]
    assert len(services) == 1
    team.undeploy("lasting")


@pytest.mark.thorough
@pytest.mark.timeout(600, func_only=True)
def test_pods_come_and_go_within_the_bounds_and_a_budget_keeps_one_of_two(team: Team) -> None:
    status = team.deploy("wide", 10, Bounds(2, 3)).status
    assert (status.ready, status.workers) == (2, 2)
    named = {one.partition("/")[0].partition(".")[0] for one in team.objects("wide")}
    assert {"poddisruptionbudget", "horizontalpodautoscaler"} <= named
    (scaler,) = team.kubectl.json("get", "hpa", "-l", f"{LABEL}=wide")["items"]
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 3)
    nodes = {
        one["spec"]["nodeName"] for one in team.kubectl.json("get", "pods", "-l", f"{LABEL}=wide")["items"]
    }
    assert len(nodes) == 2
    # The autoscaler would take a third pod back that nobody but this test wants.
    team.kubectl("patch", "hpa", "fw-wide-r1", "--type=merge", "-p", '{"spec":{"minReplicas":3}}')
    until(lambda: (seen := team.endpoint("wide")) is not None and seen.ready == 3)
    with team.load("wide", keep=True) as kept:
        narrow = team.deploy("wide", 100, Bounds.exactly(1)).status
        until(lambda: kept.sent > 100)
    assert (narrow.serving, narrow.ready, narrow.workers) == (2, 1, 1)
    lost_nothing(kept)
    team.undeploy("wide")


@pytest.mark.thorough
@pytest.mark.timeout(900, func_only=True)
def test_endpoints_outlive_an_uninstall_that_keeps_them_and_a_later_one_removes_them(
    make_namespace: Callable[..., str], kubectl: Kubectl, registry: str, tmp_path: Path
) -> None:
    name = make_namespace()
    kubeconfig = make_user(kubectl, tmp_path, "admin", name)
    fairway(kubeconfig, name, "install", "--image", push_image(registry))
    team = Team(kubectl.inside(name), kubeconfig, tmp_path)
    team.kubectl.apply(VISITORS)
    team.deploy("churn", 10)
    with team.load("churn", keep=False) as asked:
        fairway(kubeconfig, name, "uninstall", "--yes", "--keep-endpoints")
        (pod,) = team.pods("churn")
        team.kubectl("delete", "pod", pod, "--wait=false")
        until(lambda: len(team.pods("churn")) == 1 and pod not in team.kubectl("get", "pods", "-o", "name"))
        until(lambda: asked.sent > 100)
    assert asked.bodies[-1] == b"20.0"
    assert team.kubectl(
        "get", "deployments,serviceaccounts", "-l", "app.kubernetes.io/name=fairway", "-o", "name"
    ).split() == ["serviceaccount/fairway-server"]
    fairway(kubeconfig, name, "uninstall", "--yes")
    until(
        lambda: (
            team.kubectl("get", f"{OBJECTS},serviceaccounts", "-l", "fairway.dev/install", "-o", "name") == ""
        )
    )


def _while_deploying(team: Team, name: str, killed: list[str]) -> None:
    """Kill the control plane in the middle of a change."""
    killer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _KILLER,
            team.kubectl.program,
            team.kubectl.kubeconfig,
            team.kubectl.namespace,
            name,
            *killed,
        ]
    )
    try:
        team.deploy(name, 100)
    finally:
        assert killer.wait(120) == 0


_KILLER = """
import subprocess, sys, time
program, kubeconfig, namespace, endpoint, *pods = sys.argv[1:]
kubectl = [program, "--kubeconfig", kubeconfig, "-n", namespace]
until = time.monotonic() + 60
while time.monotonic() < until:
    found = subprocess.run([*kubectl, "get", "deployments", "-l", "fairway.dev/endpoint=" + endpoint, "-o", "name"],
                           capture_output=True, text=True)
    if len(found.stdout.split()) > 1:
        sys.exit(subprocess.run([*kubectl, "delete", "pod", "--grace-period=0", "--force", *pods]).returncode)
    time.sleep(0.2)
sys.exit(1)
"""


def _is_settled(team: Team, name: str) -> bool:
    """Tell whether an endpoint is as it was or as it was wanted, and nothing else is left."""
    try:
        status = team.endpoint(name)
    except (FairwayError, OSError):
        return False
    return (
        status is not None and status.serving == status.wanted and status.ready == 1 and status.others == 0
        and len(team.kubectl.json("get", "pods", "-l", f"{LABEL}={name}")["items"]) == 1
    )  # fmt: skip

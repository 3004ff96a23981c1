"""Installing with Helm, by a user who may do everything in one namespace and nothing else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from plane_here import push_image

from cluster.person import Person
from lab.building import UnobtainableError, tool
from lab.helm import CHART, Helm
from lab.kubectl import Kubectl, MakeUser

KINDS = "deploy,rs,job,pod,svc,cm,pvc,sa,role,rolebinding,networkpolicy"
RECORDED = sorted((Path(__file__).parent / "charts").glob("*.tgz"))
PROJECT = """
import fairway as fw

@fw.task
def double(value: int) -> int:
    print("twice", value, "is", value * 2)
    return value * 2

@fw.pipeline
def main(value: int = 21) -> int:
    return double(value)
"""


@pytest.fixture(scope="session")
def program(cluster: object) -> str:
    """Helm, or a skip that says why it cannot be had."""
    try:
        return str(tool("helm"))
    except UnobtainableError as missing:
        pytest.skip(f"no helm: {missing}")


@pytest.fixture
def person(user: MakeUser, namespace: str, tmp_path: Path) -> Person:
    """A user who is `admin` in the namespace."""
    return Person(user("admin"), namespace, tmp_path)


@pytest.fixture
def helm(program: str, person: Person) -> Helm:
    """Helm of that user."""
    return Helm(home=person.home, kubeconfig=str(person.kubeconfig), namespace=person.namespace)


@pytest.fixture
def there(kubectl: Kubectl, namespace: str) -> Kubectl:
    """`kubectl` of an administrator in the namespace."""
    return kubectl.inside(namespace)


def place(helm: Helm, verb: str, image: str, *words: str, chart: Path = CHART) -> str:
    """Install or upgrade the release, wait until it is ready, and return what Helm printed."""
    return helm(verb, "fairway", str(chart), "--set", f"image={image}", "--wait", "--timeout", "180s", *words)


def left(there: Kubectl) -> set[str]:
    """Return the objects of Fairway in the namespace."""
    return set(there("get", KINDS, "-l", "fairway.dev/install", "-o", "name").split())


def starts(there: Kubectl) -> str:
    """Return how often the store has seen a control plane."""
    return there("logs", "deployment/fairway").strip()


def uid(there: Kubectl) -> str:
    """Return the identity of the installation."""
    return json.loads(there.json("get", "cm", "fairway-install")["data"]["install.json"])["uid"]


def settle(there: Kubectl) -> None:
    """Wait until the pods of an installation that was removed are gone."""
    there("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=fairway", "--timeout=90s")


def test_the_cluster_accepts_the_chart_strictly_and_under_restricted(
    helm: Helm, there: Kubectl, ready: str
) -> None:
    objects = helm.rendered("--set", f"image={ready},trust=corp,podLabels.a=b")
    for one in objects:
        if one["kind"] == "Pod":
            # A pod of an account that was only tried is refused.
            one["spec"]["serviceAccountName"] = "default"
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    judged = there("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=text)
    assert judged.count("(server dry run)") == len(objects)
    assert "Warning" not in judged


def test_what_helm_installs_is_left_to_helm_by_the_command_line(
    helm: Helm, person: Person, there: Kubectl, ready: str
) -> None:
    told = place(helm, "install", ready, "--set", "ephemeral=true")
    assert f"fairway target add team --namespace {person.namespace}" in told
    assert f"helm test fairway --namespace {person.namespace}" in told
    assert "Succeeded" in helm("test", "fairway", "--timeout", "120s")
    before = there.json("get", "deployment", "fairway")["metadata"]["resourceVersion"]

    upgrade = f"`helm upgrade fairway CHART --namespace {person.namespace} --reset-then-reuse-values`"
    assert upgrade in person.fails("install", "--image", ready)
    assert upgrade in person.fails("install", "--image", ready, "--dry-run")
    assert upgrade in person.fails("upgrade", "--image", ready)
    told = person.fails("uninstall", "--yes")
    assert f"`helm uninstall fairway --namespace {person.namespace}`" in told
    assert there.json("get", "deployment", "fairway")["metadata"]["resourceVersion"] == before

    told = helm.fails("install", "second", str(CHART), "--set", f"image={ready}")
    assert "already, as the release fairway" in told
    assert f"helm upgrade fairway CHART --namespace {person.namespace}" in told

    helm("uninstall", "fairway", "--wait")
    settle(there)
    assert left(there) == set()


@pytest.mark.thorough
def test_what_the_command_line_installs_is_not_taken_over_by_helm(
    helm: Helm, person: Person, there: Kubectl, ready: str
) -> None:
    person.does("install", "--image", ready, "--ephemeral")
    told = helm.fails("install", "fairway", str(CHART), "--set", f"image={ready}", "--take-ownership")
    assert "Helm did not install it" in told
    assert f"`fairway upgrade --namespace {person.namespace}`" in told
    assert "`fairway uninstall --keep-data" in told
    assert starts(there) == "starts 1"
    person.does("uninstall", "--yes")


@pytest.mark.thorough
def test_helm_upgrades_rolls_back_and_uninstalls_and_the_data_stays(
    helm: Helm, there: Kubectl, ready: str
) -> None:
    place(helm, "install", ready)
    first = uid(there)
    assert starts(there) == "starts 1"

    place(helm, "upgrade", ready, "--set", "driver.memory=2Gi")
    assert starts(there) == "starts 2"
    place(helm, "upgrade", ready, "--set", "driver.memory=2Gi")
    assert starts(there) == "starts 2"

    helm("rollback", "fairway", "1", "--wait", "--timeout", "180s")
    assert starts(there) == "starts 3"
    assert json.loads(there.json("get", "cm", "fairway-install")["data"]["install.json"])["driver"] == {
        "cpu": 1.0,
        "memory": "1Gi",
    }

    assert "kept due to the resource policy" in helm("uninstall", "fairway", "--wait")
    settle(there)
    assert left(there) == {"persistentvolumeclaim/fairway-store"}

    place(helm, "install", ready)
    assert starts(there) == "starts 4"
    assert uid(there) == first

    place(helm, "upgrade", ready, "--set", "keepStore=false")
    helm("uninstall", "fairway", "--wait")
    settle(there)
    there("wait", "--for=delete", "pvc/fairway-store", "--timeout=90s")
    assert left(there) == set()


@pytest.mark.thorough
def test_an_upgrade_that_does_not_become_ready_is_rolled_back(
    helm: Helm, there: Kubectl, ready: str, broken: str
) -> None:
    place(helm, "install", ready)
    helm.fails(
        "upgrade", "fairway", str(CHART), "--set", f"image={broken}", "--rollback-on-failure", "--timeout", "40s"
    )  # fmt: skip
    there("rollout", "status", "deployment/fairway", "--timeout=120s")
    assert starts(there) == "starts 2"


@pytest.mark.thorough
def test_the_volume_goes_over_from_the_command_line_to_helm_and_back(
    helm: Helm, person: Person, there: Kubectl, ready: str
) -> None:
    person.does("install", "--image", ready)
    first = uid(there)
    person.does("uninstall", "--keep-data")

    assert "invalid ownership metadata" in helm.fails(
        "install", "fairway", str(CHART), "--set", f"image={ready}"
    )
    place(helm, "install", ready, "--take-ownership", "--force-conflicts")
    assert starts(there) == "starts 2"
    assert uid(there) == first

    helm("uninstall", "fairway", "--wait")
    settle(there)
    person.does("install", "--image", ready)
    assert starts(there) == "starts 3"
    assert uid(there) == first
    person.does("uninstall", "--yes")
    assert left(there) == set()


@pytest.mark.thorough
@pytest.mark.parametrize("chart", RECORDED, ids=lambda chart: chart.stem)
def test_every_recorded_version_is_upgraded_to_this_one(
    chart: Path, helm: Helm, there: Kubectl, ready: str
) -> None:
    place(helm, "install", ready, chart=chart)
    place(helm, "upgrade", ready, "--reset-then-reuse-values")
    assert starts(there) in ("starts 1", "starts 2")


@pytest.mark.thorough
def test_a_target_at_what_helm_installed_runs_a_project(
    helm: Helm, person: Person, there: Kubectl, registry: str
) -> None:
    place(helm, "install", push_image(registry))
    assert "Succeeded" in helm("test", "fairway", "--timeout", "120s")
    project = replace(person, folder="shop")
    (person.home / "shop").mkdir()
    (person.home / "shop" / "flow.py").write_text(PROJECT, "utf-8")
    project.does("target", "add", "team", "--namespace", person.namespace)
    assert "twice 21 is 42" in project.does("run", "flow.py", "--target", "team")

    helm("uninstall", "fairway", "--wait")
    settle(there)
    assert left(there) == {"persistentvolumeclaim/fairway-store"}

"""Installing, upgrading and removing, by a user who may do everything in one namespace and nothing else."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.person import Person
from lab.kubectl import Kubectl, MakeUser

KINDS = "deploy,rs,job,pod,svc,cm,pvc,sa,role,rolebinding,networkpolicy"
WAIT = "90s"


@pytest.fixture
def person(user: MakeUser, namespace: str, tmp_path: Path) -> Person:
    """A user who is `admin` in the namespace."""
    return Person(user("admin"), namespace, tmp_path)


@pytest.fixture
def there(kubectl: Kubectl, namespace: str) -> Kubectl:
    """`kubectl` of an administrator in the namespace."""
    return kubectl.inside(namespace)


def left(there: Kubectl) -> set[str]:
    """Return the objects of Fairway in the namespace."""
    named = there("get", KINDS, "-l", "fairway.dev/install", "-o", "name")
    return set(named.split())


def starts(there: Kubectl) -> str:
    """Return how often the store has seen a control plane."""
    return there("logs", "deployment/fairway").strip()


def test_everything_is_accepted_by_the_cluster_under_restricted(
    person: Person, there: Kubectl, ready: str
) -> None:
    rendered = person.run("render", "--namespace", person.namespace, "--image", ready).stdout
    judged = there("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=rendered)
    assert judged.count("(server dry run)") == 13
    assert "Warning" not in judged


def test_an_admin_of_one_namespace_installs_upgrades_and_removes(
    person: Person, there: Kubectl, ready: str, broken: str
) -> None:
    assert "and ready" in person.does("install", "--image", ready)
    assert starts(there) == "starts 1"
    first = json.loads(there.json("get", "cm", "fairway-install")["data"]["install.json"])
    assert first["owner"] == there.json("get", "cm", "fairway-install")["metadata"]["uid"]

    assert "already, and ready" in person.does("install", "--image", ready)
    assert starts(there) == "starts 1"

    told = person.fails("upgrade", "--image", broken, "--wait", WAIT)
    assert "the store was written by a later version" in told
    assert "exit code 3" in told
    assert "is back and ready" in told
    assert starts(there) == "starts 2"

    assert "the volume fairway-store stays" in person.does("uninstall", "--keep-data")
    assert left(there) == {"persistentvolumeclaim/fairway-store"}

    person.does("install", "--image", ready)
    assert starts(there) == "starts 3"
    second = json.loads(there.json("get", "cm", "fairway-install")["data"]["install.json"])
    assert second["uid"] == first["uid"]

    person.does("uninstall", "--yes")
    assert left(there) == set()
    assert "is not installed" in person.fails("uninstall", "--yes")


def test_a_dry_run_changes_nothing(person: Person, there: Kubectl, ready: str) -> None:
    assert "nothing was changed" in person.does("install", "--image", ready, "--dry-run")
    assert left(there) == set()


@pytest.mark.thorough
def test_data_is_not_removed_without_a_word_of_consent(person: Person, there: Kubectl, ready: str) -> None:
    person.does("install", "--image", ready)
    told = person.fails("uninstall")
    assert "with all runs and models" in told
    assert "--keep-data" in told
    assert "deployment.apps/fairway" in left(there)


def test_an_edit_user_may_not_install_and_is_told_what_is_missing(
    user: MakeUser, namespace: str, tmp_path: Path, there: Kubectl, ready: str
) -> None:
    editor = Person(user("edit"), namespace, tmp_path)
    told = editor.fails("install", "--image", ready)
    assert "roles.rbac.authorization.k8s.io" in told
    assert "rolebindings.rbac.authorization.k8s.io" in told
    assert "--clusterrole=admin" in told
    assert f"system:serviceaccount:{namespace}:user-edit" in told
    assert left(there) == set()


def test_a_namespace_that_is_not_there_is_named_with_the_command_that_makes_it(
    person: Person, ready: str
) -> None:
    name = f"absent-{secrets.token_hex(4)}"
    told = person.fails("install", "--image", ready, "--namespace", name)
    assert name in told


def test_an_administrator_is_told_of_an_absent_namespace(
    kubectl: Kubectl, tmp_path: Path, ready: str
) -> None:
    administrator = Person(Path(kubectl.kubeconfig), "absent", tmp_path)
    told = administrator.fails("install", "--image", ready, "--namespace", "absent-fairway")
    assert "there is no namespace 'absent-fairway'" in told
    assert "create namespace absent-fairway" in told


@pytest.mark.thorough
def test_an_image_that_nodes_cannot_pull_is_said_and_nothing_stays(
    person: Person, there: Kubectl, registry: str
) -> None:
    told = person.fails("install", "--image", f"{registry}/nothing@sha256:{'0' * 64}", "--wait", WAIT)
    assert "cannot be pulled" in told
    assert "not found" in told
    assert left(there) == set()


@pytest.mark.thorough
def test_a_control_plane_that_ends_is_shown_with_its_last_words_and_nothing_stays(
    person: Person, there: Kubectl, broken: str
) -> None:
    told = person.fails("install", "--image", broken, "--wait", WAIT)
    assert "the store was written by a later version" in told
    assert "exit code 3" in told
    assert left(there) == set()


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (
            [{"kind": "ResourceQuota", "spec": {"hard": {"pods": "0"}}}],
            "exceeded quota",
        ),
        (
            [
                {
                    "kind": "LimitRange",
                    "spec": {"limits": [{"type": "Container", "max": {"cpu": "500m", "memory": "256Mi"}}]},
                }
            ],
            "maximum memory usage per Container is 256Mi",
        ),
    ],
    ids=["quota", "limits"],
)
def test_rules_of_the_namespace_that_refuse_the_pod_refuse_before_anything_is_made(
    objects: list[dict], said: str, person: Person, there: Kubectl, ready: str
) -> None:
    there.apply(*({"apiVersion": "v1", "metadata": {"name": "tight"}, **one} for one in objects))
    if objects[0]["kind"] == "ResourceQuota":
        # Until the controller has counted, the quota is not enforced as it stands.
        there("wait", "resourcequota/tight", "--for=jsonpath={.status.hard.pods}=0", "--timeout=60s")
    told = person.fails("install", "--image", ready)
    assert said in told
    assert left(there) == set()


def test_a_driver_that_the_namespace_would_refuse_is_noted(
    person: Person, there: Kubectl, ready: str
) -> None:
    limit = {"limits": [{"type": "Container", "max": {"memory": "600Mi"}}]}
    there.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "tight"}, "spec": limit})
    told = person.does("install", "--image", ready, "--dry-run")
    assert "a run's first pod would be refused now" in told
    assert "600Mi" in told


@pytest.mark.thorough
def test_a_volume_that_nobody_makes_is_said_and_nothing_stays(
    person: Person, there: Kubectl, ready: str
) -> None:
    told = person.fails("install", "--image", ready, "--storage-class", "absent", "--wait", WAIT)
    assert "no volume for its store" in told
    assert '"absent" not found' in told
    assert left(there) == set()


@pytest.mark.thorough
def test_an_ephemeral_store_needs_no_volume(person: Person, there: Kubectl, ready: str) -> None:
    person.does("install", "--image", ready, "--ephemeral")
    assert "persistentvolumeclaim/fairway-store" not in left(there)
    person.does("uninstall", "--yes")


def test_options_for_pods_reach_the_pods_and_stay_in_an_upgrade(
    person: Person, there: Kubectl, ready: str
) -> None:
    person.does(
        *("install", "--image", ready, "--ephemeral", "--user", "4711"),
        *("--pod-label", "team=risk", "--pods-most", "3", "--driver-cpu", "500m"),
    )
    (pod,) = there.json("get", "pods", "-l", "team=risk")["items"]
    assert pod["spec"]["securityContext"]["runAsUser"] == 4711
    person.does("upgrade", "--pods-most", "5")
    install = json.loads(there.json("get", "cm", "fairway-install")["data"]["install.json"])
    assert (install["user"], install["pod_labels"]) == (4711, {"team": "risk"})
    assert (install["pods"]["most"], install["driver"]["cpu"]) == (5, 0.5)


def test_a_service_of_somebody_else_is_not_taken_over(person: Person, there: Kubectl, ready: str) -> None:
    there("create", "service", "clusterip", "fairway", "--tcp=80:80")
    told = person.fails("install", "--image", ready)
    assert "a Service 'fairway'" in told
    assert "that is not Fairway's" in told
    assert left(there) == set()
    assert there.json("get", "service", "fairway")["spec"]["ports"][0]["port"] == 80


def test_of_two_installs_at_the_same_moment_one_wins_and_the_other_says_so(
    person: Person, there: Kubectl, ready: str
) -> None:
    command = [sys.executable, "-m", "fairway", "install", "--image", ready]
    environment = {**os.environ, "KUBECONFIG": str(person.kubeconfig), "HOME": str(person.home)}
    both = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=person.home)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=240)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 1], [0, 0]), told
    if codes == [0, 1]:
        assert any("somebody else installs Fairway" in one for one in told), told
    assert starts(there) == "starts 1"


@pytest.mark.thorough
def test_an_installation_that_lost_objects_is_completed(person: Person, there: Kubectl, ready: str) -> None:
    person.does("install", "--image", ready)
    there("delete", "deployment/fairway", "service/fairway", "role/fairway")
    told = person.does("install", "--image", ready)
    assert "completes the installation" in told
    assert {"deployment.apps/fairway", "service/fairway", "role.rbac.authorization.k8s.io/fairway"} <= left(
        there
    )


@pytest.mark.thorough
def test_the_deletion_of_the_config_map_takes_everything_but_the_data(
    person: Person, there: Kubectl, ready: str
) -> None:
    person.does("install", "--image", ready)
    there("delete", "configmap", "fairway-install", "--cascade=foreground")
    for kind in ("deployment", "service", "role", "rolebinding", "networkpolicy"):
        there("wait", "--for=delete", f"{kind}/fairway", "--timeout=90s")
    there("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=fairway", "--timeout=90s")
    assert left(there) == {"persistentvolumeclaim/fairway-store"}


@pytest.mark.thorough
def test_an_uninstall_waits_for_runs_unless_it_is_told_to_stop_them(
    person: Person, there: Kubectl, ready: str, working_job: Callable[[], None]
) -> None:
    person.does("install", "--image", ready)
    working_job()
    told = person.fails("uninstall", "--keep-data")
    assert "1 pod of runs" in told
    person.does("uninstall", "--yes")
    assert left(there) == set()


@pytest.fixture
def working_job(there: Kubectl, ready: str) -> Callable[[], None]:
    """Makes the Job of a run whose pod works for ever."""

    def make() -> None:
        program = (
            "import json, sys\n"
            "import msgspec\n"
            "from fairway.cluster import manifests, pods\n"
            "from fairway.spec.quantities import Resources\n"
            "data = json.load(sys.stdin)['data']\n"
            "install = manifests.read_settings(data).install\n"
            "wanted = pods.HostPod(name='fw-01234567-d-a1', run='01234567', resources=Resources(cpu=0.1, memory=2**26),\n"
            "    command=('python3', '-c', 'import os, signal; signal.signal(15, lambda *_: os._exit(143)); signal.pause()'))\n"
            "sys.stdout.buffer.write(msgspec.json.encode(pods.job(wanted, install)))\n"
        )
        config = there("get", "cm", "fairway-install", "-o", "json")
        made = subprocess.run(
            [sys.executable, "-c", program],
            input=config,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        there("create", "--validate=strict", "-f", "-", text=made)
        there("wait", "job/fw-01234567-d-a1", "--for=jsonpath={.status.ready}=1", "--timeout=90s")

    return make


@pytest.mark.thorough
def test_what_render_prints_and_kubectl_applies_is_an_installation(
    person: Person, there: Kubectl, ready: str
) -> None:
    rendered = person.run("render", "--namespace", person.namespace, "--image", ready, "--ephemeral").stdout
    there("apply", "-f", "-", text=rendered)
    there("rollout", "status", "deployment/fairway", "--timeout=120s")
    assert "already, and ready" in person.does("install")
    there("apply", "-f", "-", text=rendered)
    assert starts(there) == "starts 1"
    person.does("upgrade", "--image", ready)
    owner = there.json("get", "role", "fairway")["metadata"]["ownerReferences"][0]
    assert owner["uid"] == there.json("get", "cm", "fairway-install")["metadata"]["uid"]
    person.does("uninstall", "--yes")
    assert left(there) == set()


@pytest.mark.thorough
def test_the_deletion_of_the_namespace_is_held_up_by_nothing(
    person: Person, there: Kubectl, ready: str, working_job: Callable[[], None]
) -> None:
    person.does("install", "--image", ready)
    working_job()
    there("delete", "namespace", person.namespace, "--timeout=60s")


@pytest.fixture
def refusing(lab: object, kubectl: Kubectl, namespace: str) -> Iterator[None]:
    """A policy of the cluster that refuses every pod of the namespace."""
    name = f"refuse-{namespace}"
    kubectl.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods", "configmaps"],
                        }
                    ]
                },
                "validations": [
                    {
                        "expression": "object.kind == 'ConfigMap' && object.metadata.name != 'trial'",
                        "message": "pods need a cost centre",
                    }
                ],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
                },
            },
        },
    )
    # A policy takes effect some moments after it is made.
    trial = ["create", "configmap", "trial", "--dry-run=server"]
    while "cost centre" not in kubectl.inside(namespace).run(*trial).stderr:
        pass
    yield
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        kubectl("delete", kind, name)


@pytest.mark.thorough
def test_a_policy_of_the_cluster_that_refuses_pods_is_quoted_before_anything_is_made(
    person: Person, there: Kubectl, ready: str, refusing: None
) -> None:
    told = person.fails("install", "--image", ready)
    assert "pods need a cost centre" in told
    assert left(there) == set()

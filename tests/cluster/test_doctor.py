"""The check of a cluster, before and after an installation."""

import json

import pytest

from cluster.person import Person
from lab.kubectl import Kubectl, MakeUser


@pytest.fixture
def person(user: MakeUser, namespace: str, tmp_path) -> Person:
    """A user who is `admin` in the namespace."""
    return Person(user("admin"), namespace, tmp_path)


@pytest.fixture
def there(kubectl: Kubectl, namespace: str) -> Kubectl:
    """`kubectl` of an administrator in the namespace."""
    return kubectl.inside(namespace)


def checks(person: Person, *words: str) -> dict[str, dict[str, str]]:
    """Return the checks by their names."""
    done = person.run("doctor", "--namespace", person.namespace, "--json", *words)
    assert "Traceback" not in done.stderr
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert done.returncode == (1 if any(one["state"] == "missing" for one in found.values()) else 0)
    return found


def test_a_cluster_is_checked_before_an_installation(person: Person, there: Kubectl, registry: str) -> None:
    found = checks(person, "--registry", f"http://{registry}")
    for name in ("kubernetes", "latency", "clock", "namespace", "rights", "quota", "limits", "push", "pull"):
        assert found[name]["state"] == "ok", found[name]
    assert "restricted" in found["namespace"]["found"]
    assert found["fairway"]["state"] == "missing"
    assert "fairway install" in found["fairway"]["hint"]
    assert there("get", "pods", "-o", "name") == ""


def test_what_a_user_may_not_see_is_optional_and_stops_nothing(person: Person) -> None:
    found = checks(person)
    for name in ("nodes", "gpus"):
        assert found[name]["state"] == "optional"
        assert found[name]["found"] == "not known: you may not list nodes"
    assert found["push"]["state"] == "optional"
    assert "--registry" in found["push"]["hint"]


def test_rights_that_are_missing_are_named_with_the_command_that_grants_them(
    user: MakeUser, namespace: str, tmp_path
) -> None:
    editor = checks(Person(user("edit"), namespace, tmp_path))["rights"]
    assert editor["state"] == "optional"
    assert "may run, not install" in editor["found"]
    assert "--clusterrole=admin" in editor["hint"]
    viewer = checks(Person(user("view"), namespace, tmp_path))["rights"]
    assert viewer["state"] == "missing"
    assert "serviceaccounts/token" in viewer["found"]
    assert "--clusterrole=edit" in viewer["hint"]


def test_a_quota_and_a_limit_range_that_are_too_small_are_named(person: Person, there: Kubectl) -> None:
    there.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "small"},
            "spec": {"hard": {"requests.cpu": "1"}},
        },
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "narrow"},
            "spec": {"limits": [{"type": "Container", "max": {"memory": "600Mi"}}]},
        },
    )
    there("wait", "resourcequota/small", "--for=jsonpath={.status.hard.requests\\.cpu}=1", "--timeout=60s")
    found = checks(person)
    assert found["quota"]["state"] == "missing"
    assert "small: requests.cpu" in found["quota"]["found"]
    assert found["limits"]["state"] == "missing"
    assert "narrow: at most 600Mi of memory" in found["limits"]["found"]


def test_a_policy_that_closes_every_way_out_is_named(person: Person, there: Kubectl) -> None:
    there.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "closed"},
            "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
        }
    )
    assert "closed closes every way out" in checks(person)["policies"]["found"]


def test_a_registry_that_refuses_is_said(person: Person) -> None:
    found = checks(person, "--registry", "http://127.0.0.1:9")
    assert found["push"]["state"] == "missing"
    assert found["pull"]["state"] == "missing"
    assert "not tried" in found["pull"]["found"]


def test_a_cluster_that_does_not_answer_is_the_only_finding(user: MakeUser, namespace: str, tmp_path) -> None:
    kubeconfig = user("admin")
    document = json.loads(kubeconfig.read_text("utf-8"))
    document["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    kubeconfig.write_text(json.dumps(document), "utf-8")
    found = checks(Person(kubeconfig, namespace, tmp_path))
    assert list(found) == ["cluster"]
    assert "no cluster answers" in found["cluster"]["found"]


def test_an_installation_is_checked_for_its_state(person: Person, there: Kubectl, ready: str) -> None:
    person.does("install", "--image", ready)
    found = checks(person)
    assert found["fairway"]["state"] == "ok", found["fairway"]
    assert found["storage"]["state"] == "ok"
    assert not [name for name, one in found.items() if one["state"] == "missing"]
    there("scale", "deployment/fairway", "--replicas=0")
    there("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=fairway", "--timeout=60s")
    assert checks(person)["fairway"]["state"] == "missing"

"""The cluster itself: names, images, volumes, metrics and rights, as every other test of this folder needs them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.audit import Asked
from lab.kubectl import Kubectl, MakeUser

_UID = 1_000_710_000


def pod(name: str, image: str, code: str, *, claim: str = "") -> dict[str, Any]:
    """Return a pod of the level `restricted` that runs Python code under a user without a name."""
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    volumes = [{"name": "store", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    mounts = [{"name": "store", "mountPath": "/store"}] if claim else []
    container = {
        "name": "main",
        "image": image,
        "command": ["python3", "-c", code],
        "securityContext": secure,
        "volumeMounts": mounts,
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
    }
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def claim(name: str) -> dict[str, Any]:
    """Return a claim of a volume that names no class."""
    spec = {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "64Mi"}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture
def there(kubectl: Kubectl, namespace: str) -> Kubectl:
    """`kubectl` inside the test's namespace."""
    return kubectl.inside(namespace)


def run_pod(there: Kubectl, wanted: dict[str, Any]) -> str:
    """Run a pod to its end and return its output."""
    name = wanted["metadata"]["name"]
    there.apply(wanted)
    there("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=100s")
    return there("logs", name)


def test_a_pod_finds_services_by_name(there: Kubectl, registry: str) -> None:
    code = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    found = run_pod(there, pod("names", f"{registry}/python:3.11", code)).strip()
    assert found == there.json("get", "service", "kubernetes", "-n", "default")["spec"]["clusterIP"]


def test_the_python_image_has_certificates_time_zones_and_libraries(there: Kubectl, registry: str) -> None:
    code = (
        "import ctypes, ssl, sys, zoneinfo, datetime as d; ctypes.CDLL('libgomp.so.1'); ctypes.CDLL('libstdc++.so.6');"
        "print(sys.version_info[:2], len(ssl.create_default_context().get_ca_certs()) > 50,"
        "d.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset())"
    )
    assert run_pod(there, pod("image", f"{registry}/python:3.11", code)) == "(3, 11) True 2:00:00\n"


def test_a_claim_without_a_class_gets_a_volume_that_anybody_may_write(there: Kubectl, registry: str) -> None:
    image = f"{registry}/python:3.11"
    there.apply(claim("store"))
    run_pod(there, pod("first", image, "open('/store/kept', 'w').write('kept')", claim="store"))
    assert (
        run_pod(there, pod("second", image, "print(open('/store/kept').read())", claim="store")) == "kept\n"
    )


def test_metrics_of_pods_are_served(there: Kubectl, registry: str) -> None:
    there.apply(pod("busy", f"{registry}/python:3.11", "import time; time.sleep(600)"))
    give_up = time.monotonic() + 90
    while not there.run("top", "pod", "busy").stdout.count("busy"):
        assert time.monotonic() < give_up, "no metrics of a running pod"
        time.sleep(1)
    assert there("logs", "busy") == ""


def test_a_privileged_pod_is_refused(there: Kubectl, registry: str) -> None:
    wanted = pod("root", f"{registry}/python:3.11", "pass")
    wanted["spec"]["securityContext"] = {}
    refused = there.run("apply", "-f", "-", text=json.dumps(wanted))
    assert refused.returncode != 0
    assert "PodSecurity" in refused.stderr


def test_the_audit_log_has_what_a_user_asked_for_and_was_refused(
    kubectl: Kubectl, namespace: str, user: MakeUser, audit: Callable[[], list[Asked]]
) -> None:
    editor = kubectl.using(user("edit")).inside(namespace)
    editor("get", "pods")
    assert editor.run("get", "roles").returncode != 0
    name = f"system:serviceaccount:{namespace}:user-edit"

    def seen() -> set[tuple[str, str, bool]]:
        return {(call.verb, call.resource, call.allowed) for call in audit() if call.user == name}

    give_up = time.monotonic() + 20
    while not {("list", "pods", True), ("list", "roles", False)} <= seen():
        assert time.monotonic() < give_up, seen()
        time.sleep(0.2)


def test_a_user_has_rights_in_one_namespace_only(
    kubectl: Kubectl, namespace: str, user: MakeUser, make_namespace: Callable[..., str]
) -> None:
    other = make_namespace()

    def may(kubeconfig: Path, verb: str, what: str, where: str) -> bool:
        asked = kubectl.using(kubeconfig).run("auth", "can-i", verb, what, "--namespace", where)
        return asked.stdout.strip() == "yes"

    admin, editor, nobody = user("admin"), user("edit"), user("")
    assert may(admin, "create", "roles", namespace)
    assert may(editor, "create", "jobs", namespace)
    assert not may(editor, "create", "roles", namespace)
    assert not may(nobody, "get", "pods", namespace)
    assert not any(may(one, "get", "pods", other) for one in (admin, editor, nobody))

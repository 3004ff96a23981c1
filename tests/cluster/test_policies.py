"""NetworkPolicies, while a test asks the lab to enforce them."""

import urllib.error
import urllib.request
from typing import Any

import pytest

from lab.kubectl import Kubectl

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def server(kubectl: Kubectl, namespace: str, registry: str) -> str:
    """The address of a pod that answers over HTTP."""
    there = kubectl.inside(namespace)
    there.apply(serving_pod(f"{registry}/python:3.11"))
    there("wait", "--for=condition=Ready", "pod/server", "--timeout=100s")
    return f"http://{there.json('get', 'pod', 'server')['status']['podIP']}:8080"


def serving_pod(image: str) -> dict[str, Any]:
    """Return a pod of the level `restricted` that serves its empty folder."""
    container = {
        "name": "main",
        "image": image,
        "command": ["python3", "-m", "http.server", "8080", "--directory", "/tmp"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    user = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": user, "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server"}, "spec": spec}


def nobody(name: str) -> dict[str, Any]:
    """Return a policy that lets nobody in."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }


def answers(address: str) -> bool:
    """Tell whether an address answers within two seconds."""
    try:
        with _DIRECT.open(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


@pytest.mark.usefixtures("enforced")
@pytest.mark.thorough
def test_a_policy_that_lets_nobody_in_is_enforced(kubectl: Kubectl, namespace: str, server: str) -> None:
    assert answers(server)
    kubectl.inside(namespace).apply(nobody("closed"))
    refused = [answers(server) for _ in range(5)]
    assert not refused[-1]
    kubectl.inside(namespace)("delete", "networkpolicy", "closed")
    assert any(answers(server) for _ in range(5))


@pytest.mark.thorough
def test_without_enforcement_a_policy_is_only_written_down(
    kubectl: Kubectl, namespace: str, server: str
) -> None:
    kubectl.inside(namespace).apply(nobody("closed"))
    assert answers(server)

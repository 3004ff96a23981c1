"""The way from a laptop to a Service of a real cluster: the API server's proxy, a forwarded port, and tokens of accounts."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairway.cluster.client.config import load
from fairway.cluster.reaching import ThroughCluster
from fairway.spec import versions
from fairway.spec.errors import NotFound, Unreachable
from lab.kubectl import Kubectl, MakeUser

PLATFORM = """
import http.server, json, sys

class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"token": self.headers.get("X-Fairway-Token", ""), "path": self.path}).encode()
        self.send_response(200)
        self.send_header("x-fairway-version", sys.argv[1])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

http.server.ThreadingHTTPServer(("", 7700), Answers).serve_forever()
"""
LABELS = {"app.kubernetes.io/name": "fairway", "app.kubernetes.io/instance": "fairway"}


def objects(image: str) -> list[dict[str, Any]]:
    """A program that answers where the control plane would, with its Service and accounts."""
    container = {
        "name": "fairway", "image": image, "command": ["python3", "-c", PLATFORM, versions.this()],
        "ports": [{"name": "http", "containerPort": 7700}],
        "readinessProbe": {"tcpSocket": {"port": 7700}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    pod = {
        "containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    }  # fmt: skip
    accounts = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": f"fairway-{role}"}}
        for role in ("viewer", "runner", "deployer")
    ]
    return [
        *accounts,
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "fairway"},
            "spec": {"selector": LABELS, "ports": [{"name": "http", "port": 7700, "targetPort": "http"}]},
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "fairway"},
            "spec": {
                "replicas": 1, "strategy": {"type": "Recreate"}, "selector": {"matchLabels": LABELS},
                "template": {"metadata": {"labels": LABELS}, "spec": pod},
            },
        },
    ]  # fmt: skip


@pytest.fixture
def installed(kubectl: Kubectl, namespace: str, registry: str) -> str:
    """A namespace in which the program answers."""
    inside = kubectl.inside(namespace)
    inside.apply(*objects(f"{registry}/python:3.11"))
    inside("rollout", "status", "deployment/fairway", "--timeout=120s", seconds=150)
    return namespace


@pytest.fixture
def reach(tmp_path: Path) -> Callable[[Path, str], ThroughCluster]:
    """Makes the way of a user to a namespace."""

    def reach(kubeconfig: Path, namespace: str) -> ThroughCluster:
        access = load(namespace=namespace, environment={"KUBECONFIG": str(kubeconfig)}, home=tmp_path)
        return ThroughCluster("team", access, tmp_path / "memory", lambda *lines: None)

    return reach


async def whole(way: ThroughCluster, *paths: str) -> list[dict[str, str]]:
    try:
        return [json.loads((await way.ask("GET", path))[1]) for path in paths]
    finally:
        await way.close()


def test_who_may_edit_a_namespace_needs_no_further_right(
    installed: str, user: MakeUser, reach: Callable[[Path, str], ThroughCluster]
) -> None:
    way = reach(user("edit"), installed)
    (answer,) = asyncio.run(whole(way, "/api/v1/runs?limit=5&a=%2Fb"))
    assert answer["path"] == "/api/v1/runs?limit=5&a=%2Fb"
    assert answer["token"].count(".") == 2
    assert way._way == "proxy"


def test_a_forwarded_port_serves_who_may_not_use_the_proxy(
    kubectl: Kubectl, installed: str, user: MakeUser, reach: Callable[[Path, str], ThroughCluster]
) -> None:
    inside = kubectl.inside(installed)
    kubeconfig = user("view", name="forwarding")
    inside(
        "create", "role", "forwards", "--verb=get,create", "--resource=pods/portforward,serviceaccounts/token"
    )
    inside("create", "rolebinding", "forwards", "--role=forwards", f"--serviceaccount={installed}:forwarding")
    way = reach(kubeconfig, installed)
    first, second = asyncio.run(whole(way, "/one", "/two"))
    assert (first["path"], second["path"]) == ("/one", "/two")
    assert way._way == "forward"


def test_who_may_only_view_has_no_role_and_is_told_so(
    installed: str, user: MakeUser, reach: Callable[[Path, str], ThroughCluster]
) -> None:
    with pytest.raises(Exception, match=r"cannot be reached|no role"):
        asyncio.run(whole(reach(user("view"), installed), "/one"))


def test_a_namespace_without_fairway_is_told_at_once(
    namespace: str, user: MakeUser, reach: Callable[[Path, str], ThroughCluster]
) -> None:
    with pytest.raises(NotFound, match=f"not installed in namespace {namespace}"):
        asyncio.run(whole(reach(user("edit"), namespace), "/one"))


@pytest.mark.parametrize("way", ["proxy", "forward"])
def test_a_pod_that_is_replaced_is_found_again(
    kubectl: Kubectl, installed: str, cluster: Any, reach: Callable[[Path, str], ThroughCluster], way: str
) -> None:
    reached = reach(Path(cluster.kubeconfig), installed)

    async def over_replacements() -> int:
        breaks = 0
        reached._way = "forward" if way == "forward" else ""
        reached._was_reached = way == "forward"
        await reached.ask("GET", "/first")
        for _ in range(2):
            await asyncio.to_thread(
                kubectl.inside(installed), "delete", "pod", "-l", "app.kubernetes.io/name=fairway"
            )
            for _ in range(200):
                try:
                    await reached.ask("GET", "/again", seconds=10.0)
                    break
                except Unreachable:
                    breaks += 1
                    await asyncio.sleep(0.2)
            else:
                raise AssertionError("never found again")
        await reached.close()
        return breaks

    assert asyncio.run(over_replacements()) < 200

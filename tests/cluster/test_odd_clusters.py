"""Runs on clusters that change pods, refuse them or answer late, and with names that are hard to tell apart."""

import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from plane_here import address_here, push_image
from test_remote_run import Laptop, lines_until

from lab.kubectl import Kubectl, make_user
from lab.lab import Lab

LONG = "a_task_whose_name_is_so_long_that_fifty_letters_end"
TEXT = f"""
import fairway as fw

@fw.task(cpu=0.1, isolated=True)
def {LONG}_one() -> int: return 1

@fw.task(cpu=0.1, isolated=True)
def {LONG}_two() -> int: return 2

@fw.pipeline
def main() -> list[int]:
    return [{LONG}_one(), {LONG}_two()]

@fw.pipeline
def one() -> int:
    return {LONG}_one()
"""
SLEEPS = ["python", "-c", "import time; time.sleep(100000)"]


class Hook:
    """A webhook on this machine that is asked about the pods of runs.

    Attributes:
        asked: the number of pods that it was asked about.
        answer: returns the answer for a pod.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.asked = 0
        self.answer: Callable[[Any], dict[str, Any]] = lambda pod: {"allowed": True}
        self._certificate, key = folder / "hook.crt", folder / "hook.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hook",
             "-addext", f"subjectAltName=IP:{address}", "-keyout", str(key), "-out", str(self._certificate)],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, key)
        self._server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._url = f"https://{address}:{self._server.server_port}/"

    def configuration(self, name: str, namespace: str) -> dict[str, Any]:
        """Return the object that lets the API server ask here about the pods of runs in a namespace."""
        ours = {"app.kubernetes.io/name": "fairway-run"}
        bundle = base64.b64encode(self._certificate.read_bytes()).decode()
        hook = {
            "name": "pods.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 2,
            "failurePolicy": "Fail",
            "clientConfig": {"url": self._url, "caBundle": bundle},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "objectSelector": {"matchLabels": ours},
            "rules": [
                {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
            ],
        }
        head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
        return head | {"metadata": {"name": name}, "webhooks": [hook]}

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                request = review["request"]
                hook.asked += 1
                response = {"uid": request["uid"]} | hook.answer(request["object"])
                body = json.dumps(review | {"response": response}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Print nothing."""

        return Handler


def changed(pod: Any) -> dict[str, Any]:
    """Return an answer that adds a container, which never ends, and a label, and raises what the host may use."""
    host = pod["spec"]["containers"][0]
    proxy = {
        "name": "proxy",
        "image": host["image"],
        "command": SLEEPS,
        "securityContext": host["securityContext"],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "100m", "memory": "64Mi"},
        },
    }
    patch = [
        {"op": "add", "path": "/spec/containers/0", "value": proxy},
        {"op": "add", "path": "/metadata/labels/example.com~1cost", "value": "team"},
        {"op": "replace", "path": "/spec/containers/1/resources/requests/cpu", "value": "50m"},
    ]
    packed = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": packed}


def denied(pod: Any) -> dict[str, Any]:
    """Return an answer that refuses a pod."""
    return {"allowed": False, "status": {"message": "pods of this team need a cost centre", "code": 403}}


def late(pod: Any) -> dict[str, Any]:
    """Return an answer for the pod of a step after the API server has stopped waiting for it."""
    if "-d-a" not in pod["metadata"]["labels"]["fairway.dev/host"]:
        time.sleep(4)
    return {"allowed": True}


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]) -> str:
    """A namespace with Fairway in it."""
    name = make_namespace()
    command = [sys.executable, "-m", "fairway", "install", "-n", name, "--image", push_image(registry)]
    environment = {**os.environ, "KUBECONFIG": kubectl.kubeconfig}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture
def laptop(kubectl: Kubectl, installed: str, tmp_path: Path) -> Laptop:
    """The command line of somebody who may edit the namespace."""
    made = Laptop(tmp_path, make_user(kubectl, tmp_path, "edit", installed, f"user-{os.urandom(3).hex()}"))
    made.write("flow.py", TEXT)
    made.fairway("target", "add", "team")
    made.environment["FAIRWAY_TARGET"] = "team"
    return made


@pytest.fixture
def hook(kubectl: Kubectl, installed: str, lab: Lab, tmp_path: Path) -> Iterator[Hook]:
    """A webhook that the API server asks about the pods of runs in the namespace."""
    made = Hook(tmp_path, address_here(kubectl.kubeconfig))
    name = f"fairway-test-{os.urandom(3).hex()}"
    kubectl.apply(made.configuration(name, installed))
    yield made
    kubectl("delete", "mutatingwebhookconfiguration", name)
    made.close()


def nothing_left(there: Kubectl, seconds: float) -> None:
    """Wait until no object of a run is there."""
    until = time.monotonic() + seconds
    while there.json("get", "jobs,pods", "-l", "app.kubernetes.io/name=fairway-run")["items"]:
        assert time.monotonic() < until
        time.sleep(1)


def test_a_container_that_a_webhook_adds_keeps_no_run_and_no_pod_alive(
    laptop: Laptop, hook: Hook, kubectl: Kubectl, installed: str
) -> None:
    hook.answer = changed
    done = laptop.fairway("run", "flow.py:one")
    assert hook.asked >= 2
    assert "Done in " in done.stderr
    nothing_left(kubectl.inside(installed), 60)


def test_a_webhook_that_refuses_pods_ends_the_run_with_its_words(
    laptop: Laptop, hook: Hook, kubectl: Kubectl, installed: str
) -> None:
    hook.answer = denied
    told = laptop.fairway("run", "flow.py:one", expect=1).stderr
    assert "pods.example.com denied it: pods of this team need a cost centre" in told
    assert "hint: " in told
    nothing_left(kubectl.inside(installed), 60)


@pytest.mark.thorough
def test_a_webhook_that_does_not_answer_is_waited_for_and_named(laptop: Laptop, hook: Hook) -> None:
    hook.answer = late
    following = laptop.start("run", "flow.py:one")
    lines_until(following, "a webhook of the cluster does not answer")
    hook.answer = lambda pod: {"allowed": True}
    assert following.wait(150) == 0


def test_names_that_begin_with_the_same_fifty_letters_are_not_taken_for_each_other(laptop: Laptop) -> None:
    done = laptop.fairway("run", "flow.py:main", "--json")
    steps = json.loads(laptop.fairway("show", "--json").stdout)["steps"]
    assert [one["phase"] for one in steps] == ["Succeeded", "Succeeded"]
    assert len({one["spec"]["name"] for one in steps}) == 2
    assert done.returncode == 0

"""Images that were made here, in pods that may do as little as a cluster lets them."""

import asyncio
import json
import os
import re

import pytest

from fairway.cluster.images.assembling import Order, Pushed, push_fairway
from fairway.cluster.images.environments import environment_image
from fairway.cluster.images.locking import locked
from fairway.cluster.images.wheels import make_target
from fairway.cluster.images.workshop import Workshop
from lab.kubectl import Kubectl

PROGRAM = """
import fairway, getpass, httpx2, idna, json, os, sys, tempfile, tomllib, uvloop
print(json.dumps({
    "uid": os.getuid(), "user": getpass.getuser(), "folder": os.getcwd(), "fairway": fairway.__file__,
    "compiled": os.path.exists(httpx2.__cached__), "idna": [idna.__version__, idna.__file__],
    "scratch": os.path.dirname(tempfile.mkdtemp()), "executable": sys.executable,
}))
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Tools with a cache for this file."""
    folder = tmp_path_factory.mktemp("images")
    return Workshop(environment=dict(os.environ), home=folder, cache=folder / "cache")


@pytest.fixture(scope="module")
def pushed(registry: str, workshop: Workshop) -> Pushed:
    """The image of Fairway on the lab's Python."""
    order = Order(
        registry=f"http://{registry}/test-images", base=f"http://{registry}/python:3.11", python="3.11"
    )
    return asyncio.run(push_fairway(order, workshop))


def run(kubectl: Kubectl, namespace: str, image: str, name: str, command: list[str]) -> str:
    """Runs a command in a restricted pod of a user that no image knows, and returns its output."""
    closed = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": "main",
        "image": image,
        "command": command,
        "securityContext": closed,
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000710000,
                "runAsGroup": 0,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "containers": [container],
        },
    }
    there = kubectl.inside(namespace)
    there.apply(pod)
    waited = ["wait", f"pod/{name}", "--timeout=120s", "--for"]
    there(*waited, "jsonpath={.status.containerStatuses[0].state.terminated}", seconds=150)
    output = there("logs", name)
    state = there.json("get", "pod", name)["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["exitCode"] == 0, output
    return output


def test_fairway_runs_as_any_user_on_a_closed_file_system(
    kubectl: Kubectl, namespace: str, pushed: Pushed
) -> None:
    told = json.loads(run(kubectl, namespace, pushed.image, "any-user", ["python", "-c", PROGRAM]))
    assert told["uid"] == 1000710000
    assert (told["user"], told["folder"], told["scratch"]) == ("fairway", "/fairway", "/tmp")
    assert told["fairway"] == "/opt/fairway/own/fairway/__init__.py"
    assert told["compiled"]
    assert "/opt/fairway/lib/" in told["idna"][1]
    assert "version" in run(kubectl, namespace, pushed.image, "command", ["fairway", "--version"])


def test_nothing_of_the_standard_library_is_compiled_in_a_pod(
    kubectl: Kubectl, namespace: str, pushed: Pushed
) -> None:
    told = run(
        kubectl, namespace, pushed.image, "bytecode", ["python", "-v", "-c", "import asyncio, json, fairway"]
    )
    loaded = re.findall(r"^# code object from '?([^'\n]+)'?$", told, re.MULTILINE)
    assert sum(path.endswith("json/__pycache__/decoder.cpython-311.pyc") for path in loaded) == 1
    assert [path for path in loaded if path.endswith(".py")] == ["/usr/lib/python3.11/sitecustomize.py"]


def test_a_projects_packages_win_over_those_of_fairway(
    kubectl: Kubectl, namespace: str, pushed: Pushed, workshop: Workshop, registry: str
) -> None:
    async def make() -> Pushed:
        lock = await locked(["idna==3.7"], make_target("3.11", "linux/amd64"), workshop)
        where = f"http://{registry}/test-images"
        return await environment_image(f"http://{pushed.image}", lock, where, "linux/amd64", workshop)

    made = asyncio.run(make())
    told = json.loads(run(kubectl, namespace, made.image, "packages", ["python", "-c", PROGRAM]))
    assert told["idna"] == ["3.7", "/opt/fairway/env/python3.11/site-packages/idna/__init__.py"]
    assert told["fairway"] == "/opt/fairway/own/fairway/__init__.py"
    assert asyncio.run(make()).sent == 0

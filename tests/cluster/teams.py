"""A team that serves functions in a namespace with Fairway, and what tests want to know of its endpoints."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from asking import Answers, Load
from plane_here import push_image

from fairway.remote import RemotePlatform
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Deployed, DeployRequest, EndpointStatus, ServerLimits
from fairway.spec.quantities import Bounds
from fairway.stores import FileArtifacts
from fairway.wiring import servers, targets
from fairway.wiring.targets import Target
from lab.kubectl import Kubectl, make_user

T = TypeVar("T")

FUNCTION = "import fairway as fw\n\n@fw.endpoint\ndef {name}(x: float) -> float:\n    return x * {factor}\n"
LIMITS = ServerLimits(request_seconds=5.0, drain_seconds=5.0)
OBJECTS = "deployments,replicasets,pods,services,configmaps,networkpolicies,poddisruptionbudgets,horizontalpodautoscalers"
LABEL = "fairway.dev/endpoint"


class Team:
    """A person with the rights of an administrator in a namespace with Fairway."""

    def __init__(self, kubectl: Kubectl, kubeconfig: Path, folder: Path) -> None:
        self.kubectl = kubectl
        self._target = Target(name="team", namespace=kubectl.namespace, kubeconfig=str(kubeconfig))
        self._folder = folder
        self._made = 0

    def ask(self, question: Callable[[RemotePlatform], Coroutine[Any, Any, T]]) -> T:
        """Ask the platform of the namespace."""

        async def asked() -> T:
            platform = targets.platform(self._target, lambda *lines: None)
            try:
                return await question(platform)
            finally:
                await platform.close()

        return asyncio.run(asked())

    def source(self, text: str) -> Artifact:
        """Put a project with one file into the store of the namespace."""
        self._made += 1
        project = self._folder / f"project-{self._made}"
        project.mkdir()
        (project / "ep.py").write_text(text, "utf-8")
        store = FileArtifacts(self._folder / "store")
        digest, size = store.put_folder(project)

        async def put(platform: RemotePlatform) -> None:
            for one in (*(entry.digest for entry in store.files(digest)), digest):
                path = store.open(Artifact(format="", digest=one, size=store.touch(one) or 0))
                assert isinstance(path, Path)
                await platform.put(one, path.read_bytes())

        self.ask(put)
        return Artifact(format="folder", digest=digest, size=size, kind="project", files=True)

    def deploy(self, name: str, factor: float, replicas: Bounds = Bounds()) -> Deployed:
        """Serve a function that multiplies by a factor."""
        return self.serve(name, FUNCTION.format(name=name, factor=factor), replicas)

    def serve(self, name: str, text: str, replicas: Bounds = Bounds(), image: str = "") -> Deployed:
        """Serve a function of a project file."""
        request = DeployRequest(
            name=name,
            function=name,
            source=self.source(text),
            module="ep.py",
            replicas=replicas,
            limits=LIMITS,
            image=image,
        )
        return self.ask(lambda platform: platform.deploy(request))

    def endpoint(self, name: str) -> EndpointStatus | None:
        """Return the status of an endpoint; None if there is none."""
        found = self.ask(lambda platform: platform.endpoints())
        return next((one for one in found if one.name == name), None)

    def undeploy(self, name: str) -> None:
        """Remove an endpoint, and wait until nothing of it is left."""
        self.ask(lambda platform: platform.undeploy(name))
        until(lambda: self.objects(name) == [])

    def objects(self, name: str) -> list[str]:
        """Return the objects of an endpoint."""
        return self.kubectl("get", OBJECTS, "-l", f"{LABEL}={name}", "-o", "name").split()

    def pods(self, name: str) -> list[str]:
        """Return the pods of an endpoint that are not about to go."""
        items = self.kubectl.json("get", "pods", "-l", f"{LABEL}={name}")["items"]
        return [one["metadata"]["name"] for one in items if "deletionTimestamp" not in one["metadata"]]

    def address(self, name: str) -> str:
        """Return the IP address of the Service of an endpoint."""
        return str(self.kubectl.json("get", "service", name)["spec"]["clusterIP"])

    def printed(self, name: str) -> list[str]:
        """Return the lines that the servers of an endpoint printed, those before a restart as well."""

        async def read() -> list[str]:
            return [line.text async for line in servers.printed(self._target, name, follow=False)]

        return asyncio.run(read())

    def load(self, name: str, *, keep: bool, rate: float = 25.0) -> Load:
        """Return a client that asks an endpoint all the time."""
        host = f"{name}.{self.kubectl.namespace}.svc"
        return Load(self.address(name), host, b"2", keep=keep, rate=rate)


def until(is_so: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait for a fact."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.5)


def answer(address: str, x: float, host: str = "churn") -> Any:
    """Ask the endpoint at an address."""
    headers = {"content-type": "application/json", "host": host}
    request = urllib.request.Request(f"http://{address}/", json.dumps(x).encode(), headers)
    with urllib.request.urlopen(request, timeout=10) as found:
        return json.loads(found.read())


def lost_nothing(*answers: Answers, least: int = 100) -> None:
    """Check that every request was answered, and that there were enough of them."""
    for found in answers:
        assert found.lost == [], (found.lost[:: max(1, len(found.lost) // 40)], len(found.lost), found.sent)
        assert len(found.bodies) == found.sent > least, (len(found.bodies), found.sent)


def fairway(kubeconfig: Path, namespace: str, *words: str) -> None:
    """Carry out a command of a person about an installation."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)}
    command = [sys.executable, "-m", "fairway", *words, "--namespace", namespace]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr


VISITORS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "visitors"},
    "spec": {
        "podSelector": {"matchExpressions": [{"key": LABEL, "operator": "Exists"}]},
        "ingress": [{}],
        "policyTypes": ["Ingress"],
    },
}
"""A rule that lets this machine in, which is no pod of the namespace. A cluster may enforce such rules."""


@contextmanager
def made(kubectl: Kubectl, registry: str, namespace: str, folder: Path) -> Iterator[Team]:
    """Install Fairway in a namespace for the time of a block. Nothing of it may be left afterwards."""
    kubeconfig = make_user(kubectl, folder, "admin", namespace)
    fairway(kubeconfig, namespace, "install", "--image", push_image(registry))
    there = kubectl.inside(namespace)
    there.apply(VISITORS)
    yield Team(there, kubeconfig, folder)
    fairway(kubeconfig, namespace, "uninstall", "--yes")
    left = there("get", f"{OBJECTS},serviceaccounts", "-l", "fairway.dev/install", "-o", "name")
    assert left.strip() == ""

"""A control plane in this process whose hosts are pods of a real cluster. The pods reach it as the Service `fairway`."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fairway.cluster.client.config import load
from fairway.control.cluster import Address, ControlPlane, Surroundings
from fairway.engine.runs import Opened
from fairway.spec.install import ROLE_ACCOUNTS, STEP_ACCOUNT, DriverSize, Install
from fairway.spec.run import RunRequest
from fairway.wiring.machine import LocalStores
from fairway.wiring.namespace import Namespace
from lab.kubectl import Kubectl

UID = "f" * 32


def push_image(registry: str) -> str:
    """Push the image of this version and return its name by digest. What is there already is not sent again."""
    base = os.environ.get("FAIRWAY_LAB_BASE", f"{registry}/python:3.11")
    words = ["image", "push", f"{registry}/fairway-test", "--insecure", "--base", base, "--python", "3.11"]
    done = subprocess.run(
        [sys.executable, "-m", "fairway", *words], capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def address_here(kubeconfig: str) -> str:
    """Return the address of this machine as the cluster sees it."""
    host = load(
        context="", namespace="", environment={"KUBECONFIG": kubeconfig}, home=Path("/nonexistent")
    ).server
    name = host.split("//")[1].split("/")[0].rpartition(":")[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((name, 9))
        return str(probe.getsockname()[0])


class PlaneHere:
    """The control plane, and the namespace of its pods."""

    def __init__(self, namespace: Namespace, stores: LocalStores, kubectl: Kubectl) -> None:
        self.namespace = namespace
        self.stores = stores
        self.kubectl = kubectl
        self.notes: list[str] = []

    async def open(self, run: str, project: Path) -> Opened:
        """Import a project in the driver of a run."""
        bundle, _ = self.stores.artifacts.put_folder(project.parent)
        request = RunRequest(file=project.name, module=project.stem, bundle=bundle)
        try:
            return await self.namespace.open(run, request, self.notes.append)
        except asyncio.CancelledError as error:
            # The time of the test is over, and the pods are gone before anybody can look.
            seen = self.kubectl("get", "pods,events", "-o", "wide", "--sort-by=.metadata.creationTimestamp")
            raise AssertionError(f"the driver did not begin in time: {self.notes}\n{seen}") from error

    def pods(self) -> list[Any]:
        """Return the pods of runs."""
        return list(self.kubectl.json("get", "pods", "-l", "app.kubernetes.io/name=fairway-run")["items"])

    def pod(self, host: str) -> Any:
        """Return the pod of a host, or of a seat in it."""
        name = host.partition("/")[0]
        return next(one for one in self.pods() if one["metadata"]["labels"]["fairway.dev/host"] == name)


@asynccontextmanager
async def plane_here(
    kubectl: Kubectl,
    folder: Path,
    image: str,
    driver: DriverSize = DriverSize(cpu=0.5, memory="512Mi"),
    through: Path | None = None,
) -> AsyncGenerator[PlaneHere]:
    """Run a control plane until the block ends. The namespace of `kubectl` gets the objects that its pods need.

    `through` is the kubeconfig that leads the control plane to the API server, if it is another one than that of `kubectl`.
    """
    listening, links = socket.create_server(("0.0.0.0", 0)), socket.create_server(("0.0.0.0", 0))
    port = links.getsockname()[1]
    links.close()
    _prepare(kubectl, address_here(kubectl.kubeconfig), listening.getsockname()[1], port)
    stores = LocalStores(folder / "store").prepare()
    install = Install(uid=UID, namespace=kubectl.namespace, version="0", image=image, driver=driver)
    made: list[Namespace] = []

    def make(around: Surroundings) -> Namespace:
        access = load(
            context="",
            namespace=kubectl.namespace,
            environment={"KUBECONFIG": str(through or kubectl.kubeconfig)},
            home=Path("/nonexistent"),
        )
        made.append(Namespace(around.install, ("0.0.0.0", port), around.credential_for, around.say, access))
        return made[-1]

    plane = ControlPlane(install, stores, Address("0.0.0.0", port), make)
    running = asyncio.get_running_loop().create_task(plane.run(listening))
    try:
        await _answers(listening.getsockname()[1], running)
        yield PlaneHere(made[0], stores, kubectl)
    finally:
        running.cancel()
        await asyncio.wait([running])


async def _answers(port: int, running: "asyncio.Task[None]") -> None:
    """Wait until the control plane answers."""
    async with asyncio.timeout(60):
        while True:
            if running.done():
                await running
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
            except OSError:
                await asyncio.sleep(0.05)
            else:
                await asyncio.sleep(0.2)
                return


def _prepare(kubectl: Kubectl, address: str, http: int, link: int) -> None:
    """Make what an installation makes for its pods, with this machine in the place of the control plane's pod."""
    ports = [("http", 7700, http), ("link", 7701, link)]
    kubectl.apply(
        *(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
            for name in (STEP_ACCOUNT, *ROLE_ACCOUNTS)
        ),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "fairway-install"}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "fairway"},
            "spec": {"ports": [{"name": name, "port": port} for name, port, _ in ports]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "fairway-here", "labels": {"kubernetes.io/service-name": "fairway"}},
            "addressType": "IPv4",
            "ports": [{"name": name, "port": target} for name, _, target in ports],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    )

"""Words about nodes on a real cluster: what is there is found, and what nobody has is named."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from plane_here import push_image
from test_remote_run import Laptop, lines_until

from lab.kubectl import Kubectl, make_user
from lab.lab import Lab

NODE = "n3"
GPU = "nvidia.com~1gpu"
CLASS = "fairway-test-high"
LABELS = ("nvidia.com/gpu.product", "kubernetes.azure.com/scalesetpriority")
TAINTS = ("nvidia.com/gpu", "kubernetes.azure.com/scalesetpriority")
TEXT = f"""
import time
import fairway as fw

@fw.task(cpu=0.1, gpu="L4", spot=True, arch="amd64", priority="{CLASS}")
def chosen() -> str:
    print("here", flush=True)
    time.sleep(5)
    return "done"

@fw.task(cpu=0.1, gpu="H100")
def rare() -> int: return 1

@fw.task(cpu=0.1, gpu=8)
def many() -> int: return 1

@fw.task(cpu=0.1, arch="arm64")
def other() -> int: return 1

@fw.task(cpu=0.1, disk="100Mi")
def writes() -> None:
    with open("/tmp/big", "wb") as file:
        for _ in range(300):
            file.write(bytes(2**20))
    time.sleep(120)

@fw.task(cpu=0.1, priority="nobody-has-this")
def important() -> int: return 1

@fw.task(cpu=0.1, queue="team-a")
def queued() -> int: return 1

TASKS = dict(chosen=chosen, rare=rare, many=many, other=other, writes=writes, important=important, queued=queued)

@fw.pipeline
def main(names: list[str]) -> None:
    for name in names:
        TASKS[name]()
"""


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]) -> str:
    """A namespace with Fairway in it, whose drivers are small."""
    name = make_namespace()
    command = [sys.executable, "-m", "fairway", "install", "-n", name, "--image", push_image(registry)]
    environment = {**os.environ, "KUBECONFIG": kubectl.kubeconfig}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture(scope="module")
def there(kubectl: Kubectl, installed: str) -> Kubectl:
    """`kubectl` of an administrator in the namespace."""
    return kubectl.inside(installed)


@pytest.fixture
def laptop(kubectl: Kubectl, installed: str, tmp_path: Path) -> Laptop:
    """The command line of somebody who may edit the namespace."""
    name = f"user-{os.urandom(3).hex()}"
    made = Laptop(tmp_path, make_user(kubectl, tmp_path, "edit", installed, name))
    made.write("flow.py", TEXT)
    made.fairway("target", "add", "team")
    made.environment["FAIRWAY_TARGET"] = "team"
    return made


@contextmanager
def running(laptop: Laptop, *names: str) -> Iterator["subprocess.Popen[str]"]:
    """Run steps, and cancel the run when it was looked at."""
    run = laptop.fairway("run", "flow.py", "--names", *names, "--detach").stdout.strip()
    following = laptop.start("follow", run)
    try:
        yield following
    finally:
        if following.poll() is None:
            laptop.fairway("cancel", run)
        following.wait(90)


@pytest.fixture
def gpu_node(kubectl: Kubectl, lab: Lab) -> Iterator[None]:
    """A node of the lab that looks like a spot node of Azure with a GPU, which its taints keep for those who ask."""
    where = f"/status/capacity/{GPU}"
    patch = [{"op": "add", "path": where, "value": "1"}]
    change: tuple[str, ...] = ("patch", "node", NODE, "--subresource=status", "--type=json", "-p")
    kubectl(*change, json.dumps(patch))
    kubectl("label", "node", NODE, f"{LABELS[0]}=NVIDIA-L4", f"{LABELS[1]}=spot", "--overwrite")
    kubectl("taint", "node", NODE, f"{TAINTS[0]}=present:NoSchedule", f"{TAINTS[1]}=spot:NoSchedule")
    kubectl(
        "wait", f"node/{NODE}", "--for=jsonpath={.status.allocatable.nvidia\\.com/gpu}=1", "--timeout=60s"
    )
    yield
    kubectl("taint", "node", NODE, *(f"{key}-" for key in TAINTS))
    kubectl("label", "node", NODE, *(f"{key}-" for key in LABELS))
    kubectl(*change, json.dumps([{"op": "remove", "path": where}]))


@pytest.fixture
def high(kubectl: Kubectl) -> Iterator[None]:
    """A class of priority."""
    head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": CLASS}}
    kubectl.apply(head | {"value": 1000, "preemptionPolicy": "Never"})
    yield
    kubectl("delete", "priorityclass", CLASS)


@pytest.fixture
def queues(kubectl: Kubectl) -> Iterator[None]:
    """A cluster that serves the kinds of Kueue. The test itself lets Jobs begin."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    kubectl.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "localqueues.kueue.x-k8s.io"},
            "spec": {
                "group": "kueue.x-k8s.io",
                "names": {"kind": "LocalQueue", "plural": "localqueues"},
                "scope": "Namespaced",
                "versions": [version],
            },
        }
    )
    kubectl("wait", "--for=condition=Established", "crd/localqueues.kueue.x-k8s.io", "--timeout=30s")
    yield
    kubectl("delete", "crd", "localqueues.kueue.x-k8s.io")


def pods_for(there: Kubectl, word: str) -> list[Any]:
    """Return the pods of steps that asked for nodes with a word."""
    found = there.json("get", "pods", "-l", "app.kubernetes.io/name=fairway-run")["items"]
    return [one for one in found if word in one["metadata"]["annotations"].get("fairway.dev/nodes", "")]


def test_a_step_runs_on_the_node_that_has_its_gpu_and_accepts_its_taints(
    laptop: Laptop, there: Kubectl, gpu_node: None, high: None
) -> None:
    with running(laptop, "chosen") as following:
        lines_until(following, "here")
        (pod,) = pods_for(there, "L4")
        assert pod["spec"]["nodeName"] == NODE
        assert pod["spec"]["priority"] == 1000
        assert following.wait(60) == 0


def test_gpus_are_named_to_who_may_list_nodes(kubectl: Kubectl, installed: str, gpu_node: None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fairway", "doctor", "--namespace", installed, "--json"],
        env={**os.environ, "KUBECONFIG": kubectl.kubeconfig},
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert found["gpus"]["state"] == "ok"
    assert found["gpus"]["found"].startswith(
        "1 nvidia.com/gpu (NVIDIA-L4) on 1 of 3 nodes, behind the taints"
    )
    assert "nvidia.com/gpu=present:NoSchedule" in found["gpus"]["found"]
    assert "3 amd64" in found["nodes"]["found"]


def test_nodes_that_nobody_has_are_named_within_ten_seconds(laptop: Laptop, there: Kubectl) -> None:
    with running(laptop, "rare", "many", "other") as following:
        wanted = {
            'rare waits: no node fits: not gpu="H100" on 3 of 3 nodes',
            "many waits: no node fits: too little nvidia.com/gpu on 3 of 3 nodes",
            'other waits: no node fits: not arch="arm64" on 3 of 3 nodes',
        }
        there("wait", "--for=create", "job", "-l", "fairway.dev/host", "--timeout=60s")
        until = time.monotonic() + 90
        made = 0.0
        while wanted and time.monotonic() < until:
            assert following.stderr is not None
            line = following.stderr.readline()
            wanted = {one for one in wanted if one not in line}
            made = made or (time.monotonic() if pods_for(there, "H100") else 0.0)
        assert not wanted
        assert time.monotonic() - made < 15


def test_a_step_that_writes_more_than_its_disk_is_ended_once_and_told_so(laptop: Laptop) -> None:
    told = laptop.fairway("run", "flow.py", "--names", "writes", expect=1).stderr
    assert "it wrote more to disk than it may: the limit is 100Mi" in told
    assert '`@fw.task(disk="…")`' in told
    shown = json.loads(laptop.fairway("show", "--json").stdout)
    (step,) = shown["steps"]
    assert len(step["attempts"]) == 1


def test_a_class_of_priority_that_nobody_made_is_refused_by_its_name(laptop: Laptop) -> None:
    told = laptop.fairway("run", "flow.py", "--names", "important", expect=1).stderr
    assert "there is no class of priority nobody-has-this" in told
    assert "kubectl get priorityclasses" in told


def test_a_queue_without_kueue_is_refused_and_nothing_waits(laptop: Laptop, there: Kubectl) -> None:
    told = laptop.fairway("run", "flow.py", "--names", "queued", expect=1).stderr
    assert "it asks for queue team-a, and this cluster has no Kueue" in told
    assert "kueue.sigs.k8s.io" in told


def test_a_step_waits_in_its_queue_until_it_is_let_in(laptop: Laptop, there: Kubectl, queues: None) -> None:
    with running(laptop, "queued") as following:
        lines_until(following, "queued waits: its turn in queue team-a")
        (job,) = there.json("get", "jobs", "-l", "kueue.x-k8s.io/queue-name=team-a")["items"]
        assert job["spec"]["suspend"] is True
        assert not there.json("get", "pods", "-l", f"job-name={job['metadata']['name']}")["items"]
        there("patch", "job", job["metadata"]["name"], "-p", '{"spec": {"suspend": false}}')
        assert following.wait(120) == 0


def test_an_installation_knows_whose_nodes_it_has(there: Kubectl) -> None:
    found = there.json("get", "configmap", "fairway-install")["data"]["install.json"]
    assert json.loads(found)["cloud"] in ("plain", "eks", "gke", "aks")

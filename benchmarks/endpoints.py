"""An endpoint on a cluster beside a Deployment with FastAPI that is written by hand, with the same model and resources."""

import asyncio
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import cluster
from benchmarks.bare_deployment import MODEL, NAME, ByHand, objects, pod_of
from benchmarks.counting import PROJECTS
from benchmarks.environments import LOCKS
from benchmarks.measuring import (
    Sample,
    Samples,
    Spread,
    alternate,
    clean,
    milliseconds,
    of,
    ratio,
    spread,
    times,
)
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told
from fairway.wiring.equipping import Equipment
from fairway.wiring.targets import Target

HERE = Path(__file__).parent
_HAND, _OURS = "FastAPI by hand", "Fairway"
_CONNECTIONS, _SECONDS, _WARM = 16, 5.0, 1.0
_PATIENCE = 120.0
_RELEASE = re.compile(r"^([a-z0-9._-]+==[^\\\n]+)", re.MULTILINE)
_VISITORS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "visitors"},
    "spec": {"podSelector": {}, "ingress": [{}], "policyTypes": ["Ingress"]},
}
"""This machine is no pod of the namespace, and the endpoint lets in no others."""


@dataclass(frozen=True)
class Endpoint:
    """A Service with what is behind it, and a request that it answers.

    Attributes:
        there: the namespace.
        service: the name of the Service.
        pods: the label that its pods have.
    """

    there: cluster.There
    service: str
    pods: str

    @property
    def address(self) -> str:
        """The IP address of the Service."""
        return self.ask("get", "service", self.service, "-o", "jsonpath={.spec.clusterIP}")

    def ask(self, *words: str) -> str:
        """Return what kubectl prints."""
        words = (self.there.kubectl, "--namespace", self.there.namespace, *words)
        done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, env=clean())
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def pod(self) -> str:
        """Return the name of the one pod that is not about to go."""
        items = json.loads(self.ask("get", "pods", "-l", self.pods, "-o", "json"))["items"]
        (name,) = [one["metadata"]["name"] for one in items if "deletionTimestamp" not in one["metadata"]]
        return str(name)

    def spent(self, pod: str) -> float:
        """Return the seconds of CPU that the container has used."""
        return float(self.ask("exec", pod, "--", "python3", "-c", _SPENT))

    def answered(self, body: bytes) -> None:
        """Wait for the first answer."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                request = urllib.request.Request(
                    f"http://{self.address}/v2/models/{MODEL}/infer", body, _HEADERS
                )
                with urllib.request.urlopen(request, timeout=5) as answer:
                    json.load(answer)
                    return
            except (OSError, RuntimeError, urllib.error.URLError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def loaded(self, body: Path, seconds: float) -> Sample:
        """Measure a load of so many connections."""
        head = (
            f"POST /v2/models/{MODEL}/infer HTTP/1.1\nhost: {self.service}\ncontent-type: application/json\n"
        )
        plan = body.with_name(f"{self.service}.plan")
        plan.write_text(
            json.dumps(
                {
                    "head": head, "body": str(body), "address": self.address, "port": 80,
                    "connections": _CONNECTIONS, "warm": _WARM, "seconds": seconds,
                }
            ),
            "utf-8",
        )  # fmt: skip
        pod = self.pod()
        before = self.spent(pod)
        done = subprocess.run(
            [sys.executable, HERE / "serving_load.py", plan],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        if done.returncode:
            raise RuntimeError(f"the load on {self.service} failed: {done.stderr.strip()[-600:]}")
        seen = json.loads(done.stdout)
        if seen["bad"] or seen["closed"]:
            raise RuntimeError(f"{self.service} did not answer everything with 200: {seen}")
        cpu = (self.spent(pod) - before) / seen["total"]
        return {"per_second": seen["per_second"], "p99": seen["p99_ms"] / 1e3, "cpu": cpu, "core": 1 / cpu}


_HEADERS = {"content-type": "application/json"}
_SPENT = """
try:
    print(int(open("/sys/fs/cgroup/cpu.stat").read().split()[1]) / 1e6)
except FileNotFoundError:
    print(int(open("/sys/fs/cgroup/cpuacct/cpuacct.usage").read()) / 1e9)
"""
"""The program that prints the seconds of CPU of its container, in a control group of either version."""


def measure(bench: Bench) -> Figures:
    """A namespace of its own, in which both are made, changed and loaded in turns."""
    kubectl, registry = shutil.which("kubectl"), os.environ.get("FAIRWAY_LAB_REGISTRY", "")
    if not (registry and kubectl and os.environ.get("KUBECONFIG")):
        raise RuntimeError(
            "set KUBECONFIG to a cluster's, FAIRWAY_LAB_REGISTRY to a registry that its nodes pull from, and have kubectl"
        )
    with cluster.own_namespace(kubectl) as name:
        there = cluster.There(
            kubectl, name, cluster.push_image(registry), bench.folder, itertools.count(int(time.time()))
        )
        bench.versions["Kubernetes"] = cluster.version_of(kubectl)
        bench.say("installing and training")
        _train(there, bench)
        ours, hand = (
            Endpoint(there, MODEL, f"fairway.dev/endpoint={MODEL}"),
            Endpoint(there, NAME, f"app={NAME}"),
        )
        body = bench.folder / "row.body"
        body.write_bytes(_row())
        by_hand = _by_hand(there, ours, bench)
        bench.say("to the first answer")
        figures: Figures = {"first": alternate(_first(ours, hand, by_hand, body), bench.size(5, 1))}
        there.fairway("deploy", f"{MODEL}:1", "--replicas", "1", "--target", "bench")
        by_hand.put()
        bench.say("updates")
        figures["update"] = alternate(_update(there, by_hand), bench.size(6, 1))
        bench.say("load")
        seconds = bench.size(int(_SECONDS), 1)
        sides = {
            _HAND: lambda: hand.loaded(body, seconds),
            _OURS: lambda: ours.loaded(body, seconds),
        }
        figures["load"] = alternate(sides, bench.size(5, 1))
    return figures


def _train(there: cluster.There, bench: Bench) -> None:
    """Install Fairway, and register two versions of the model."""
    registry = os.environ["FAIRWAY_LAB_REGISTRY"]
    place = ("--image", there.image, "--registry", registry, "--insecure")
    there.fairway("install", "--namespace", there.namespace, *place, "--ephemeral")
    there.fairway("target", "add", "bench", "--namespace", there.namespace)
    subprocess.run(
        [there.kubectl, "--namespace", there.namespace, "apply", "-f", "-"],
        input=json.dumps(_VISITORS), text=True, check=True, capture_output=True, timeout=_PATIENCE, env=clean(),
    )  # fmt: skip
    (bench.folder / "project").mkdir()
    shutil.copy(PROJECTS / "answering.py", bench.folder / "project")
    for turn in ("1", "2"):
        there.fairway("run", "project/answering.py", "--turn", turn, "--target", "bench")


def _by_hand(there: cluster.There, ours: Endpoint, bench: Bench) -> ByHand:
    """Return the Deployment by hand, with the model, the resources and the packages of ours. Nothing is made yet."""
    there.fairway("models", "download", f"{MODEL}:1", "-o", "models", "--target", "bench")
    images: list[str] = []
    for version in ("2", "1"):
        there.fairway("deploy", f"{MODEL}:{version}", "--replicas", "1", "--target", "bench")
        pod = json.loads(ours.ask("get", "pod", ours.pod(), "-o", "json"))
        images.append(pod["spec"]["containers"][0]["image"])
    there.fairway("undeploy", MODEL, "--target", "bench")
    target = Target(name="bench", namespace=there.namespace, kubeconfig=os.environ["KUBECONFIG"])
    releases = _RELEASE.findall((LOCKS / "serving-fastapi.txt").read_text("utf-8"))
    image = asyncio.run(Equipment(target, None, lambda line: None).of_packages(releases))
    _bring_to_nodes(ours, [*images, image])
    program = (HERE / "serving_fastapi.py").read_text("utf-8")
    resources: dict[str, Any] = pod["spec"]["containers"][0]["resources"]
    file = bench.folder / "by-hand.json"
    (model,) = (bench.folder / "models").rglob("*.onnx")
    file.write_text(objects(image, program, model.read_bytes(), resources), "utf-8")
    bench.versions["FastAPI"] = next(one for one in releases if one.startswith("fastapi==")).partition("==")[
        2
    ]
    return ByHand(there.kubectl, there.namespace, file)


def _bring_to_nodes(ours: Endpoint, images: list[str]) -> None:
    """Have every node pull the images, so that no figure has the time of a download in it."""
    nodes = ours.ask("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()
    pods = [
        pod_of(f"seen-{place}", image, node) for place, (node, image) in enumerate(product(nodes, images))
    ]
    file = ours.there.folder / "seen.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}), "utf-8")
    ours.ask("apply", "-f", str(file))
    for pod in pods:
        ours.ask(
            "wait",
            "--for=jsonpath={.status.phase}=Succeeded",
            f"pod/{pod['metadata']['name']}",
            "--timeout=120s",
        )
    ours.ask("delete", "-f", str(file), "--wait=false")


def _first(ours: Endpoint, hand: Endpoint, by_hand: ByHand, body: Path) -> dict[str, Callable[[], Sample]]:
    """Return the two ways from nothing to the first answer."""
    row = body.read_bytes()

    def fairway() -> Sample:
        begun = time.perf_counter()
        ours.there.fairway("deploy", f"{MODEL}:1", "--replicas", "1", "--target", "bench")
        ours.answered(row)
        seconds = time.perf_counter() - begun
        ours.there.fairway("undeploy", MODEL, "--target", "bench")
        return {"wall": seconds}

    def bare() -> Sample:
        begun = time.perf_counter()
        by_hand.put()
        hand.answered(row)
        seconds = time.perf_counter() - begun
        by_hand.remove()
        return {"wall": seconds}

    return {_HAND: bare, _OURS: fairway}


def _update(there: cluster.There, by_hand: ByHand) -> dict[str, Callable[[], Sample]]:
    """Return the two ways to other pods: another version of the model, and another variable."""
    turn = itertools.count(2)

    def fairway() -> Sample:
        version = 1 + next(turn) % 2
        # The first one of the rounds is version 1 again, which changes nothing and is thrown away.
        return there.fairway("deploy", f"{MODEL}:{version}", "--replicas", "1", "--target", "bench")

    def bare() -> Sample:
        begun = time.perf_counter()
        by_hand.change(next(there.turns))
        return {"wall": time.perf_counter() - begun}

    return {_HAND: bare, _OURS: fairway}


def _row() -> bytes:
    """Return the request for one row of thirty measurements."""
    from sklearn.datasets import load_breast_cancer

    row = [round(float(value), 4) for value in load_breast_cancer(return_X_y=True)[0][0]]
    tensor = {"name": "input", "shape": [1, len(row)], "datatype": "FP32", "data": row}
    return json.dumps({"inputs": [tensor]}).encode()


def tell(figures: Figures) -> Told:
    """Four rows, and the load in full."""
    load: Samples = figures["load"]
    first, update = _longer(figures["first"]), ratio(figures["update"], _OURS, _HAND, "wall")
    core, late = ratio(load, _OURS, _HAND, "core"), ratio(load, _OURS, _HAND, "p99")
    seen = (
        Seen(
            milliseconds(of(figures["first"], _OURS).middle),
            f"{_HAND} {milliseconds(of(figures['first'], _HAND).middle)}",
            f"{first.middle:+.1f} s ({first.low:+.1f} to {first.high:+.1f})",
            first.middle <= 1.0,
            "The command starts Python and asks the platform, the pod fetches the model by its digest, and the server reproduces "
            "the samples of the model before it is ready.",
        ),
        Seen(
            milliseconds(of(figures["update"], _OURS).middle),
            f"{_HAND} {milliseconds(of(figures['update'], _HAND).middle)}",
            times(update),
            update.middle <= 1.2,
            "The command ends when the new revision answers everything, which is after the samples are reproduced.",
        ),
        Seen(
            f"{of(load, _OURS, 'core').middle:,.0f} /s",
            f"{_HAND} {of(load, _HAND, 'core').middle:,.0f} /s",
            times(core),
            core.middle >= 1.0,
        ),
        Seen(
            milliseconds(of(load, _OURS, "p99").middle),
            f"{_HAND} {milliseconds(of(load, _HAND, 'p99').middle)}",
            times(late),
            late.middle <= 1.0,
        ),
    )
    rows = tuple(
        (
            side,
            f"{of(load, side, 'per_second').middle:,.0f}",
            milliseconds(of(load, side, "p99").middle),
            f"{1e6 * of(load, side, 'cpu').middle:.0f} µs",
        )
        for side in (_HAND, _OURS)
    )
    return Told(
        seen,
        (Table(("Side", "Requests a second", "p99", "CPU of a request"), rows),),
        (
            f"The load has {_CONNECTIONS} connections through the Service, from this machine, whose cores the nodes share. "
            "Both pods have the same resources, the same ONNX model and the same request as JSON. CPU is that of the container.",
            "By hand, the model is in a ConfigMap and the pod is ready when its port listens.",
        ),
    )


def _longer(samples: Samples) -> Spread:
    """Return how many seconds Fairway took longer in each round."""
    pairs = zip(samples[_OURS], samples[_HAND], strict=True)
    return spread([ours["wall"] - hand["wall"] for ours, hand in pairs])


SUBJECT = Subject(
    name="endpoints",
    title="Endpoints on a cluster",
    says="A model behind an endpoint on a Kubernetes, beside a Deployment with FastAPI and ONNX Runtime that is written by hand.",
    goals=(
        Goal("an endpoint on a cluster, from the command to its first answer", "≤ by hand + 1 s"),
        Goal("an update of an endpoint on a cluster", "≤ 1.2 × `kubectl rollout`"),
        Goal("requests a second for a core of an endpoint's pod", "≥ FastAPI"),
        Goal("99th percentile of an endpoint on a cluster", "≤ FastAPI"),
    ),
    measure=measure,
    tell=tell,
)

"""Endpoints on a real cluster by the words that a person types who may edit one namespace, and nothing else."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from person import Person

from lab.kubectl import Kubectl, make_user

FUNCTIONS = """
import fairway as fw
from rates import RATE

@fw.endpoint(replicas=2)
def scaled(x: float) -> float:
    print("scaled", x, flush=True)
    return x * RATE
"""
MODEL = """
import fairway as fw
import numpy as np
from sklearn.ensemble import RandomForestClassifier

@fw.task
def train(trees: int) -> RandomForestClassifier:
    data = np.random.default_rng(0).normal(size=(200, 4))
    return RandomForestClassifier(n_estimators=trees, random_state=0).fit(data, (data[:, 0] > 0).astype(int))

@fw.task
def sample() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(32, 4))

@fw.pipeline
def forest(trees: int = 20) -> fw.ModelVersion:
    return fw.register("forest", train(trees), sample=sample())
"""
ROWS = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]}


@pytest.fixture(scope="module")
def person(
    kubectl: Kubectl,
    registry: str,
    make_namespace: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Person:
    """Somebody who may edit a namespace with Fairway."""
    name, home = make_namespace(), tmp_path_factory.mktemp("person")
    admin = Person(Path(kubectl.kubeconfig), name, home)
    base = os.environ.get("FAIRWAY_LAB_BASE", f"{registry}/python:3.11")
    where = ["--namespace", name, "--insecure", "--registry", registry, "--base", base, "--python", "3.11"]
    admin.does("install", *where, "--ephemeral")
    (home / "shop").mkdir()
    (home / "shop" / "serve.py").write_text(FUNCTIONS)
    (home / "shop" / "rates.py").write_text("RATE = 2\n")
    (home / "shop" / "forest.py").write_text(MODEL)
    found = Person(make_user(kubectl, tmp_path_factory.mktemp("editor"), "edit", name), name, home, "shop")
    found.does("target", "add", "team", "--namespace", name)
    return found


def status(person: Person, name: str) -> dict[str, Any]:
    listed = json.loads(person.run("endpoints", "--target", "team", "--json").stdout)
    return next(one for one in listed if one["name"] == name)


def ask(url: str, value: object, host: str = "") -> Any:
    headers = {"content-type": "application/json"} | ({"host": host} if host else {})
    request = urllib.request.Request(url, json.dumps(value).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for a fact. A refused or broken connection is none."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError, StopIteration):
            if condition():
                return
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.5)


@contextlib.contextmanager
def opened(person: Person, name: str) -> Iterator[str]:
    """Open an endpoint on this machine for the time of a block, and yield its URL."""
    command = subprocess.Popen(
        [sys.executable, "-m", "fairway", "endpoints", "--forward", name, "--target", "team"],
        env={**os.environ, "KUBECONFIG": str(person.kubeconfig), "HOME": str(person.home)},
        cwd=person.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert command.stdout is not None
        url = command.stdout.readline().strip()
        assert url, command.communicate()[1]
        yield url
        command.send_signal(signal.SIGINT)
        _, told = command.communicate(timeout=60)
        assert command.returncode == 0, told
        assert f"{name} is not open on this machine any more" in told
    finally:
        command.kill()
        command.wait()


def test_functions_are_deployed_opened_explained_and_removed(person: Person, kubectl: Kubectl) -> None:
    there = kubectl.inside(person.namespace)
    done = person.run("deploy", "serve.py", "--target", "team")
    assert done.returncode == 0, done.stderr
    assert "scaled  revision 1  function scaled, 2 replicas" in done.stderr
    assert done.stdout.strip() == f"http://scaled.{person.namespace}.svc/"
    assert re.search("@sha256:[0-9a-f]{64}$", status(person, "scaled")["revision"]["image"])
    with opened(person, "scaled") as url:
        assert ask(url, 4.0) == 8.0
        pods = there("get", "pods", "-l", "fairway.dev/endpoint=scaled", "-o", "name").split()
        there("delete", "--wait=false", *pods)
        # The pods that were there end with all of their streams, and others answer.
        until(lambda: not set(there("get", "pods", "-o", "name").split()) & set(pods), 180)
        until(lambda: ask(url, 5.0) == 10.0)
    until(lambda: "is as wanted: revision 1 answers, 2/2" in person.does("why", "scaled", "--target", "team"))
    assert "| scaled 5.0" in person.run("logs", "scaled", "--target", "team").stdout
    (person.home / "shop" / "rates.py").write_text("RATE = 3\n")
    assert "function scaled, 1 replica" in person.does(
        "deploy", "serve.py:scaled", "--replicas", "1", "--target", "team"
    )
    address = there.json("get", "service", "scaled")["spec"]["clusterIP"]
    assert ask(f"http://{address}/", 2.0) == 6.0
    assert "scaled  revision 1" in person.does("rollback", "scaled", "--target", "team")
    assert ask(f"http://{address}/", 2.0) == 4.0
    person.does("undeploy", "scaled", "--target", "team")
    until(lambda: there("get", "all,configmaps", "-l", "fairway.dev/endpoint=scaled", "-o", "name") == "")


def test_a_revision_that_cannot_serve_is_taken_back_with_its_reason(person: Person) -> None:
    (person.home / "shop" / "broken.py").write_text(
        "import os\nimport fairway as fw\n\nif os.path.exists('/etc/fairway/worker.json'):\n"
        "    raise ValueError('no such table')\n\n@fw.endpoint\ndef broken(x: float) -> float:\n    return x\n"
    )
    # Its output ends with the traceback of the server, so it is read here.
    done = person.run("deploy", "broken.py", "--target", "team", seconds=500)
    told = done.stderr
    assert done.returncode == 1, told
    assert "revision 1 of broken did not become ready" in told
    assert "no such table" in told
    assert "broken" not in person.run("endpoints", "--target", "team").stdout


@pytest.mark.thorough
def test_a_model_is_in_its_image_and_needs_nothing_else(
    person: Person, kubectl: Kubectl, make_namespace: Callable[..., str]
) -> None:
    there = kubectl.inside(person.namespace)
    ran = person.run("run", "forest.py", "--target", "team", seconds=500)
    assert ran.returncode == 0, ran.stderr
    first = person.does("deploy", "forest", "--target", "team")
    assert "forest version 1, " in first
    assert "sent" in first
    assert "sent" not in person.does("deploy", "forest", "--target", "team")
    other = make_namespace()
    objects = person.run("render", "forest", "--target", "team", "--namespace", other).stdout
    subprocess.run(
        [kubectl.program, "--kubeconfig", kubectl.kubeconfig, "apply", "-f", "-"],
        input=objects, text=True, check=True, capture_output=True,
    )  # fmt: skip
    kubectl.inside(other)(
        "wait", "deployment", "--all", "--for=condition=Available", "--timeout=120s", seconds=150
    )
    address = kubectl.inside(other).json("get", "service", "forest")["spec"]["clusterIP"]
    rendered = ask(f"http://{address}/v2/models/forest/infer", ROWS)["outputs"][0]["data"]
    # Without the control plane, pods that are made anew serve as those before.
    there("scale", "deployment", "fairway", "--replicas=0")
    pods = there("get", "pods", "-l", "fairway.dev/endpoint=forest", "-o", "name").split()
    there("delete", *pods, seconds=180)
    address = there.json("get", "service", "forest")["spec"]["clusterIP"]
    url = f"http://{address}/v2/models/forest/infer"
    until(lambda: ask(url, ROWS)["outputs"][0]["data"] == rendered)
    there("scale", "deployment", "fairway", "--replicas=1")

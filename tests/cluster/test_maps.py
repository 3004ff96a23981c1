"""Maps on a real cluster: few pods carry out many items, and what happens to one of them costs one item an attempt."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from plane_here import push_image

from lab.kubectl import Kubectl, make_user

TEXT = """
import os, time
import fairway as fw

@fw.task(cpu=0.25, memory="256Mi")
def cube(value: int, seconds: float) -> int:
    print("cube of", value)
    time.sleep(seconds)
    return value ** 3

@fw.task(cpu=0.25, memory="256Mi", retries=1)
def poison(value: int, how: str) -> int:
    if value == 3 and how == "exit":
        os._exit(7)
    if value == 3 and how == "memory":
        kept = []
        while True:
            kept.append(bytearray(os.urandom(2**20) * 16))
    time.sleep(0.2)
    return value

@fw.pipeline
def main(count: int = 200, seconds: float = 0.1) -> int:
    return sum(cube.map(range(count), seconds=seconds))

@fw.pipeline
def bitter(how: str = "exit") -> int:
    return sum(poison.map(range(24), how=how))
"""


class Laptop:
    """The command line in a project's folder on a person's machine."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self.folder = folder / "shop"
        self.folder.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("FAIRWAY_", "XDG_"))},
            "HOME": str(folder), "KUBECONFIG": str(kubeconfig), "CI": "1",
        }  # fmt: skip
        (self.folder / "flow.py").write_text(TEXT, encoding="utf-8")
        self.fairway("target", "add", "team")

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "fairway", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fairway(self, *words: str, expect: int = 0) -> str:
        process = self.start(*words)
        told, error = process.communicate(timeout=400)
        assert process.returncode == expect, told + error
        return told

    def run(self, *words: str, expect: int = 0) -> Any:
        """Carry out a run there, and return what is on record of it."""
        return self.shown(self.begin(*words), expect)

    def begin(self, *words: str) -> str:
        """Begin a run there, and return its name."""
        return self.fairway("run", *words, "--target", "team", "--detach").strip()

    def shown(self, name: str, expect: int = 0) -> Any:
        """Wait for the end of a run, and return what is on record of it."""
        self.fairway("follow", name, "--target", "team", expect=expect)
        return self.now(name)

    def now(self, name: str) -> Any:
        """Return what is on record of a run now."""
        return json.loads(self.fairway("show", name, "--json", "--target", "team"))


class Watched:
    """The pods of steps that there ever were while a block runs."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.names: set[str] = set()
        self._kubectl = kubectl
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watched":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def now(self) -> list[str]:
        """The pods of steps that there are."""
        items = self._kubectl.json("get", "pods", "-l", "app.kubernetes.io/name=fairway-run")["items"]
        found = [one["metadata"]["name"] for one in items if not one["metadata"].get("deletionTimestamp")]
        return [name for name in found if "-w-" in name]

    def until(self, count: int) -> list[str]:
        """Wait for so many pods that run."""
        until = time.monotonic() + 90
        while True:
            items = self._kubectl.json("get", "pods", "-l", "app.kubernetes.io/name=fairway-run")["items"]
            running = [
                one["metadata"]["name"]
                for one in items
                if one["status"]["phase"] == "Running" and "-w-" in one["metadata"]["name"]
            ]
            if len(running) >= count:
                return running
            assert time.monotonic() < until, items
            time.sleep(0.3)

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self.names.update(self.now())


@pytest.fixture(scope="module")
def installed(kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]) -> str:
    """A namespace with Fairway in it."""
    name = make_namespace()
    words = ["install", "--namespace", name, "--image", push_image(registry)]
    done = subprocess.run(
        [sys.executable, "-m", "fairway", *words],
        env={**os.environ, "KUBECONFIG": kubectl.kubeconfig},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return name


@pytest.fixture(scope="module")
def editor(kubectl: Kubectl, installed: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of somebody who may edit the namespace."""
    return make_user(kubectl, tmp_path_factory.mktemp("editor"), "edit", installed)


@pytest.fixture
def laptop(tmp_path: Path, editor: Path) -> Laptop:
    return Laptop(tmp_path, editor)


def attempts(shown: Any) -> list[int]:
    """The numbers of attempts of the steps."""
    return [len(step["attempts"]) for step in shown["steps"]]


def ended_well(shown: Any) -> int:
    """The number of steps that succeeded."""
    return sum(step["phase"] == "Succeeded" for step in shown["steps"])


def losses(shown: Any) -> list[str]:
    """The reasons of the attempts that did not succeed."""
    every = [attempt for step in shown["steps"] for attempt in step["attempts"]]
    return [one["failure"]["reason"] for one in every if one.get("failure")]


def test_many_small_items_use_few_pods_and_give_what_the_laptop_gives(
    laptop: Laptop, kubectl: Kubectl, installed: str
) -> None:
    with Watched(kubectl.inside(installed)) as pods:
        shown = laptop.run("flow.py:main")
    here = laptop.fairway("run", "flow.py:main", "--target", "local", "--json")
    assert shown["result"] == json.loads(here)["result"]
    assert attempts(shown) == [1] * 200
    assert len(pods.names) <= 8


@pytest.mark.thorough
def test_a_pod_that_is_deleted_costs_its_items_an_attempt_and_no_retry(
    laptop: Laptop, kubectl: Kubectl, installed: str
) -> None:
    with Watched(kubectl.inside(installed)) as pods:
        name = laptop.begin("flow.py:main", "--count", "120", "--seconds", "1")
        gone = pods.until(1)[0]
        kubectl.inside(installed)("delete", "pod", gone, "--wait=false")
        shown = laptop.shown(name)
    assert shown["phase"] == "Succeeded"
    assert set(losses(shown)) <= {"host"}
    assert max(attempts(shown)) <= 2
    assert len(losses(shown)) <= 8


@pytest.mark.parametrize(
    ("how", "reason"), [("exit", "crash"), pytest.param("memory", "oom", marks=pytest.mark.thorough)]
)
def test_an_item_that_harms_its_pod_fails_alone_after_its_retries(
    laptop: Laptop, how: str, reason: str
) -> None:
    shown = laptop.run("flow.py:bitter", "--how", how, expect=1)
    failed = [step for step in shown["steps"] if step["phase"] == "Failed"]
    assert len(failed) == 1
    counted = [one["failure"]["reason"] for one in failed[0]["attempts"]]
    assert [one for one in counted if one != "host"] == [reason, reason]
    assert sum(step["phase"] == "Succeeded" for step in shown["steps"]) == 23


def test_a_cancelled_map_leaves_no_pod(laptop: Laptop, kubectl: Kubectl, installed: str) -> None:
    with Watched(kubectl.inside(installed)) as pods:
        name = laptop.begin("flow.py:main", "--count", "100", "--seconds", "5")
        pods.until(1)
        laptop.fairway("cancel", name, "--target", "team")
        until = time.monotonic() + 60
        while kubectl.inside(installed).json("get", "jobs", "-l", "app.kubernetes.io/name=fairway-run")[
            "items"
        ]:
            assert time.monotonic() < until
            time.sleep(0.5)


@contextlib.contextmanager
def full_quota(there: Kubectl) -> Iterator[None]:
    """Give a namespace a quota for the CPUs that its pods have now, and no more."""
    there("create", "quota", "full", "--hard=requests.cpu=100")
    try:
        until = time.monotonic() + 30
        while not (used := there.json("get", "quota", "full").get("status", {}).get("used")):
            assert time.monotonic() < until
            time.sleep(0.2)
        hard = {"spec": {"hard": {"requests.cpu": used["requests.cpu"]}}}
        there("patch", "quota", "full", "--patch", json.dumps(hard))
        yield
    finally:
        there("delete", "quota", "full")


FULL: dict[str, Callable[[Kubectl], contextlib.AbstractContextManager[None]]] = {
    "nodes": contextlib.nullcontext,
    "quota": full_quota,
}


@pytest.mark.thorough
@pytest.mark.parametrize("filled", FULL)
def test_a_map_goes_on_in_a_full_namespace_while_the_control_plane_is_killed(
    laptop: Laptop, kubectl: Kubectl, installed: str, filled: str
) -> None:
    there = kubectl.inside(installed)
    with Watched(there) as pods:
        name = laptop.begin("flow.py:main", "--count", "80", "--seconds", "2")
        pods.until(1)
        # An attempt whose pod only starts has done nothing yet, and begins again.
        until = time.monotonic() + 60
        while ended_well(laptop.now(name)) < 16:
            assert time.monotonic() < until
            time.sleep(0.5)
        with FULL[filled](there):
            chosen = "app.kubernetes.io/name=fairway,app.kubernetes.io/instance=fairway"
            there("delete", "pod", "-l", chosen, "--grace-period=0", "--force")
            shown = laptop.shown(name)
    assert shown["phase"] == "Succeeded"
    assert max(attempts(shown)) <= 2
    # What was given up had not begun: its pod did not run yet, or the order did not reach it.
    given_up = [step["spec"]["name"] for step in shown["steps"] if len(step["attempts"]) > 1]
    for step in given_up[:5]:
        lines = laptop.fairway("logs", f"{name}/{step}", "--json", "--target", "team").splitlines()
        assert {json.loads(line)["attempt"] for line in lines} == {2}
    until = time.monotonic() + 90
    while there.json("get", "jobs", "-l", "app.kubernetes.io/name=fairway-run")["items"]:
        assert time.monotonic() < until
        time.sleep(0.5)

"""An installation of Fairway that tests harm. Its control plane is asked over its Service."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from plane_here import push_image

from fairway.spec.install import DriverSize, decode
from lab.kubectl import Kubectl

RUNS = "app.kubernetes.io/name=fairway-run"
PLANE = "app.kubernetes.io/name=fairway,app.kubernetes.io/instance=fairway"
SMALL = DriverSize(cpu=0.3, memory="384Mi")
API = "/api/v1"
_ANSWER_SECONDS = 30.0


class Away(Exception):
    """The control plane did not answer."""


class Installation:
    """Fairway in a namespace of its own.

    Args:
        kubectl: `kubectl` of the administrator, in the namespace.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        service = kubectl.json("get", "service", "fairway")
        self._address = service["spec"]["clusterIP"]
        self._port = next(one["port"] for one in service["spec"]["ports"] if one["name"] == "http")
        self.tokens = {role: self.token(role) for role in ("viewer", "runner", "deployer")}

    def token(self, role: str, *words: str) -> str:
        """Return a token of an account of this installation."""
        return self.kubectl("create", "token", f"fairway-{role}", *words).strip()

    def ask(
        self, method: str, path: str, body: bytes | dict[str, Any] = b"", seconds: float = 30, **headers: str
    ) -> tuple[int, Any]:
        """Send a request once, as a runner if nothing else is said. Raises Away."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        if not {"x-fairway-token", "x-fairway-run", "anonymous"} & sent.keys():
            sent["x-fairway-token"] = self.tokens["runner"]
        if isinstance(body, dict):
            body, sent["content-type"] = json.dumps(body).encode(), "application/json"
        client = http.client.HTTPConnection(self._address, self._port, timeout=seconds)
        try:
            client.request(method, path, body, sent)
            answer = client.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Away(str(error)) from error
        finally:
            client.close()
        if answer.headers.get("content-type") == "application/json":
            content = json.loads(content or b"null")
        return answer.status, content

    def insist(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] = b"",
        seconds: float = 120,
        each: float = 30,
    ) -> Any:
        """Send a request until it is answered, and return the answer, which has to be a good one."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(Away):
                status, said = self.ask(method, path, body, each)
                if status == 200:
                    return said
                assert status == 503, (status, said)
            assert time.monotonic() < until, f"{method} {path} was not answered in {seconds:.0f} s"
            time.sleep(0.2)

    def send(self, text: str, **files: str) -> str:
        """Send a project with the file `flow.py`, and return the digest of its bundle."""
        contents = {"flow.py": text, **files}
        entries = []
        for path, content in sorted(contents.items()):
            data = content.encode()
            digest = hashlib.sha256(data).hexdigest()
            entries.append({"path": path, "digest": digest, "size": len(data)})
            self.insist("PUT", f"{API}/store/blobs/{digest}", data)
        listed = json.dumps({"files": entries}).encode()
        digest = hashlib.sha256(listed).hexdigest()
        self.insist("PUT", f"{API}/store/blobs/{digest}", listed)
        return digest

    def submit(
        self, bundle: str, pipeline: str = "main", images: dict[str, str] | None = None, **texts: object
    ) -> str:
        """Start a run, with the same key until that is acknowledged, and return its name."""
        request = {
            "bundle": bundle,
            "file": "flow.py",
            "pipeline": pipeline,
            "key": os.urandom(8).hex(),
            "images": images or {},
        }
        given = {name: [str(value)] for name, value in texts.items()}
        return self.insist("POST", f"{API}/runs", {**request, "texts": given}, 240)["run"]

    def run(self, name: str) -> Any:
        """Return a run with its steps."""
        return self.insist("GET", f"{API}/runs/{name}")

    def news(self, run: str, seconds: float = 240) -> Iterator[dict[str, Any]]:
        """Yield everything that is told of a run, until it is over."""
        after, until = "", time.monotonic() + seconds
        while True:
            assert time.monotonic() < until, (run, self.run(run), self.log()[-3000:])
            path = f"{API}/runs/{run}/follow?wait=5&after={after.replace('+', '%2B')}"
            for update in self.insist("GET", path):
                after = update["position"]
                yield update["news"]
                if update["news"]["type"] == "over":
                    return

    def follow(self, run: str, seconds: float = 240) -> list[dict[str, Any]]:
        """Return everything that is told of a run, once it is over."""
        return list(self.news(run, seconds))

    def until_output(self, run: str, text: str, seconds: float = 240) -> None:
        """Return once a run has printed a text."""
        printed = b""
        for news in self.news(run, seconds):
            if news["type"] == "output":
                printed += base64.b64decode(news["data"])
            if text.encode() in printed:
                return
        raise AssertionError(f"run {run} never printed {text!r}, but {printed[-500:]!r}")

    def printed(self, run: str, step: str, attempt: int = 1) -> list[str]:
        """Return the lines that an attempt printed."""
        lines, offset = [], 0
        while True:
            page = self.insist(
                "GET", f"{API}/runs/{run}/output?step={step}&attempt={attempt}&offset={offset}"
            )
            lines += [line["text"] if isinstance(line, dict) else line[1] for line in page["lines"]]
            if page["offset"] == offset:
                return lines
            offset = page["offset"]

    def pods(self, labels: str = RUNS) -> list[Any]:
        """Return pods, without those that are going already."""
        found = self.kubectl.json("get", "pods", "-l", labels)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def delete_pod(self, name: str, *words: str) -> None:
        """Delete a pod, and do not wait until it is gone."""
        self.kubectl("delete", "pod", name, "--wait=false", "--ignore-not-found", *words)

    def kill(self) -> None:
        """End the control plane with SIGKILL. Another pod takes its place, so Kubernetes does not wait longer each time."""
        for pod in self.pods(PLANE):
            for process in processes(pod["metadata"]["uid"]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self.delete_pod(pod["metadata"]["name"], "--grace-period=0", "--force")

    def log(self) -> str:
        """Return what the control plane has said."""
        return self.kubectl("logs", "-l", PLANE, "--tail=200", check=False)

    def nothing_is_left(self, seconds: float = 90) -> float:
        """Wait until no object of a run is left, and return how long that took."""
        began = time.monotonic()
        while left := self.kubectl("get", "jobs,pods", "-l", RUNS, "-o", "name").split():
            assert time.monotonic() - began < seconds, (left, self.log()[-2000:])
            time.sleep(0.5)
        return time.monotonic() - began


def install(kubectl: Kubectl, registry: str, namespace: str, driver: DriverSize = SMALL) -> Installation:
    """Install Fairway in a namespace, with small drivers, so that several runs have room beside each other."""
    command = [
        sys.executable,
        "-m",
        "fairway",
        "install",
        "--namespace",
        namespace,
        "--image",
        push_image(registry),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "KUBECONFIG": kubectl.kubeconfig},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    inside = kubectl.inside(namespace)
    found = inside.json("get", "configmap", "fairway-install")
    text = msgspec.structs.replace(decode(found["data"]["install.json"]), driver=driver).encode()
    inside(
        "patch",
        "configmap",
        "fairway-install",
        "--type=merge",
        "-p",
        json.dumps({"data": {"install.json": text}}),
    )
    inside("rollout", "restart", "deployment/fairway")
    inside("rollout", "status", "deployment/fairway", "--timeout=120s", seconds=150)
    made = Installation(inside)
    made.insist("GET", "/readyz")
    return made


def processes(pod: str) -> list[int]:
    """Return the processes of a pod of the lab, which are processes of this machine."""
    words, found = {pod, pod.replace("-", "_")}, list[int]()
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            text = group.read_text()
            if any(word in text for word in words):
                found.append(int(group.parent.name))
    return found


def events(news: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events among the news of a run."""
    return [one["event"] for one in news if one["type"] == "event"]


def told_once(news: list[dict[str, Any]]) -> None:
    """Check that the log has every step once: it was called once, ended once, and each attempt began and ended once."""
    told = Counter(
        (event["body"]["type"], event["step"], event["body"].get("number", 0))
        for event in events(news)
        if event["step"]
        and event["body"]["type"] in ("step.called", "step.ended", "attempt.started", "attempt.ended")
    )
    assert set(told.values()) <= {1}, told
    numbers = [event["seq"] for event in events(news)]
    assert numbers == sorted(set(numbers))


def attempts(run: Any) -> dict[str, int]:
    """Return how many attempts each step of a run had."""
    return {step["spec"]["name"]: len(step["attempts"]) for step in run["steps"]}


def wait(what: str, true: Callable[[], Any], seconds: float = 120, pause: float = 0.2) -> Any:
    """Wait until something is true, and return it."""
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, f"{what} did not come in {seconds:.0f} s"
        time.sleep(pause)
    return found

"""A project whose model and functions are served, as the tests of serving use it: processes, requests, load."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairway.server.output import NAME

pytest.importorskip("onnxruntime")

PROJECT = """
import fairway as fw
import numpy as np
from sklearn.linear_model import LogisticRegression

@fw.task
def train(c: float) -> LogisticRegression:
    random = np.random.default_rng(0)
    data = random.normal(size=(200, 4))
    return LogisticRegression(C=c).fit(data, (data[:, 0] > 0).astype(int))

@fw.task
def sample() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(32, 4))

@fw.pipeline
def churn(c: float = 1.0) -> fw.ModelVersion:
    return fw.register("churn", train(c), sample=sample())
"""
FUNCTIONS = """
import fairway as fw
from factors import FACTOR

@fw.endpoint
def double(x: float) -> float:
    return x * FACTOR

@fw.endpoint(private=True)
def triple(xs: list[float]) -> list[float]:
    return [x * 3 for x in xs]
"""


class Project:
    """A folder with a project, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / ".fairway"

    def fairway(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ)
        environment["FAIRWAY_HOME"] = str(self.root)
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: str) -> Any:
        return msgspec.json.decode(self.fairway(*words, "--json").stdout)

    def workers(self, name: str = "") -> list[int]:
        """Process ids of the workers of an endpoint, or of all."""
        return processes(b"fairway.server", str(self.root / "endpoints" / name).encode())

    def platform(self) -> list[int]:
        return processes(b"fairway.control", str(self.root).encode())

    def api(self, method: str, path: str, **headers: str) -> tuple[int, Any]:
        record = msgspec.json.decode((self.root / "platform" / "platform.json").read_bytes())
        token = (self.root / "platform" / "token").read_text()
        connection = http.client.HTTPConnection("127.0.0.1", record["port"], timeout=240)
        given = {"authorization": f"Bearer {token}", **headers}
        connection.request(
            method, path, headers={key.replace("_", "-"): value for key, value in given.items()}
        )
        answer = connection.getresponse()
        return answer.status, msgspec.json.decode(answer.read())


def trained_twice(folder: Path, text: str) -> Path:
    """Write the project file `churn.py` into a folder, and register two versions of its model."""
    (folder / "churn.py").write_text(text)
    project = Project(folder)
    project.fairway("run", "churn.py")
    project.fairway("run", "churn.py", "--c", "0.01")
    return folder


def processes(*words: bytes) -> list[int]:
    """Living processes with these words in their command line, but for those that pass a worker's output on."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                own = (entry / "comm").read_text().strip()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except (OSError, IndexError):
                continue
            if state != "Z" and own != NAME and all(word in command for word in words):
                found.append(int(entry.name))
    return sorted(found)


def infer(connection: http.client.HTTPConnection, name: str = "churn") -> str:
    """Ask once; returns the version that answered."""
    body = b'{"inputs":[{"name":"input","datatype":"FP64","shape":[1,4],"data":[1,2,3,4]}]}'
    signature = getattr(connection, "signature", None)
    if signature is not None:
        body = body.replace(b'"input"', f'"{signature[0]}"'.encode()).replace(b"FP64", signature[1].encode())
    connection.request("POST", f"/v2/models/{name}/infer", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    said = msgspec.json.decode(answer.read())
    assert answer.status == 200, said
    return str(said["model_version"])


def connect(port: int, name: str = "churn") -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
    connection.request("GET", f"/v2/models/{name}")
    (tensor,) = msgspec.json.decode(connection.getresponse().read())["inputs"]
    connection.signature = (tensor["name"], tensor["datatype"])  # type: ignore[attr-defined]
    return connection


def eventually(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


class Load:
    """Clients that keep their connections and ask without pause; every failure is kept."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.failures: list[str] = []
        self.versions: dict[str, int] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port,)) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, port: int) -> None:
        connection = connect(port)
        while not self._stop.is_set():
            try:
                version = infer(connection)
                self.versions[version] = self.versions.get(version, 0) + 1
            except (OSError, AssertionError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection = connect(port)

"""Starts one server of the comparison on the first core, loads it from the second, and reads what it cost.

All servers are processes of their own, answer the same request and are asked through the same load generator.
"""

import glob
import http.client
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = "0", "1"
_UP_SECONDS = 60.0
_LAST_LINES = 15
_numbers = itertools.count()


@dataclass(frozen=True)
class Kind:
    """A server of the comparison: its name, the interpreter it runs on, and how it is set up."""

    name: str
    python: str = sys.executable
    script: str = ""
    batch: int = 64
    env: dict[str, str] = field(default_factory=dict[str, str])


FAIRWAY = Kind("Fairway")
BARE = Kind("bare handler", script="serving_bare.py")


class Running:
    """A server that was started for one model; leaving the context ends it."""

    def __init__(self, kind: Kind, model: str, folder: Path) -> None:
        self.kind = kind
        self.model = model
        self.folder = folder
        self.started = time.perf_counter()
        self.port = 0
        self.process = self._fairway() if not kind.script else self._other()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def first_answer(self) -> float:
        """Seconds from its start until it answered a request."""
        head, body = request(self, "json")
        headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
        until = self.started + _UP_SECONDS
        while time.perf_counter() < until and self.process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_UP_SECONDS)
            try:
                connection.request("POST", f"/v2/models/{self.model}/infer", body, headers)
                if connection.getresponse().status == 200:
                    return time.perf_counter() - self.started
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.01)
        said = self._log().read_text(errors="replace").splitlines()[-_LAST_LINES:]
        raise SystemExit("\n".join([f"{self.kind.name} did not answer; it said last:", *said]))

    def memory(self) -> float:
        """Resident MB of it and its children."""
        return sum(resident(pid) for pid in family(self.process.pid)) / 1024

    def cpu(self) -> float:
        """Seconds of CPU that it and its children have used."""
        return sum(map(spent_by, family(self.process.pid)))

    def load(self, connections: int, seconds: float, encoding: str = "json") -> dict[str, float] | None:
        """What the load generator saw, and microseconds of CPU a request; None when it cannot answer this."""
        head, body = request(self, encoding)
        place = self.folder / f"load-{next(_numbers)}"
        place.with_suffix(".body").write_bytes(body)
        plan = {
            "head": head, "body": str(place.with_suffix(".body")), "port": self.port,
            "connections": connections, "warm": 0.2, "seconds": seconds,
        }  # fmt: skip
        place.with_suffix(".json").write_text(json.dumps(plan))
        before = self.cpu()
        command = ["taskset", "-c", LOAD_CORE, sys.executable, str(HERE / "serving_load.py")]
        done = subprocess.run(
            [*command, str(place.with_suffix(".json"))], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return None
        seen: dict[str, float] = json.loads(done.stdout)
        seen["cpu_us"] = 1e6 * (self.cpu() - before) / seen["total"]
        return seen

    def _fairway(self) -> "subprocess.Popen[bytes]":
        listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(listening.getsockname()[1])
        own = self.folder / f"worker-{next(_numbers)}"
        own.mkdir()
        spec = {
            "revision": {
                "endpoint": self.model, "number": 1, "limits": {"batch": self.kind.batch},
                "model": json.loads((self.folder / f"{self.model}.json").read_bytes()),
            },
            "store": str(self.folder / "store"), "control": str(own / "control.sock"),
            "metrics": str(own / "metrics"), "hosts": [f"127.0.0.1:{self.port}"],
        }  # fmt: skip
        (own / "spec.json").write_text(json.dumps(spec))
        fd = listening.fileno()
        command = ["-m", "fairway.server", str(own / "spec.json"), "--fd", str(fd)]
        with listening:
            return self._start(command, (fd,))

    def _other(self) -> "subprocess.Popen[bytes]":
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        script = str(HERE / self.kind.script)
        return self._start([script, str(self.folder / f"{self.model}.onnx"), self.model, str(self.port)])

    def _start(self, arguments: list[str], fds: tuple[int, ...] = ()) -> "subprocess.Popen[bytes]":
        command = ["taskset", "-c", SERVER_CORE, self.kind.python, *arguments]
        with open(self._log(), "ab") as log:
            return subprocess.Popen(
                command, pass_fds=fds, stdout=log, stderr=log, env={**os.environ, **self.kind.env}
            )

    def _log(self) -> Path:
        return self.folder / f"{self.kind.name.replace(' ', '-')}.log"


def request(server: Running, encoding: str) -> tuple[str, bytes]:
    """The head, without Content-Length, and the body of one row's request."""
    rows = np.load(server.folder / f"{server.model}.npy")[:1]
    tensor: dict[str, Any] = {"name": "input", "shape": list(rows.shape), "datatype": "FP32"}
    head = f"POST /v2/models/{server.model}/infer HTTP/1.1\nhost: 127.0.0.1:{server.port}\n"
    if encoding == "json":
        tensor["data"] = [round(float(value), 6) for value in rows.ravel()]
        return f"{head}content-type: application/json\n", json.dumps({"inputs": [tensor]}).encode()
    data = rows.astype("<f4").tobytes()
    tensor["parameters"] = {"binary_data_size": len(data)}
    text = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    head += f"content-type: application/octet-stream\ninference-header-content-length: {len(text)}\n"
    return head, text + data


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for path in glob.glob(f"/proc/{parent}/task/*/children"):
            found.extend(map(int, _read(path).split()))
    return found


def spent_by(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    return sum(int(_read(path).split()[0] or 0) for path in glob.glob(f"/proc/{pid}/task/*/schedstat")) / 1e9


def resident(pid: int) -> int:
    """Its resident KB."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""

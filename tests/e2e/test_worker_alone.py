"""A worker of the model server that has nothing but its spec and the artifacts: no platform, no log, no socket of others."""

import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Offer, RevisionSpec, ServerLimits, WorkerSpec
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.stores import FileArtifacts, Layout

FUNCTION = """
import sys
import time

import fairway as fw

print("turns of", sys.getswitchinterval())


@fw.endpoint
def scaled(x: float, wait: float = 0.0) -> float:
    time.sleep(wait)
    return x * fw.value(fw.model("factor"))
"""


def inline(data: bytes) -> Artifact:
    return Artifact(format="json", digest=hashlib.sha256(data).hexdigest(), size=len(data), inline=data)


class Alone:
    """A worker on a port of its own."""

    def __init__(self, folder: Path, port: int, **changes: Any) -> None:
        self.port = port
        self.log = folder / "log"
        root = folder / "store"
        Layout(root).prepare()
        store = FileArtifacts(root)
        project = folder / "project"
        project.mkdir()
        (project / "f.py").write_text(FUNCTION)
        digest, size = store.put_folder(project)
        factor = inline(b"3")
        version = ModelVersion(
            name="factor",
            version=1,
            candidate=Candidate(name="factor", artifact=factor),
            lineage=Lineage(run="", step=""),
        )
        offers = msgspec.json.encode([Offer(version=version)])
        spec = WorkerSpec(
            revision=RevisionSpec(
                endpoint="scaled",
                number=1,
                function="scaled",
                source=Artifact(format="folder", digest=digest, size=size, files=True),
                module="f.py",
                aliases={"factor": 1},
                models=inline(offers),
                limits=ServerLimits(drain_seconds=5.0),
            ),
            store=str(root),
            metrics=str(folder / "metrics"),
            listen=f"127.0.0.1:{port}",
            hosts=(f"127.0.0.1:{port}",),
        )
        spec = msgspec.structs.replace(spec, **changes)
        (folder / "spec.json").write_bytes(msgspec.json.encode(spec))
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "fairway.server", str(folder / "spec.json")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)

    def ask(
        self, method: str, path: str, body: Any = None, line: http.client.HTTPConnection | None = None
    ) -> tuple[int, Any]:
        line = line or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        line.request(method, path, json.dumps(body), {"content-type": "application/json"})
        answer = line.getresponse()
        return answer.status, json.loads(answer.read())

    def wait_until_ready(self) -> None:
        until = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < until:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(self.log.read_text())


@pytest.fixture
def alone(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Alone]:
    made = Alone(tmp_path, free_port())
    try:
        made.wait_until_ready()
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_it_serves_on_a_port_of_its_own_what_its_spec_says(alone: Alone) -> None:
    assert alone.ask("POST", "/", {"x": 2}) == (200, 6.0)
    assert alone.ask("GET", "/readyz") == (200, {"ready": True, "draining": False})


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="asks /proc what a process has loaded")
def test_it_loads_no_database(alone: Alone) -> None:
    assert alone.ask("POST", "/", {"x": 1}) == (200, 3.0)
    maps = Path(f"/proc/{alone.process.pid}/maps").read_text()
    assert "uvloop" in maps, "the check sees what is loaded"
    assert "sqlite" not in maps


def test_it_says_that_it_drains_and_ends_after_what_is_in_flight(alone: Alone) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", alone.port, timeout=20)
    assert alone.ask("GET", "/readyz", line=kept)[0] == 200
    os.kill(alone.process.pid, signal.SIGTERM)
    until = time.monotonic() + 20
    while True:
        try:
            http.client.HTTPConnection("127.0.0.1", alone.port, timeout=1).connect()
        except ConnectionRefusedError:
            break
        except ConnectionResetError:
            pass  # it came while the port was being closed
        assert time.monotonic() < until
    assert alone.ask("GET", "/readyz", line=kept) == (503, {"ready": False, "draining": True})
    assert alone.process.wait(timeout=20) == 0


def test_threads_that_compute_let_the_event_loop_go_on_after_a_short_turn(alone: Alone) -> None:
    """With turns of 5 ms, a worker whose function computes in all threads reads no request for seconds, and refuses none."""
    found = re.search(r"turns of (\S+)", alone.log.read_text())
    assert found is not None
    assert float(found[1]) <= 0.001


@pytest.fixture
def routed(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Alone]:
    """A worker as it is in a pod, whose image has all content. There is no control plane."""
    port = free_port()
    store = f"served:http://127.0.0.1:1|{tmp_path}/cache|{tmp_path}/token|{tmp_path}/store"
    made = Alone(tmp_path, port, store=store, listen=f":{port}", hosts=("scaled.team.svc",), routed=True)
    try:
        made.wait_until_ready()
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_content_of_the_image_needs_no_control_plane_and_is_left_as_it_is(
    routed: Alone, tmp_path: Path
) -> None:
    assert routed.ask("POST", "/", {"x": 2}) == (200, 6.0)
    assert (tmp_path / "cache" / "blobs").is_dir()
    assert not (tmp_path / "store" / "blobs" / "tree").is_dir() or not any(
        (tmp_path / "store" / "blobs" / "tree").iterdir()
    )


def test_a_worker_that_others_route_to_accepts_and_is_ready_while_it_drains(routed: Alone) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", routed.port, timeout=20)
    assert routed.ask("POST", "/", {"x": 1}, line=kept) == (200, 3.0)
    began = time.monotonic()
    os.kill(routed.process.pid, signal.SIGTERM)
    until_draining(routed)
    assert routed.ask("POST", "/", {"x": 2}) == (200, 6.0)
    kept.request("POST", "/", b'{"x": 3}', {"content-type": "application/json"})
    answer = kept.getresponse()
    assert (answer.status, json.loads(answer.read()), answer.getheader("connection")) == (200, 9.0, "close")
    slow = http.client.HTTPConnection("127.0.0.1", routed.port, timeout=30)
    while time.monotonic() - began < 2.5:
        assert routed.ask("GET", "/readyz") == (200, {"ready": True, "draining": True})
    slow.request("POST", "/", b'{"x": 4, "wait": 3}', {"content-type": "application/json"})
    assert json.loads(slow.getresponse().read()) == 12.0
    assert routed.process.wait(timeout=60) == 0
    assert time.monotonic() - began >= 5.0
    with pytest.raises(ConnectionRefusedError):
        routed.ask("GET", "/readyz")


def until_draining(worker: Alone) -> None:
    """Wait until a worker says that it drains."""
    until = time.monotonic() + 20
    while worker.ask("GET", "/readyz")[1] != {"ready": True, "draining": True}:
        assert time.monotonic() < until


def test_a_port_that_is_taken_is_said(tmp_path: Path, alone: Alone) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = Alone(folder, alone.port)
    assert second.process.wait(timeout=60) == 1
    assert f"cannot listen at '127.0.0.1:{alone.port}'" in second.log.read_text()

"""Workers of the model server on a socket of their own, for one stored model, without a platform."""

import http.client
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from fairway import formats
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import RevisionSpec, ServerLimits, WorkerSpec
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.stores import FileArtifacts, Layout


def stored(root: Path, name: str, model: Any, sample: Any) -> ModelVersion:
    """A model as it is registered: packaged, compiled where that is possible, with its samples."""
    Layout(root).prepare()
    store = FileArtifacts(root)
    package = formats.package_model(model, sample)
    encoded = formats.encode(model)

    def put(form: str, content: bytes) -> Artifact:
        return Artifact(format=form, digest=store.put_bytes(content), size=len(content))

    candidate = Candidate(
        name=name, artifact=put(encoded.format, encoded.to_bytes()), signature=package.signature,
        compiled=put("onnx", package.compiled) if package.compiled is not None else None,
        samples=put("samples", package.samples), sample_rows=len(sample),
    )  # fmt: skip
    return ModelVersion(name=name, version=1, candidate=candidate, lineage=Lineage(run="r", step="s"))


class Server:
    """Workers on one listening socket."""

    def __init__(self, folder: Path, version: ModelVersion) -> None:
        self.folder = folder
        self.version = version
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, **limits: Any) -> int:
        """Start a worker and wait until it is ready; returns its number."""
        number = len(self.workers)
        spec = WorkerSpec(
            revision=RevisionSpec(
                endpoint=self.version.name,
                number=1,
                model=self.version,
                limits=ServerLimits(drain_seconds=60.0, **limits),
            ),
            store=str(self.folder / "store"),
            control=str(self.folder / f"{number}.sock"),
            metrics=str(self.folder / "metrics"),
            hosts=(f"127.0.0.1:{self.port}", f"localhost:{self.port}"),
        )
        path = self.folder / f"{number}.json"
        path.write_bytes(msgspec.json.encode(spec))
        fd = self.socket.fileno()
        command = [sys.executable, "-m", "fairway.server", str(path), "--fd", str(fd)]
        with (self.folder / "log").open("ab") as log:
            self.workers.append(subprocess.Popen(command, pass_fds=[fd], stderr=log))
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if self.tell(number, "status")["phase"] == "ready":
                    return number
            except OSError:
                time.sleep(0.02)
        raise AssertionError("the worker did not become ready")

    def tell(self, number: int, what: str) -> dict[str, Any]:
        """Give a command on a worker's control socket."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.folder / f"{number}.sock"))
            line.sendall(msgspec.json.encode({"do": what}) + b"\n")
            return json.loads(line.recv(4096))

    def ask(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str = ""
    ) -> tuple[int, bytes, dict[str, str]]:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, {name.lower(): value for name, value in answer.getheaders()}

    def close(self) -> None:
        """End every worker."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.socket.close()

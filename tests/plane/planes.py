"""A control plane as a process of its own, and the API server's stand-in that tells it whose token it is."""

import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMESPACE = "team"
UID = "0123456789abcdef0123456789abcdef"
TOKENS = {role: f"token-of-a-{role}" for role in ("viewer", "runner", "deployer")}
STEP = "token-of-a-step"
"""A token of an account that has no role."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as line:
        return int(line.getsockname()[1])


class Accounts:
    """A server that answers a SelfSubjectReview with the account of the token that the request came with."""

    def __init__(self) -> None:
        self.accounts = {
            token: f"system:serviceaccount:{NAMESPACE}:fairway-{role}" for role, token in TOKENS.items()
        } | {STEP: f"system:serviceaccount:{NAMESPACE}:fairway-step"}
        self.asked: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Accounts":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        accounts = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                token = self.headers.get("authorization", "").removeprefix("Bearer ")
                accounts.asked.append(token)
                name = accounts.accounts.get(token)
                body = json.dumps(
                    {"status": {"userInfo": {"username": name}}} if name else {"code": 401}
                ).encode()
                self.send_response(201 if name else 401)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler


class Plane:
    """A control plane whose hosts are processes of this machine, with the store of the control plane behind a cache."""

    def __init__(self, volume: Path, accounts: Accounts, port: int, **install: object) -> None:
        self.volume = volume
        self._install_more = install
        self.port = port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = volume.parent / "plane.log"
        self._accounts = accounts
        self._install = volume.parent / "install.json"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pods(self) -> Path:
        """Where the stand-ins of pods have their folders."""
        return self.volume.parent / "pods"

    def __enter__(self) -> "Plane":
        self.volume.mkdir(exist_ok=True)
        self._install.write_text(
            json.dumps(
                {"uid": UID, "namespace": NAMESPACE, "version": "0", "image": "none@sha256:0"}
                | self._install_more
            )
        )
        return self

    def start(self, *, wait: bool = True) -> "Plane":
        """Start the process, and wait until it is ready."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("XDG_STATE", "FAIRWAY_"))
        }
        environment |= {"TEST_REVIEWS": self._accounts.url, "TEST_PODS": str(self.pods), "TEST_URL": self.url}
        command = [
            sys.executable, "-P", str(Path(__file__).parent / "local_plane.py"), "--install", str(self._install),
            "--root", str(self.volume), "--listen", f"127.0.0.1:{self.port}", "--links", "127.0.0.1:0",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while not self.is_ready():
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process with a signal, and return its status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def ask(
        self, method: str, path: str, body: bytes | dict[str, Any] = b"", token: str = "", **headers: str
    ) -> tuple[int, Any]:
        """Send a request and return the status and the answer, as JSON if it is that."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["x-fairway-token"] = token
        if isinstance(body, dict):
            body, sent["content-type"] = json.dumps(body).encode(), "application/json"
        try:
            client.request(method, path, body, sent)
            answer = client.getresponse()
            content = answer.read()
        finally:
            client.close()
        if answer.headers.get("content-type") == "application/json":
            return answer.status, json.loads(content or b"null")
        return answer.status, content

    def credential(self, run: str) -> str:
        """Return the file with a credential of a run, made by the process as for the hello of a pod."""
        file = self.pods / f"{run}.credential"
        if not file.exists():
            (self.pods / "wanted").mkdir(parents=True, exist_ok=True)
            (self.pods / "wanted" / run).touch()
            until = time.monotonic() + 30
            while not file.exists():
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.01)
        return str(file)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

"""What stands between a client and a registry in a test: a relay that counts, slows down and cuts, and a server of tokens."""

import base64
import contextlib
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fairway.cluster.images.names import Place


class Relay:
    """A TCP relay on loopback.

    Args:
        port: where the registry listens.
        cuts: the numbers of bytes after which a connection is cut. Each cuts the first connection that gets so far.
        rate: bytes a second towards the registry; 0 for no limit.
    """

    def __init__(self, port: int, cuts: list[int] | None = None, rate: int = 0) -> None:
        self._to = port
        self.cuts = cuts or []
        self._rate = rate
        self.sent = 0
        self.made_cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = Place(f"127.0.0.1:{self._listener.getsockname()[1]}", True)
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listens no longer."""
        self._closed = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while part := client.recv(2**16):
                if self._rate:
                    time.sleep(len(part) / self._rate)
                if self.cuts and passed + len(part) > self.cuts[0]:
                    limit = max(self.cuts.pop(0), passed)
                    server.sendall(part[: limit - passed])
                    self.sent += limit - passed
                    self.made_cuts += 1
                    # So that the registry has what it was sent, and the client sees a reset.
                    server.shutdown(socket.SHUT_WR)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    break
                server.sendall(part)
                passed += len(part)
                self.sent += len(part)
        client.close()

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := server.recv(2**16):
                client.sendall(part)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        server.close()


@contextlib.contextmanager
def relay(place: Place, cuts: list[int] | None = None, rate: int = 0) -> Iterator[Relay]:
    """Runs a relay before a registry."""
    made = Relay(int(place.host.rpartition(":")[2]), cuts, rate)
    try:
        yield made
    finally:
        made.close()


class Handler(http.server.BaseHTTPRequestHandler):
    """A handler of requests that a function answers, with what the function gives: status, headers, body."""

    answer: Callable[["Handler", bytes], tuple[int, dict[str, str], bytes]]

    def handle_any(self) -> None:
        """Answers a request of any method."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, content = type(self).answer(self, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing."""


@contextlib.contextmanager
def answering(answer: Callable[[Handler, bytes], tuple[int, dict[str, str], bytes]]) -> Iterator[Place]:
    """Runs an HTTP server whose answers a function gives."""
    kind = type("Answering", (Handler,), {"answer": staticmethod(answer)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Place(f"127.0.0.1:{server.server_address[1]}", True)
        finally:
            server.shutdown()


class Tokens:
    """A server of tokens that a real registry accepts, for one user.

    Args:
        folder: a folder for its key.
        lives: seconds for which the registry accepts a token. The client is told that it is an hour.
        refused: repositories for which no right is given.
    """

    user = "ada"
    secret = "lovelace-1815"

    def __init__(self, folder: Path, lives: float = 3600.0, refused: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self.lives = lives
        self.refused = refused
        self.failures = 0
        self.asked: list[list[str]] = []
        if shutil.which("openssl") is None:
            pytest.skip("openssl is missing: `apt-get install openssl`")
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=tokens",
            "-days",
            "2",
        ]
        subprocess.run(
            [*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
            check=True,
            capture_output=True,
        )

    def configuration(self, place: Place) -> str:
        """The part of a registry's configuration that makes it ask for these tokens."""
        return (
            f"auth: {{token: {{realm: 'http://{place.host}/token', service: registry, issuer: tokens, "
            f"rootcertbundle: {self._folder}/cert.pem}}}}"
        )

    def answer(self, handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Gives a token for the rights that a request names, after so many failures."""
        if self.failures:
            self.failures -= 1
            return 503, {}, b""
        if handler.command == "POST":
            form = parse_qs(body.decode())
            scopes = form.get("scope", [""])[0].split()
            known = form.get("refresh_token") == [self.secret] and form.get("grant_type") == ["refresh_token"]
        else:
            scopes = parse_qs(urlsplit(handler.path).query).get("scope", [])
            pair = base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()
            known = handler.headers.get("Authorization") == f"Basic {pair}"
        self.asked.append(scopes)
        if not known:
            return 401, {}, b'{"errors": [{"code": "UNAUTHORIZED"}]}'
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (scope.split(":") for scope in scopes)
            if name not in self.refused
        ]
        return 200, {}, json.dumps({"access_token": self._signed(access), "expires_in": 3600}).encode()

    def _signed(self, access: list[dict[str, Any]]) -> str:
        now = time.time()
        lines = (self._folder / "cert.pem").read_text().splitlines()
        # The registry accepts a token for a minute after its end.
        claims = {
            "iss": "tokens",
            "sub": self.user,
            "aud": "registry",
            "iat": int(now) - 120,
            "nbf": int(now) - 120,
        }
        claims |= {"exp": round(now + self.lives - 60), "jti": str(now), "access": access}
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        text = b".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)
        )
        command = ["openssl", "dgst", "-sha256", "-sign", self._folder / "key.pem"]
        sign = subprocess.run(command, input=text, check=True, capture_output=True).stdout
        return (text + b"." + base64.urlsafe_b64encode(sign).rstrip(b"=")).decode()

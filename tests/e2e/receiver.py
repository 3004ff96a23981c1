"""A receiver of webhooks on this machine: it keeps what it was sent, and answers as a test wants it to."""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec

Answer = int | Callable[[Any], None]
"""The status of an answer, or a function that handles the connection of a request."""


class Received(msgspec.Struct):
    """A message as it came."""

    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.content)


class Receiver:
    """The receiver. `answers` are those to the next requests; when there is none left, it answers 200."""

    def __init__(self, *answers: Answer, host: str = "127.0.0.1") -> None:
        self.answers = list(answers)
        self.received: list[Received] = []
        self.closing = threading.Event()
        self._server = http.server.ThreadingHTTPServer((host, 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self._server.server_address[0]}:{self.port}/hook/t0p-5ecret-path"

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """Take only connections with TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def wait(self, count: int = 1, seconds: float = 90.0) -> list[Received]:
        """Wait for so many messages, and return all that came."""
        until = time.monotonic() + seconds
        while len(self.received) < count:
            assert time.monotonic() < until, self.received
            time.sleep(0.02)
        return self.received

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, content))
                answer = receiver.answers.pop(0) if receiver.answers else 200
                if not isinstance(answer, int):
                    answer(self)
                    return
                self.send_response(answer)
                if answer in (301, 302, 307, 308):
                    self.send_header("location", receiver.url.replace("hook", "elsewhere"))
                self.send_header("content-length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                receiver.received.append(Received(self.path, {}, b"{}"))
                self.send_error(404)

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler

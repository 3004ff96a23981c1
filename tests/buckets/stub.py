"""A small server of object storage whose faults a test chooses. What a real server does is shown on real ones."""

import email.utils
import http.server
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from servers import BUCKET

Fault = Callable[[str, str], tuple[int, bytes] | None]
"""Function that gets method and path, and returns an answer instead of the right one, or None."""


def refusal(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>words of the server</Message></Error>".encode()


class Stub:
    """The server.

    Attributes:
        objects: content and time of each object, by key.
        creates: false to write an object that is only to be created over another one.
        fault: chooses a wrong answer.
        asked: method, path and headers of each request.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.creates = True
        self.fault: Fault = lambda method, path: None
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        """Return status, content and headers of the answer to a request."""
        parts = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        key = unquote(parts.path).removeprefix(f"/{BUCKET}").lstrip("/")
        if method == "POST":
            return self._posted(key, asked, body)
        if method == "PUT":
            return self._put(key, asked, headers, body)
        if method == "DELETE":
            self.objects.pop(key, None)
            return 204, b"", {}
        if not key:
            return 200, self._listed(asked.get("prefix", "")), {}
        if key not in self.objects:
            return 404, refusal("NoSuchKey"), {}
        content, written = self.objects[key]
        about = {"Last-Modified": email.utils.formatdate(written, usegmt=True), "ETag": '"e"'}
        if ranged := re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", "")):
            first, last = int(ranged[1]), int(ranged[2])
            about["Content-Range"] = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            return 206, content[first : last + 1], about
        return 200, content, about

    def _put(
        self, key: str, asked: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        if "uploadId" in asked:
            self.parts[asked["uploadId"]][int(asked["partNumber"])] = body
        elif headers.get("if-none-match") == "*" and self.creates and key in self.objects:
            return 412, refusal("PreconditionFailed"), {}
        else:
            self.objects[key] = body, time.time()
        return 200, b"", {"ETag": '"e"'}

    def _posted(self, key: str, asked: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        if "uploads" in asked:
            name = str(len(self.parts))
            self.parts[name] = {}
            return (
                200,
                f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>".encode(),
                {},
            )
        found = self.parts.pop(asked["uploadId"])
        self.objects[key] = b"".join(found[number] for number in sorted(found)), time.time()
        return 200, b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>", {}

    def _listed(self, prefix: str) -> bytes:
        found = ""
        for key, (content, written) in sorted(self.objects.items()):
            if key.startswith(prefix):
                at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(written))
                told = {"Key": key, "Size": len(content), "LastModified": at, "ETag": "e"}
                found += f"<Contents>{''.join(f'<{name}>{text}</{name}>' for name, text in told.items())}</Contents>"
        return f"<ListBucketResult>{found}<IsTruncated>false</IsTruncated></ListBucketResult>".encode()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                stub.asked.append((self.command, self.path, headers))
                wrong = stub.fault(self.command, self.path)
                if wrong is not None:
                    status, content, more = *wrong, {}
                else:
                    status, content, more = stub.answer(self.command, self.path, headers, body)
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = respond

            def log_message(self, format: str, *args: Any) -> None: ...

        return Handler

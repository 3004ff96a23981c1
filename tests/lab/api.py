"""A small client of the API server for the lab itself, which has to wait for facts often and cheaply."""

import base64
import http.client
import json
import re
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT = 10.0


class Api:
    """Calls of one API server with the client certificate of a kubeconfig that `kubeadm` wrote."""

    def __init__(self, kubeconfig: Path) -> None:
        text = kubeconfig.read_text("utf-8")

        def part(key: str) -> bytes:
            """Return a certificate or key out of the text."""
            found = re.search(rf"{key}-data: (\S+)", text)
            assert found is not None, f"{kubeconfig} has no {key}-data"
            return base64.b64decode(found[1])

        server = re.search(r"server: (\S+)", text)
        assert server is not None, f"{kubeconfig} names no server"
        self._server = urlsplit(server[1])
        self._context = ssl.create_default_context(cadata=part("certificate-authority").decode())
        with tempfile.NamedTemporaryFile() as both:
            both.write(part("client-certificate") + b"\n" + part("client-key"))
            both.flush()
            self._context.load_cert_chain(both.name)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request, and return the status and the body. The status is 0 if there was no answer."""
        try:
            connection = self._connect(_TIMEOUT)
            try:
                headers = {"Content-Type": "application/json"} if body is not None else {}
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                return answer.status, _decoded(answer.read())
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return 0, None

    def get(self, path: str) -> Any:
        """Return an object, or None if it is not there or the server does not answer."""
        status, body = self.call("GET", path)
        return body if status == 200 else None

    def watch(self, path: str, seconds: int) -> Iterator[dict[str, Any]]:
        """Yield every change below a path until the time is over or the connection breaks."""
        connection = self._connect(seconds + _TIMEOUT)
        try:
            connection.request("GET", f"{path}?watch=true&timeoutSeconds={seconds}")
            answer = connection.getresponse()
            while line := answer.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        """Return a connection to the server."""
        assert self._server.hostname is not None
        return http.client.HTTPSConnection(
            self._server.hostname, self._server.port, context=self._context, timeout=timeout
        )


def _decoded(body: bytes) -> Any:
    """Return a body as an object if it is JSON, else as text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def condition(found: Any, kind: str) -> bool:
    """Tell whether an object has a condition that is true."""
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)

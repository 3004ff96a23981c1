"""Images with a stand-in for the control plane: the registry's Python image and one layer with a module of that name."""

import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
from http.client import HTTPResponse

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_MODULES = "usr/lib/python3/dist-packages/fairway"
_BASE = "python"

READY = """
import http.server, os, signal

with open("/var/lib/fairway/starts", "a") as file:
    file.write("x")
print("starts", os.path.getsize("/var/lib/fairway/starts"), flush=True)
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 7700), Handler).serve_forever()
"""
"""A control plane that answers, and counts its starts in the store."""

BROKEN = """
import sys

print("the store was written by a later version", flush=True)
sys.exit(3)
"""
"""A control plane that ends."""


def push(registry: str, name: str, module: str) -> str:
    """Push an image whose control plane is a module, and return its name by digest."""
    there = _Registry(registry, name)
    manifest = json.loads(
        there.ask("GET", f"{_BASE}/manifests/3.11", accept=f"{_MANIFEST}, {_DOCKER}").read()
    )
    config = json.loads(there.ask("GET", f"{_BASE}/blobs/{manifest['config']['digest']}").read())
    for layer in manifest["layers"]:
        there.ask("POST", f"{name}/blobs/uploads/?mount={layer['digest']}&from={_BASE}", b"")
    archive = _archive(module)
    packed = gzip.compress(archive, mtime=0)
    config["rootfs"]["diff_ids"].append(_digest(archive))
    config.pop("history", None)
    layers = [*manifest["layers"], {"mediaType": _LAYER, **there.blob(packed)}]
    described = there.blob(json.dumps(config).encode())
    made = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **described},
            "layers": layers,
        }
    ).encode()
    there.ask("PUT", f"{name}/manifests/{_digest(made)}", made, kind=_MANIFEST)
    return f"{registry}/{name}@{_digest(made)}"


class _Registry:
    """A registry without TLS, reached without the proxies of this machine."""

    def __init__(self, place: str, name: str) -> None:
        self._root = f"http://{place}"
        self._name = name
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, accept: str = "*/*", kind: str = ""
    ) -> HTTPResponse:
        """Send a request and return the answer."""
        url = path if path.startswith("http") else f"{self._root}/v2/{path}"
        request = urllib.request.Request(url, data=body, method=method, headers={"Accept": accept})
        if body is not None:
            request.add_header("Content-Type", kind or "application/octet-stream")
        return self._opener.open(request, timeout=60)

    def blob(self, content: bytes) -> dict[str, str | int]:
        """Upload a blob, and return its description."""
        digest = _digest(content)
        place = self.ask("POST", f"{self._name}/blobs/uploads/", b"").headers["Location"]
        place = place if place.startswith("http") else f"{self._root}{place}"
        self.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", content)
        return {"digest": digest, "size": len(content)}


def _archive(module: str) -> bytes:
    files = {"__init__.py": "", "control/__init__.py": "", "control/cluster.py": module}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(f"{_MODULES}/{path}")
            entry.size, entry.mode = len(text.encode()), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return raw.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"

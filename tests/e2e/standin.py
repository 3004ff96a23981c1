"""A stand-in for a cluster with Fairway in it: an API server with a service proxy and port-forward, and a control plane.

The control plane keeps bundles, unpacks them, and hands runs to the platform process of a store on this machine. All that
a person's command sends and gets is as with a real cluster. The API server can be told to fail in the words of a real one.
"""

import asyncio
import base64
import hashlib
import json
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import httpx2
import msgspec

from fairway.spec import versions
from fairway.spec.artifact import Manifest
from fairway.stores.blobs import FileArtifacts

PROXY = "/api/v1/namespaces/ml/services/fairway:http/proxy"
Answer = tuple[int, dict[str, str], bytes]


class Asked(msgspec.Struct):
    """A request that a server of this file got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def said(status: int, value: object, **headers: str) -> Answer:
    return status, {"content-type": "application/json", **headers}, json.dumps(value).encode()


def refusal(status: int, reason: str, message: str) -> Answer:
    """A refusal as Kubernetes words it."""
    return said(
        status,
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message},
    )


async def read_request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def written(answer: Answer) -> bytes:
    status, headers, body = answer
    lines = [f"HTTP/1.1 {status} Said", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class ControlPlane:
    """A control plane without a cluster. Without `url`, it knows no runs.

    Attributes:
        version: the version that it says it is.
        lost: the number of answers that are lost on their way from here on, after the request was carried out.
        begun: the runs that were begun, by the key of their request.
    """

    def __init__(self, folder: Path) -> None:
        self.blobs, self.code = folder / "blobs", folder / "code"
        for place in (self.blobs, self.code):
            place.mkdir(parents=True)
        self.url = self.bearer = ""
        self.store = folder
        self.version = versions.this()
        self.tokens: set[str] = set()
        self.lost = 0
        self.begun: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.sent: list[str] = []

    async def answer(self, asked: Asked) -> Answer | None:
        """Answer a request; None loses the answer."""
        self.asked.append(asked)
        if asked.path == "/healthz":
            return said(200, {"live": True}, **{versions.HEADER: self.version})
        if asked.headers.get("x-fairway-token") not in self.tokens:
            return said(401, {"error": "a token is needed", "hint": ""}, **{versions.HEADER: self.version})
        status, body = await self._carried_out(asked)
        path = asked.path.partition("?")[0]
        if asked.method == "POST" and path in ("/api/v1/runs", "/api/v1/deploy") and self.lost:
            self.lost -= 1
            return None
        return status, {"content-type": "application/json", versions.HEADER: self.version}, body

    async def _carried_out(self, asked: Asked) -> tuple[int, bytes]:
        path = asked.path.removeprefix("/api/v1")
        if path == "/store/missing":
            digests = json.loads(asked.body)["digests"]
            return 200, json.dumps([one for one in digests if not (self.blobs / one).exists()]).encode()
        if path.startswith("/store/blobs/"):
            digest = path.rpartition("/")[2]
            if asked.method == "GET":
                (found,) = self.store.glob(f"blobs/*/{digest}")
                return 200, found.read_bytes()
            assert hashlib.sha256(asked.body).hexdigest() == digest
            (self.blobs / digest).write_bytes(asked.body)
            FileArtifacts(self.store).put_bytes(asked.body)
            self.sent.append(digest)
            return 201, b"{}"
        if path not in ("/runs", "/describe", "/plan") or asked.method != "POST":
            return await self._passed_on(asked, asked.body)
        request = json.loads(asked.body)
        if request.get("key") in self.begun:
            return 200, self.begun[request["key"]]
        if request.get("bundle"):
            folder = self._unpacked(request["bundle"])
            request |= {"file": str(folder / request["file"]), "folder": str(folder / request["folder"])}
        key, kept = request.pop("key", ""), {"bundle": "", "key": ""}
        status, body = await self._passed_on(asked, json.dumps(request | kept).encode())
        if path == "/runs" and status == 200 and key:
            self.begun[key] = body
        return status, body

    def _unpacked(self, bundle: str) -> Path:
        folder = self.code / bundle
        for entry in msgspec.json.decode((self.blobs / bundle).read_bytes(), type=Manifest).files:
            place = folder / entry.path
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.write_bytes((self.blobs / entry.digest).read_bytes())
        return folder

    async def _passed_on(self, asked: Asked, body: bytes) -> tuple[int, bytes]:
        if not self.url:
            return 200, b"[]"
        headers = {
            "authorization": f"Bearer {self.bearer}",
            "content-type": asked.headers.get("content-type", ""),
        }
        async with httpx2.AsyncClient(trust_env=False, timeout=120) as client:
            answer = await client.request(asked.method, self.url + asked.path, content=body, headers=headers)
        return answer.status_code, answer.content


class ApiServer:
    """An API server in a thread of its own, with a control plane behind it.

    Attributes:
        proxy: "ok", or how the service proxy fails: "forbidden", "unreachable", "not ready", "silent", "large".
        busy: the number of proxied requests that are answered with 500 from here on.
        forward: "ok", "forbidden" or "none ready".
        installed: False for a namespace without Fairway.
        roles: the accounts for which the user may make tokens.
        cut: the number of proxied requests whose connection is cut from here on, before they arrive.
        pods: the pods of each Service.
        ports: the ports of this machine that answer for pods. The others are pods of the control plane.
        printed: the output of every pod, with the times of its lines.
        install: the text of the installation.
    """

    def __init__(self, folder: Path) -> None:
        self.plane = ControlPlane(folder / "plane")
        self.proxy = self.forward = "ok"
        self.installed = True
        self.roles = ["fairway-viewer", "fairway-runner", "fairway-deployer"]
        self.cut = self.busy = 0
        self.pods = {"fairway": ["fairway-1"]}
        self.ports: dict[str, int] = {}
        self.printed = self.install = ""
        self.asked: list[Asked] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._folder = folder
        self.port, self.token = 0, "of-ann"

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._do(self._start())
        self.kubeconfig = self._folder / "kubeconfig"
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1", "kind": "Config", "current-context": "lab",
                    "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "ann", "namespace": "ml"}}],
                    "clusters": [{"name": "lab", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
                    "users": [{"name": "ann", "user": {"token": "of-ann"}}],
                }
            )
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> int:
        self._pod = await asyncio.start_server(self._serve(self.plane.answer), "127.0.0.1", 0)
        self._server = await asyncio.start_server(self._serve(self._answer), "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> int:
        for server in (self._server, self._pod):
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return 0

    def _serve(
        self, answer: Callable[[Asked], Awaitable[Answer | None]]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while asked := await read_request(reader):
                    if asked.path.partition("?")[0].endswith("/portforward") and self.forward == "ok":
                        await self._tunnel(asked, reader, writer)
                        return
                    found = await answer(asked)
                    if found is None:
                        writer.transport.abort()
                        return
                    writer.write(written(found))
                    await writer.drain()
            except ConnectionError:
                pass
            finally:
                writer.close()

        return serve

    async def _answer(self, asked: Asked) -> Answer | None:
        self.asked.append(asked)
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return refusal(401, "Unauthorized", "Unauthorized")
        path = asked.path.partition("?")[0]
        if path.startswith(PROXY):
            return await self._proxied(asked)
        name = path.rpartition("/")[2]
        if name == "token":
            return self._token(path.split("/")[-2])
        if path.endswith("/configmaps/fairway-install"):
            return said(200, {"metadata": {"name": name}, "data": {"install.json": self.install}})
        if "/services/" in path:
            if not self.installed or name not in self.pods:
                return refusal(404, "NotFound", f'services "{name}" not found')
            return said(200, {"metadata": {"name": name}, "spec": {"selector": {"app": name}}})
        if name == "log":
            return 200, {"content-type": "text/plain"}, self.printed.encode()
        if name == "portforward":
            return refusal(
                403,
                "Forbidden",
                'pods "fairway-1" is forbidden: User "ann" cannot create resource "pods/portforward"',
            )
        labels = dict(parse_qsl(asked.path.partition("?")[2])).get("labelSelector", "")
        found = [self._described(one) for one in self.pods.get(labels.rpartition("=")[2], ())]
        return said(
            200, {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": found}
        )

    def _described(self, pod: str) -> dict[str, Any]:
        ready = "True" if self.forward != "none ready" else "False"
        labels = {"fairway.dev/revision": "1"}
        return {
            "metadata": {"name": pod, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }

    def _token(self, account: str) -> Answer:
        if not self.installed:
            return refusal(404, "NotFound", f'serviceaccounts "{account}" not found')
        if account not in self.roles:
            return refusal(
                403,
                "Forbidden",
                f'serviceaccounts "{account}" is forbidden: User "ann" cannot create resource',
            )
        token = f"{account}-{len(self.plane.tokens)}"
        self.plane.tokens.add(token)
        return said(201, {"status": {"token": token}})

    async def _proxied(self, asked: Asked) -> Answer | None:
        if self.cut:
            self.cut -= 1
            return None
        if self.busy:
            self.busy -= 1
            return refusal(500, "InternalError", "etcdserver: request timed out")
        if self.proxy == "large" and len(asked.body) > 1000:
            return 413, {"content-type": "text/html"}, b"<h1>413 Request Entity Too Large</h1>"
        if self.proxy == "silent":
            await asyncio.sleep(3600)
        if not self.installed or self.proxy == "not ready":
            return refusal(503, "ServiceUnavailable", 'no endpoints available for service "fairway"')
        if self.proxy == "unreachable":
            text = "error trying to reach service: dial tcp 10.0.0.1:7700: i/o timeout"
            return refusal(503, "ServiceUnavailable", text)
        if self.proxy == "forbidden":
            text = 'services "fairway:http" is forbidden: User "ann" cannot get resource "services/proxy"'
            return refusal(403, "Forbidden", text)
        # The API server keeps what authorises at it to itself.
        headers = {name: value for name, value in asked.headers.items() if name != "authorization"}
        return await self.plane.answer(
            Asked(asked.method, asked.path.removeprefix(PROXY), headers, asked.body)
        )

    async def _tunnel(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry the bytes of a forwarded port over a WebSocket."""
        self.asked.append(asked)
        key = asked.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accepted = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
        lines += (f"Sec-WebSocket-Accept: {accepted}", "Sec-WebSocket-Protocol: v4.channel.k8s.io")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        for channel in (0, 1):
            writer.write(_frame(bytes((channel,)) + struct.pack("<H", 7700)))
        pod = asked.path.partition("?")[0].split("/")[-2]
        port = self.ports.get(pod, self._pod.sockets[0].getsockname()[1])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

        async def back() -> None:
            while part := await far_reader.read(65536):
                writer.write(_frame(b"\x00" + part))

        coming = asyncio.ensure_future(back())
        try:
            while True:
                code, content = await _received(reader)
                if code == 8:
                    return
                if code == 2:
                    far_writer.write(content[1:])
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            coming.cancel()
            far_writer.close()


def _frame(content: bytes) -> bytes:
    size = len(content)
    head = bytes((0x82, size)) if size < 126 else bytes((0x82, 126)) + size.to_bytes(2, "big")
    return (head if size < 65536 else bytes((0x82, 127)) + size.to_bytes(8, "big")) + content


async def _received(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    code, size = await reader.readexactly(2)
    size &= 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    mask = await reader.readexactly(4)
    content = await reader.readexactly(size)
    return code & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(content))

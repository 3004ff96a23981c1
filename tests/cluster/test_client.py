"""The Kubernetes client against a real API server, and against real pods through it."""

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from fairway.cluster.client.access import Access, Credentials, Plugin
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.calls import Call
from fairway.cluster.client.config import load
from fairway.cluster.client.errors import (
    AlreadyThere,
    Forbidden,
    Invalid,
    NotThere,
    Unauthorized,
    Unknown,
)
from fairway.cluster.client.forward import ForwardedTransport, forwarded
from fairway.cluster.client.kinds import CONFIG_MAP, JOB, LEASE, POD, SERVICE, SERVICE_ACCOUNT
from fairway.cluster.client.listing import Query
from fairway.cluster.client.transport import Transport
from fairway.cluster.client.watch import Pace, Snapshot, watch
from lab import control_plane

PORT = 8080
SERVER = """
import hashlib, http.server, json, os, socket, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/headers":
            return self.answer(json.dumps({k.lower(): v for k, v in self.headers.items()}).encode())
        if self.path == "/big":
            return self.answer(b"x" * (1 << 20))
        if self.path.startswith("/slow"):
            time.sleep(float(self.path.partition("?")[2]))
        self.answer(socket.gethostname().encode())
    def do_POST(self):
        self.answer(hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode())
    def log_message(self, *_): pass
print("serves", flush=True)
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


class Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str = ""
    labels: dict[str, str] = {}
    deletion_timestamp: str | None = None


class Condition(msgspec.Struct):
    type: str
    status: str


class Status(msgspec.Struct):
    phase: str = ""
    conditions: list[Condition] = []


class View(msgspec.Struct):
    metadata: Metadata
    status: Status = msgspec.field(default_factory=Status)

    @property
    def ready(self) -> bool:
        return any(each.type == "Ready" and each.status == "True" for each in self.status.conditions)


class ConfigView(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] = {}


@pytest.fixture
def access(cluster: Any, namespace: str) -> Access:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    return load(namespace=namespace, environment=environment, home=Path.home())


def ask(access: Access, question: Callable[[Kubernetes], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with Kubernetes(access) as kube, asyncio.timeout(240):
            return await question(kube)

    return asyncio.run(main())


def server_pod(name: str, image: str, grace: int = 1) -> dict[str, Any]:
    """Return a pod that serves HTTP and passes the level `restricted`."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "metadata": {"name": name, "labels": {"app": "server"}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": grace,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "command": ["python3", "-c", SERVER],
                    "ports": [{"name": "http", "containerPort": PORT}],
                    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                    "securityContext": closed,
                }
            ],
        },
    }


async def until_ready(kube: Kubernetes, name: str) -> View:
    async with contextlib.aclosing(kube.watch(POD, fields=f"metadata.name={name}", type=View)) as seen:
        async for snapshot in seen:
            if name in snapshot.items and snapshot.items[name].ready:
                return snapshot.items[name]
    raise AssertionError


# Objects --------------------------------------------------------------------------------------------------------------


def test_an_object_is_made_changed_listed_and_deleted(access: Access) -> None:
    async def question(kube: Kubernetes) -> None:
        body = {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "1"}}
        made = await kube.create(CONFIG_MAP, body, type=ConfigView)
        with pytest.raises(AlreadyThere, match="there is already ConfigMap 'a'"):
            await kube.create(CONFIG_MAP, body)
        changed = await kube.patch(CONFIG_MAP, "a", {"data": {"k": None, "m": "2"}}, type=ConfigView)
        assert changed.data == {"m": "2"}
        listed = await kube.list(CONFIG_MAP, labels="x=y", type=ConfigView)
        assert [each.metadata.name for each in listed.items] == ["a"]
        assert listed.version
        await kube.delete(CONFIG_MAP, "a", uid="00000000-0000-0000-0000-000000000000")
        assert (await kube.get(CONFIG_MAP, "a", type=ConfigView)).metadata.uid == made.metadata.uid
        await kube.delete(CONFIG_MAP, "a", uid=made.metadata.uid)
        await kube.delete(CONFIG_MAP, "a")
        # A deletion in the foreground ends when the cluster has looked for what belongs to the object.
        while (await kube.list(CONFIG_MAP, labels="x=y")).items:
            await asyncio.sleep(0.05)
        with pytest.raises(NotThere, match="there is no ConfigMap 'a'"):
            await kube.get(CONFIG_MAP, "a")

    ask(access, question)


def test_apply_makes_and_changes_an_object_and_a_dry_run_does_neither(access: Access) -> None:
    async def question(kube: Kubernetes) -> None:
        await kube.apply(CONFIG_MAP, "a", {"data": {"k": "1"}}, dry_run=True)
        with pytest.raises(NotThere):
            await kube.get(CONFIG_MAP, "a")
        await kube.apply(CONFIG_MAP, "a", {"data": {"k": "1"}})
        assert (await kube.apply(CONFIG_MAP, "a", {"data": {"m": "2"}}, type=ConfigView)).data == {"m": "2"}

    ask(access, question)


@pytest.mark.parametrize("verb", ["apply", "create"])
def test_an_unknown_field_is_refused_at_once(access: Access, verb: str) -> None:
    async def question(kube: Kubernetes) -> None:
        body = {"metadata": {"name": "a"}, "spec": {"strategy": "none", "template": {}}}
        begun = time.monotonic()
        with pytest.raises(Invalid, match="strategy"):
            await (kube.apply(JOB, "a", body) if verb == "apply" else kube.create(JOB, body))
        assert time.monotonic() - begun < 20

    ask(access, question)


def test_a_namespace_that_is_missing_is_named(access: Access) -> None:
    with pytest.raises(NotThere, match="there is no namespace 'fairway-nowhere'") as caught:
        ask(
            access,
            lambda kube: kube.create(CONFIG_MAP, {"metadata": {"name": "a"}}, namespace="fairway-nowhere"),
        )
    assert "create namespace fairway-nowhere" in caught.value.hint


def test_a_kind_that_the_cluster_does_not_know_is_named(access: Access) -> None:
    kind = msgspec.structs.replace(JOB, group="fairway.example")
    with pytest.raises(NotThere, match=r"does not know jobs\.fairway\.example"):
        ask(access, lambda kube: kube.delete(kind, "a"))


# Identity -------------------------------------------------------------------------------------------------------------


def test_a_new_token_tells_its_account_and_has_no_rights(access: Access) -> None:
    async def question(kube: Kubernetes) -> None:
        token = await kube.token("default", seconds=600)
        identity = await kube.review_self(token)
        assert identity.account == (access.namespace, "default")
        assert identity.pod_name == ""
        with pytest.raises(Unauthorized):
            await kube.review_self(await kube.token("default", audience="another"))
        with pytest.raises(Unauthorized):
            await kube.review_self(token[:-3] + "AAA")
        assert await kube.allowed("create", "serviceaccounts", subresource="token", name="default")
        with_token = msgspec.structs.replace(access, credentials=Credentials(token=token))
        async with Kubernetes(with_token) as poor:
            assert not await poor.allowed("list", "pods")
            with pytest.raises(Forbidden, match=r"default may not list pods in namespace") as caught:
                await poor.list(POD)
            assert "auth can-i list pods" in caught.value.hint

    ask(access, question)


# Watch ----------------------------------------------------------------------------------------------------------------


def test_a_watch_shows_what_comes_changes_and_goes(access: Access) -> None:
    async def question(kube: Kubernetes) -> None:
        async with contextlib.aclosing(kube.watch(CONFIG_MAP, labels="x=y", type=ConfigView)) as seen:

            async def until(wanted: dict[str, dict[str, str]]) -> Snapshot[ConfigView]:
                async for snapshot in seen:
                    if {name: item.data for name, item in snapshot.items.items()} == wanted:
                        return snapshot
                raise AssertionError

            assert (await until({})).lists == 1
            for name in ("a", "b"):
                await kube.create(CONFIG_MAP, {"metadata": {"name": name, "labels": {"x": "y"}}})
            await until({"a": {}, "b": {}})
            await kube.patch(CONFIG_MAP, "a", {"data": {"k": "1"}})
            await kube.delete(CONFIG_MAP, "b")
            assert (await until({"a": {"k": "1"}})).lists == 1

    ask(access, question)


class Forgetful(Transport):
    """A transport whose second watch asks for a version that the server has long forgotten."""

    watches = 0

    @contextlib.asynccontextmanager
    async def stream(self, call: Call) -> AsyncGenerator[httpx2.Response]:
        self.watches += 1
        if self.watches == 2:
            query = {**dict(call.query), "resourceVersion": "1"}
            call = msgspec.structs.replace(call, query=tuple(query.items()))
        async with super().stream(call) as response:
            yield response


@pytest.mark.thorough
def test_a_watch_goes_on_behind_a_version_that_the_server_has_forgotten(access: Access, cluster: Any) -> None:
    if cluster.lab is not None:
        # A lab that has just come up remembers everything; an API server that begins again remembers nothing old.
        control_plane.restart_api_server(cluster.lab.addresses)

    async def main() -> None:
        pace = Pace(shortest=2, longest=2)
        # Leases change so often that every server has forgotten their first versions.
        query = Query(kind=LEASE, namespace=access.namespace, labels="x=y")
        async with (
            Forgetful(access) as transport,
            Kubernetes(access) as kube,
            asyncio.timeout(60),
            contextlib.aclosing(watch(transport, query, View, pace)) as seen,
        ):
            async for snapshot in seen:
                if snapshot.lists == 2:
                    break
            assert transport.watches == 2
            await kube.create(LEASE, {"metadata": {"name": "late", "labels": {"x": "y"}}})
            async for snapshot in seen:
                if "late" in snapshot.items:
                    break

    asyncio.run(main())


# Pods through the API server ------------------------------------------------------------------------------------------


@pytest.fixture
def served(access: Access, registry: str) -> Access:
    """A namespace with a Service `server`, and a pod `one` behind it that is ready."""

    async def question(kube: Kubernetes) -> None:
        await kube.create(POD, server_pod("one", f"{registry}/python:3.11"))
        ports = [{"name": "http", "port": PORT}]
        await kube.create(
            SERVICE, {"metadata": {"name": "server"}, "spec": {"selector": {"app": "server"}, "ports": ports}}
        )
        await until_ready(kube, "one")
        # A pod that is ready is not yet an endpoint.
        while (await kube.proxied("server", "http", "GET", "/")).status == 503:
            await asyncio.sleep(0.1)

    ask(access, question)
    return access


def test_requests_pass_the_service_proxy(served: Access) -> None:
    async def question(kube: Kubernetes) -> None:
        answer = await kube.proxied("server", "http", "GET", "/headers", headers={"X-Fairway-Token": "own"})
        headers = json.loads(answer.body)
        assert headers["x-fairway-token"] == "own"
        assert "authorization" not in headers
        assert (await kube.proxied("server", "http", "GET", "/big")).body == b"x" * (1 << 20)
        body = os.urandom(1 << 20)
        answer = await kube.proxied("server", "http", "POST", "/", body=body)
        assert answer.body.decode() == hashlib.sha256(body).hexdigest()
        with pytest.raises(Unknown, match="no answer came within 1 s"):
            await kube.proxied("server", "http", "GET", "/slow?5", timeout=1)

    ask(served, question)


def test_a_log_is_read(served: Access) -> None:
    async def question(kube: Kubernetes) -> None:
        assert await kube.log("one", "main") == b"serves\n"
        assert await kube.log("one", "main", tail_bytes=4) == b"ves\n"
        with pytest.raises(Invalid, match="previous terminated container"):
            await kube.log("one", "main", previous=True)
        with pytest.raises(NotThere, match="there is no Pod 'two'"):
            await kube.log("two", "main")

    ask(served, question)


def test_requests_pass_a_forwarded_port_also_to_the_pod_that_replaces_the_first(
    served: Access, registry: str
) -> None:
    async def question(kube: Kubernetes) -> None:
        async def find() -> str:
            while True:
                for pod in (await kube.list(POD, labels="app=server", type=View)).items:
                    if pod.ready and not pod.metadata.deletion_timestamp:
                        return pod.metadata.name
                # A busy node may miss a probe.
                await asyncio.sleep(0.2)

        transport = ForwardedTransport(kube, find, PORT)
        async with httpx2.AsyncClient(transport=transport, base_url="http://server", timeout=60) as client:
            assert (await client.get("/name")).text == "one"
            body = os.urandom(1 << 20)
            assert (await client.post("/", content=body)).text == hashlib.sha256(body).hexdigest()
            assert len((await client.get("/big")).content) == 1 << 20
            await asyncio.gather(*(client.get("/slow?1") for _ in range(10)))
            await kube.delete(POD, "one", grace=0)
            await kube.create(POD, server_pod("two", f"{registry}/python:3.11"))
            await until_ready(kube, "two")
            while any(pod.metadata.name == "one" for pod in (await kube.list(POD, type=View)).items):
                await asyncio.sleep(0.1)
            # The object of a pod may be gone before its process is, and a connection to that process breaks at its end.
            found = "one"
            async with asyncio.timeout(60):
                while found != "two":
                    with contextlib.suppress(Unknown):
                        found = (await client.get("/name")).text

    ask(served, question)


@pytest.mark.thorough
def test_long_silence_breaks_neither_the_service_proxy_nor_a_forwarded_port(served: Access) -> None:
    async def poll(kube: Kubernetes) -> None:
        begun = time.monotonic()
        assert (await kube.proxied("server", "http", "GET", "/slow?25", timeout=40)).status == 200
        assert 25 <= time.monotonic() - begun < 35

    async def wait(kube: Kubernetes) -> None:
        async with await forwarded(kube, "one", PORT) as tunnel:
            await tunnel.write(b"GET /slow?50 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await tunnel.read(seconds=75)).startswith(b"HTTP/1.1 200")

    async def question(kube: Kubernetes) -> None:
        await asyncio.gather(poll(kube), wait(kube))

    ask(served, question)


def test_a_port_that_nobody_listens_on_is_said(served: Access) -> None:
    async def question(kube: Kubernetes) -> None:
        async with await forwarded(kube, "one", 9) as tunnel:
            with pytest.raises(Unknown, match=r"could not be reached: .*refused"):
                await tunnel.read(seconds=20)

    ask(served, question)


def test_a_token_that_is_withdrawn_is_replaced_by_the_plugin(access: Access, tmp_path: Path) -> None:
    plugin = tmp_path / "plugin"
    kind = '"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"'
    plugin.write_text(
        f'#!/bin/sh\nprintf \'{{{kind}, "status": {{"token": "%s"}}}}\' "$(cat {tmp_path}/token)"\n'
    )
    plugin.chmod(0o755)
    made = Plugin(version="client.authentication.k8s.io/v1", command=str(plugin), mode="Never")

    async def question(kube: Kubernetes) -> None:
        for name in ("first", "second"):
            await kube.create(SERVICE_ACCOUNT, {"metadata": {"name": name}})
        (tmp_path / "token").write_text(await kube.token("first"))
        async with Kubernetes(
            msgspec.structs.replace(access, credentials=Credentials(plugin=made))
        ) as plugged:
            assert (await plugged.review_self()).account[1] == "first"
            (tmp_path / "token").write_text(await kube.token("second"))
            assert (await plugged.review_self()).account[1] == "first", "a good token is kept"
            await kube.delete(SERVICE_ACCOUNT, "first")
            while (await plugged.review_self()).account[1] == "first":
                await asyncio.sleep(0.2)
            assert (await plugged.review_self()).account[1] == "second"

    ask(access, question)

"""A kubeconfig that is tried by kubectl and by Fairway, and what arrives at a server from each."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from scripted import Asked, ScriptedServer

from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.config import load

KUBECTL = shutil.which("kubectl")
Serve = Callable[..., ScriptedServer]
PLUGIN = """#!/bin/sh
printf '%%s\\n' "$KUBERNETES_EXEC_INFO" >> "$(dirname "$0")/told"
cat <<END
{"apiVersion": "client.authentication.k8s.io/%s", "kind": "ExecCredential", "status": %s}
END
"""


@dataclass
class Case:
    """A folder with kubeconfigs, and how they are chosen."""

    folder: Path
    server: ScriptedServer
    authority: trustme.CA
    serve: Serve
    variables: dict[str, str] = field(default_factory=dict)
    context: str = ""
    namespace: str = ""

    def write(self, name: str, content: object) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def use(self, *names: str) -> None:
        self.variables["KUBECONFIG"] = os.pathsep.join(
            str(self.folder / name) if name else "" for name in names
        )

    def cluster(self, name: str = "c", **more: object) -> dict[str, Any]:
        self.write("ca.crt", self.server.authority_pem)
        base = {"server": self.server.url, "certificate-authority": str(self.folder / "ca.crt")}
        return {"name": name, "cluster": {**base, **more}}

    def certificate(self, name: str) -> tuple[bytes, bytes]:
        leaf = self.authority.issue_cert(f"{name}@x", common_name=name)
        return leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()

    def config(
        self, user: dict[str, Any], *, file: str = "config", cluster: dict[str, Any] | None = None
    ) -> None:
        """Write and choose the usual kubeconfig, with one context and this user."""
        self.write(
            file,
            {
                "current-context": "x",
                "clusters": [cluster or self.cluster()],
                "users": [{"name": "u", "user": user}],
                "contexts": [context("x", "c", "u", "team")],
            },
        )
        self.use(file)

    def proxy(self) -> str:
        """Start a proxy that leads every connection to the server, and return its URL."""

        async def connect(asked: Asked) -> None:
            assert (asked.method, asked.target) == ("CONNECT", "kube.example:6443")
            reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            await asked.say("HTTP/1.1 200 OK\r\n\r\n")

            async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                while part := await source.read(65536):
                    target.write(part)
                target.close()

            await asyncio.gather(pump(asked.reader, writer), pump(reader, asked.writer))

        return str(self.serve(connect, plain=True).url)

    def plugin(self, version: str, status: str, path: str = "bin/plugin") -> None:
        self.write(path, PLUGIN % (version, status))
        (self.folder / path).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "HOME": str(self.folder / "home"), **self.variables}

    def sums(self) -> dict[str, str]:
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "told"]
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if "cache" not in path.parts
        }


def context(name: str, cluster: str, user: str, namespace: str = "") -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, "context": {"cluster": cluster, "user": user, **place}}


def exec_user(version: str, **more: object) -> dict[str, Any]:
    return {
        "exec": {"apiVersion": f"client.authentication.k8s.io/{version}", "command": "./bin/plugin", **more}
    }


def by_kubectl(case: Case) -> subprocess.CompletedProcess[str]:
    chosen = [f"--context={case.context}"] if case.context else []
    chosen += [f"--namespace={case.namespace}"] if case.namespace else []
    return subprocess.run(
        [KUBECTL or "", "create", "token", "default", "--request-timeout=10s", *chosen],
        env=case.environment, cwd=case.folder / "elsewhere", capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def by_us(case: Case) -> str:
    environment = case.environment
    access = load(
        context=case.context,
        namespace=case.namespace,
        environment=environment,
        home=Path(environment["HOME"]),
    )

    async def ask() -> str:
        async with Kubernetes(access) as kube:
            return await kube.token("default")

    return asyncio.run(ask())


def tokens_asked(case: Case) -> list[Asked]:
    """Return the requests that count. Some kubectls ask for the version of the server as well."""
    return [asked for asked in case.server.asked if asked.path.endswith("/token")]


def seen(asked: Asked) -> dict[str, object]:
    """Return what tells who asked for what."""
    named = {key.lower() for key, _ in asked.headers if key.lower().startswith("impersonate-")}
    return {
        "path": asked.path,
        "authorization": asked.header("authorization"),
        "certificate": asked.subject,
        "name of the server": asked.server_name,
        **{name: asked.values(name) for name in named},
    }

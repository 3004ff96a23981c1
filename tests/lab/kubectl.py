"""`kubectl` with one kubeconfig, and kubeconfigs of users who may do something in one namespace only."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Kubectl:
    """`kubectl` with a kubeconfig and, if it is given, a namespace."""

    program: str
    kubeconfig: str
    cache: Path
    namespace: str = ""

    def __call__(self, *words: str, text: str | None = None, check: bool = True, seconds: float = 120) -> str:
        """Run a command with `text` as its input, and return what it printed."""
        done = self.run(*words, text=text, seconds=seconds)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def run(
        self, *words: str, text: str | None = None, seconds: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and return its status and output."""
        where = ["--namespace", self.namespace] if self.namespace else []
        command = [
            self.program,
            "--kubeconfig",
            self.kubeconfig,
            "--cache-dir",
            str(self.cache),
            *where,
            *words,
        ]
        direct = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        # A list of kubeconfigs is given by the variable alone.
        if os.pathsep in self.kubeconfig:
            command[1:3] = []
            direct["KUBECONFIG"] = self.kubeconfig
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=seconds, env=direct
        )

    def json(self, *words: str) -> Any:
        """Run a command and return the objects that it printed."""
        return json.loads(self(*words, "--output", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        self("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def inside(self, namespace: str) -> "Kubectl":
        """Return the same `kubectl` for one namespace."""
        return replace(self, namespace=namespace)

    def using(self, kubeconfig: Path) -> "Kubectl":
        """Return `kubectl` for another user."""
        return replace(self, kubeconfig=str(kubeconfig))


MakeUser = Callable[..., Path]


def make_user(kubectl: Kubectl, folder: Path, role: str, namespace: str, name: str = "") -> Path:
    """Write the kubeconfig of a user who has one of the cluster's roles (`admin`, `edit`, `view`) in one namespace.

    With an empty role the user may do nothing. The user is a ServiceAccount, which every cluster knows how to make.
    """
    name = name or f"user-{role or 'nothing'}"
    there = kubectl.inside(namespace)
    there("create", "serviceaccount", name)
    if role:
        there("create", "rolebinding", name, f"--clusterrole={role}", f"--serviceaccount={namespace}:{name}")
    token = there("create", "token", name, "--duration=2h").strip()
    shown = kubectl.json("config", "view", "--raw", "--flatten", "--minify")
    server = shown["clusters"][0]["cluster"]
    path = folder / f"{namespace}-{name}.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(kubeconfig(server, token, namespace, name)), "utf-8")
    return path


def kubeconfig(server: dict[str, Any], token: str, namespace: str, name: str) -> dict[str, Any]:
    """Return a kubeconfig of one user of one cluster."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": server}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [
            {"name": "tests", "context": {"cluster": "cluster", "user": name, "namespace": namespace}}
        ],
        "current-context": "tests",
    }

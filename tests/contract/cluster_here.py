"""A Kubernetes API in memory that keeps Deployments and Services as a cluster does, as far as a deployer can see it.

The real one is asked in `tests/cluster`. This one can be asked thousands of times, and a process that uses it can be stopped
at any of its requests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from fairway.cluster.client import kinds
from fairway.cluster.client.errors import NotThere, Refusal
from fairway.cluster.client.kinds import Kind
from fairway.cluster.client.watch import Snapshot

_TICK = 0.01
Document = dict[str, Any]


class Stopped(BaseException):
    """The end of the process that asks."""


class ClusterHere:
    """A namespace. Pods of revisions in `failing` end as soon as they begin.

    Attributes:
        stop_at: the number of the change at which the process that asks is stopped. 0 stops it at none.
        outages: the number of moments at which a Service that had led to a ready pod led to none.
    """

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.stop_at = 0
        self.changes = 0
        self.outages = 0
        self.objects: dict[Kind, dict[str, Document]] = {}
        self._ids = 0
        self._answered: set[str] = set()
        self._moved = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None

    async def get(self, kind: Kind, name: str, *, type: Any) -> Any:
        """Return an object."""
        return self._as(self._named(kind, name), type)

    async def list(self, kind: Kind, *, labels: str = "", fields: str = "", type: Any) -> Any:
        """Return all objects with labels."""
        items = [self._as(one, type) for one in self._selected(kind, labels)]
        return _Listed(items)

    async def apply(self, kind: Kind, name: str, body: object, *, type: Any, force: bool = False) -> Any:
        """Make an object have the fields of a body."""
        self._change()
        wanted = msgspec.json.decode(msgspec.json.encode(body))
        there = self._of(kind).get(name)
        if there is None:
            self._ids += 1
            there = {"metadata": {"uid": f"u-{self._ids}", "generation": 0}, "spec": {}}
        metadata = {**there["metadata"], **wanted["metadata"]}
        spec = {**there["spec"], **wanted.get("spec", {})}
        if spec != there["spec"]:
            metadata["generation"] = there["metadata"]["generation"] + 1
        made = {**there, **wanted, "metadata": metadata, "spec": spec}
        self._of(kind)[name] = made
        self._move()
        return self._as(made, type)

    async def delete(self, kind: Kind, name: str, *, uid: str = "", at_once: bool = False) -> None:
        """Delete an object, and what it owns."""
        self._change()
        gone = self._of(kind).pop(name, None)
        if gone is not None:
            self._collect(gone["metadata"]["uid"])
        self._move()

    async def watch(self, kind: Kind, *, labels: str = "", type: Any) -> AsyncIterator[Any]:
        """Yield what there is, now and after each change."""
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick())
        while True:
            moved = self._moved
            items = {one["metadata"]["name"]: self._as(one, type) for one in self._selected(kind, labels)}
            yield Snapshot(items=items, listed_at=time.monotonic())
            await moved.wait()

    def close(self) -> None:
        """Let nothing happen any more."""
        if self._ticking is not None:
            self._ticking.cancel()

    def names(self, kind: Kind) -> list[str]:
        """Return the names of all objects of a kind."""
        return sorted(self._of(kind))

    def _change(self) -> None:
        self.changes += 1
        if self.changes == self.stop_at:
            raise Stopped

    def _named(self, kind: Kind, name: str) -> Document:
        try:
            return self._of(kind)[name]
        except KeyError:
            raise NotThere("there is none", refusal=Refusal(status=404, kind=kind.plural)) from None

    def _of(self, kind: Kind) -> dict[str, Document]:
        return self.objects.setdefault(kind, {})

    def _selected(self, kind: Kind, labels: str) -> list[Document]:
        if kind == kinds.ENDPOINT_SLICE:
            return [self._slice(labels.partition("=")[2])]
        wanted = [part.partition("=") for part in labels.split(",") if part]
        return [
            one
            for one in self._of(kind).values()
            if all(
                key in one["metadata"].get("labels", {})
                and (not equals or one["metadata"]["labels"][key] == value)
                for key, equals, value in wanted
            )
        ]

    def _slice(self, service: str) -> Document:
        led = self._led(self._of(kinds.SERVICE).get(service))
        return {"endpoints": [{"targetRef": {"name": name}, "conditions": {"ready": True}} for name in led]}

    def _led(self, service: Document | None) -> list[str]:
        selector = service["spec"]["selector"].items() if service is not None else {"": ""}.items()
        return [
            name
            for name, pod in self._of(kinds.POD).items()
            if selector <= pod["metadata"]["labels"].items()
            and pod["status"]["conditions"][0]["status"] == "True"
        ]

    def _collect(self, uid: str) -> None:
        for owned in self.objects.values():
            for name, one in list(owned.items()):
                if any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences", ())):
                    del owned[name]
                    self._collect(one["metadata"]["uid"])

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            for deployment in list(self._of(kinds.DEPLOYMENT).values()):
                self._keep(deployment)
            for name, service in self._of(kinds.SERVICE).items():
                led = bool(self._led(service))
                self.outages += name in self._answered and not led
                self._answered |= {name} if led else set()
            self._answered &= set(self._of(kinds.SERVICE))

    def _keep(self, deployment: Document) -> None:
        """Do what the controller of Deployments does, and the kubelets after it."""
        metadata, spec, pods = deployment["metadata"], deployment["spec"], self._of(kinds.POD)
        own = [
            name
            for name, pod in pods.items()
            if pod["metadata"]["ownerReferences"][0]["uid"] == metadata["uid"]
        ]
        scaler = self._of(kinds.AUTOSCALER).get(metadata["name"])
        wanted = max(spec.get("replicas", 1), scaler["spec"]["minReplicas"] if scaler else 0)
        spec["replicas"] = wanted
        for name in own[wanted:]:
            del pods[name]
        for _ in range(wanted - len(own)):
            self._ids += 1
            pods[f"{metadata['name']}-{self._ids}"] = self._pod(deployment, f"{metadata['name']}-{self._ids}")
        ready = 0
        for pod in (pods[name] for name in own[:wanted]):
            ready += self._live(pod, pod["metadata"]["labels"]["fairway.dev/revision"] in self.failing)
        status = {
            "observedGeneration": metadata["generation"], "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": ready,
        }  # fmt: skip
        if status != deployment.get("status") or len(own) != wanted or ready < wanted:
            deployment["status"] = status
            self._move()

    def _pod(self, deployment: Document, name: str) -> Document:
        uid = deployment["metadata"]["uid"]
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        metadata = {"name": name, "uid": name, "labels": labels, "ownerReferences": [{"uid": uid}]}
        return {
            "metadata": metadata,
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{"name": "server", "restartCount": 0}],
            },
        }

    def _live(self, pod: Document, fails: bool) -> bool:
        """Let the server of a pod become ready, or end once more."""
        pod["status"] = status = {**pod["status"]}
        if not fails:
            status["conditions"] = [{"type": "Ready", "status": "True"}]
            return True
        (container,) = status["containerStatuses"]
        again = container["restartCount"] + 1
        ended = {
            "exitCode": 1,
            "reason": "Error",
            "message": "error: no such table",
            "finishedAt": f"t{again}",
        }
        status["containerStatuses"] = [
            {"name": "server", "restartCount": again, "lastState": {"terminated": ended}}
        ]
        return False

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _as(self, document: Document, type: Any) -> Any:
        return document if type is Any else msgspec.convert(document, type)


class _Listed(msgspec.Struct, frozen=True):
    """The objects of a list."""

    items: list[Any]

"""A stand-in for a cluster: each Job becomes a process of this machine, which connects over a real link."""

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from fairway.cluster import pods
from fairway.cluster.client.errors import AlreadyThere, NotThere
from fairway.cluster.client.kinds import EVENT, JOB, POD, Kind
from fairway.cluster.jobs import Jobs
from fairway.cluster.links import Links, PodIdentity
from fairway.spec.install import DriverSize, Install

INSTALL = Install(
    uid="0123456789abcdef" * 2,
    namespace="here",
    version="0",
    image="registry/fairway@sha256:0",
    driver=DriverSize(cpu=2, memory="2Gi"),
)


class PodsHere:
    """The part of a Kubernetes API that an executor uses. Its pods are processes below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.events: list[dict[str, Any]] = []
        self.refused: Callable[[dict[str, Any]], str] = lambda job: ""
        self.instead: Callable[[str], tuple[str, ...]] = lambda name: ()
        self.begun = 0
        self.unplaced: Callable[[dict[str, Any]], str] = lambda job: ""
        self._tokens: dict[str, PodIdentity] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._changed = asyncio.Event()

    async def identify(self, token: str) -> PodIdentity | None:
        """Tell whose token it is."""
        return self._tokens.get(token)

    async def get(self, kind: Kind, name: str, *, type: Any) -> Any:
        if name not in self._all(kind):
            raise NotThere(f"there is no {kind.name} {name}")
        return msgspec.convert(self._all(kind)[name], type)

    async def list(self, kind: Kind, *, labels: str = "", fields: str = "", type: Any) -> Any:
        if kind is EVENT:
            wanted = dict(part.split("=") for part in fields.split(","))
            found = [
                one
                for one in self.events
                if one["involvedObject"]["name"] == wanted["involvedObject.name"]
                and one["involvedObject"]["kind"] == wanted["involvedObject.kind"]
            ]
        else:
            found = [one for one in self._all(kind).values() if _has(one, labels)]
        return SimpleNamespace(items=[msgspec.convert(one, type) for one in found])

    async def create(self, kind: Kind, body: object) -> Any:
        assert kind is JOB
        job = msgspec.to_builtins(body)
        name = job["metadata"]["name"]
        if name in self.jobs:
            raise AlreadyThere(f"there is a Job {name}")
        job["metadata"]["uid"] = secrets.token_hex(8)
        self.jobs[name] = job
        why = self.refused(job)
        if why:
            self.tell("Job", name, "FailedCreate", why)
        else:
            await self._begin(name, job)
        return job

    async def delete(self, kind: Kind, name: str, *, grace: int | None = None, uid: str = "") -> None:
        assert kind is JOB
        if name in self.jobs:
            self.jobs[name]["metadata"]["deletionTimestamp"] = _stamp()
            self._spawn(self._end(name, 30 if grace is None else grace))

    async def watch(self, kind: Kind, *, labels: str = "", type: Any) -> AsyncIterator[Any]:
        assert kind is POD
        while True:
            changed = self._changed
            items = {name: msgspec.convert(pod, type) for name, pod in self.pods.items() if _has(pod, labels)}
            yield SimpleNamespace(items=items, listed_at=time.monotonic(), trouble="")
            await changed.wait()

    async def log(self, pod: str) -> bytes:
        return await asyncio.to_thread((self._folder / pod / "output").read_bytes)

    def tell(self, kind: str, name: str, reason: str, message: str) -> None:
        """Add an event."""
        self.events.append(
            {"involvedObject": {"kind": kind, "name": name}, "reason": reason, "message": message}
        )

    def change(self, name: str, **status: Any) -> None:
        """Change the status of a pod."""
        self.pods[name]["status"] |= status
        self._notify()

    def condition(self, name: str, kind: str, reason: str, message: str = "") -> None:
        """Set a condition of a pod."""
        conditions = self.pods[name]["status"].setdefault("conditions", [])
        conditions.append({"type": kind, "status": "True", "reason": reason, "message": message})
        self._notify()

    async def close(self) -> None:
        """End everything."""
        self._closed = True
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _begin(self, name: str, job: dict[str, Any]) -> None:
        pod = f"{name}-{secrets.token_hex(3)[:5]}"
        template = job["spec"]["template"]
        folder = self._folder / pod
        folder.mkdir()
        token = secrets.token_hex()
        (folder / "token").write_text(token)
        self._tokens[token] = PodIdentity(pod, secrets.token_hex(8))
        metadata = {**template["metadata"], "name": pod, "uid": self._tokens[token].uid}
        why = self.unplaced(job)
        if why:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
            self.pods[pod] = {"metadata": metadata, "status": {"phase": "Pending", "conditions": [condition]}}
            self._notify()
            self._spawn(self._when_placed(name, job, pod, metadata))
            return
        await self._run(name, job, pod, metadata)

    async def _when_placed(self, name: str, job: dict[str, Any], pod: str, metadata: dict[str, Any]) -> None:
        """Run a pod once a node takes it."""
        while self.unplaced(job):
            if self._closed or name not in self.jobs or pod not in self.pods:
                return
            await asyncio.sleep(0.05)
        await self._run(name, job, pod, metadata)

    async def _run(self, name: str, job: dict[str, Any], pod: str, metadata: dict[str, Any]) -> None:
        template, folder = job["spec"]["template"], self._folder / pod
        self.pods[pod] = {"metadata": metadata, "status": {"phase": "Running"}}
        words = template["spec"]["containers"][0]["command"][1:]
        own = ("--token", folder / "token", "--root", folder, "--grace", "3", "--last-words", folder / "last")
        words = self.instead(name) or (*words, *own)
        self.begun += 1
        with (folder / "output").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, stdout=output, stderr=output, start_new_session=True
            )
        self.processes[name] = process
        self._spawn(self._follow(name, pod, process))
        self._notify()

    async def _follow(self, name: str, pod: str, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        code = 128 - code if code < 0 else code
        # The network of a pod goes with it, and so does every process in it.
        ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
        if pod in self.pods:
            phase = "Failed" if code else "Succeeded"
            self.change(
                pod, phase=phase, containerStatuses=[{"name": "host", "state": {"terminated": ended}}]
            )

    async def _end(self, name: str, grace: float) -> None:
        process = self.processes.get(name)
        for pod in self.pods.values():
            if pod["metadata"]["labels"][pods.HOST_LABEL] == name:
                pod["metadata"].setdefault("deletionTimestamp", _stamp())
        if process is not None and process.returncode is None:
            self._notify()
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), grace)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        for pod in [
            key for key, one in self.pods.items() if one["metadata"]["labels"][pods.HOST_LABEL] == name
        ]:
            del self.pods[pod]
        self.jobs.pop(name, None)
        self._notify()

    def _all(self, kind: Kind) -> dict[str, dict[str, Any]]:
        return self.jobs if kind is JOB else self.pods

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Namespace:
    """A namespace of the stand-in, with a control plane that has the links to its pods."""

    def __init__(self, folder: Path) -> None:
        self.kube = PodsHere(folder / "pods")
        self.port = 0
        self.runs = 0

    async def begin(self) -> None:
        """Start a control plane, at the same port each time."""
        self.links = Links(self.kube.identify)
        self.port = await self.links.listen("127.0.0.1", self.port)
        self.jobs = Jobs(self.kube, INSTALL)
        self._watching = asyncio.get_running_loop().create_task(self.jobs.watch())

    async def end(self) -> None:
        """End the control plane, and nothing else."""
        self._watching.cancel()
        await self.links.close()

    async def restart(self) -> None:
        """Start another control plane that knows nothing of the first one. The first one sees and hears nothing any more."""
        await self.end()
        await self.begin()


@asynccontextmanager
async def namespace(folder: Path) -> AsyncGenerator[Namespace]:
    """Make a namespace, and end its pods at the end."""
    made = Namespace(folder)
    await made.begin()
    try:
        yield made
    finally:
        await made.kube.close()
        await made.end()


def kill(process: asyncio.subprocess.Process) -> None:
    """End the first process of a pod with everything in it, as the system does that runs out of memory."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _has(one: dict[str, Any], labels: str) -> bool:
    own = one["metadata"].get("labels", {})
    return all(own.get(key) == value for key, _, value in (part.partition("=") for part in labels.split(",")))


def _stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

"""A Job of Kubernetes as a person writes it by hand, and what it costs: the peer of a step in a pod of its own."""

import asyncio
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import Sample, clean, command
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.wiring import clusters

PROGRAM = "import time; print(time.time(), flush=True); print(time.time(), flush=True)"
TALK = "import time\nprint(time.time(), flush=True)\nfor _ in range({lines}): print('x' * 99)"
LINES = 100_000
"""Lines of 100 bytes that the Job prints, as the step beside it does."""

WAITS = "import time; [time.sleep({seconds}) for _ in range({items})]"
"""Items that wait, one after the other."""

_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_LIMIT = 300.0


def manifest(name: str, image: str, program: str = PROGRAM, *, token: bool = False) -> dict[str, Any]:
    """Return a Job whose pod the level `restricted` lets in, with or without the token of its account in a volume."""
    amounts = {"cpu": "500m", "memory": "512Mi"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": token,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "main",
                            "image": image,
                            "command": ["python3", "-c", program],
                            "resources": {"requests": amounts, "limits": amounts},
                            "securityContext": _SECURITY,
                        }
                    ],
                }
            },
        },
    }


def parts(namespace: str, name: str, image: str, *, token: bool = False) -> Sample:
    """Return the seconds from the request that makes a Job to the first line of its code, and from the last to `Complete`."""
    return asyncio.run(asyncio.wait_for(_parts(namespace, manifest(name, image, token=token)), _LIMIT))


async def _parts(namespace: str, job: dict[str, Any]) -> Sample:
    name = job["metadata"]["name"]
    async with clusters.open_cluster(namespace=namespace) as kube:
        # The connection is there before, as that of a control plane is.
        await kube.version()
        begun = time.time()
        await kube.create(kinds.JOB, job)
        known = await _complete(kube, name)
        (pod,) = (await kube.list(kinds.POD, labels=f"job-name={name}")).items
        first, last = map(float, (await kube.log(pod["metadata"]["name"])).split())
        await kube.delete(kinds.JOB, name)
    return {"code": first - begun, "known": known - last}


async def _complete(kube: Kubernetes, name: str) -> float:
    """Return when a Job was seen to be complete."""
    async for shot in kube.watch(kinds.JOB, fields=f"metadata.name={name}"):
        for job in shot.items.values():
            ended = {
                one["type"] for one in job.get("status", {}).get("conditions", []) if one["status"] == "True"
            }
            if "Complete" in ended:
                return time.time()
            if "Failed" in ended:
                raise RuntimeError(f"the Job {name} failed")
    raise RuntimeError("the watch ended")


def whole(kubectl: str, namespace: str, name: str, image: str, folder: Path) -> Sample:
    """Return what it costs to make a Job with kubectl and wait until it is complete."""
    return _whole(kubectl, namespace, manifest(name, image), folder)


def indexed(
    kubectl: str,
    namespace: str,
    name: str,
    image: str,
    folder: Path,
    *,
    pods: int,
    items: int,
    seconds: float,
) -> Sample:
    """Return what it costs to wait for an Indexed Job whose pods have the same number of items that wait."""
    job = manifest(name, image, WAITS.format(seconds=seconds, items=-(-items // pods)))
    job["spec"] |= {"completionMode": "Indexed", "completions": pods, "parallelism": pods}
    amounts = {"cpu": "250m", "memory": "256Mi"}
    job["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}
    return _whole(kubectl, namespace, job, folder)


def _whole(kubectl: str, namespace: str, job: dict[str, Any], folder: Path) -> Sample:
    name = job["metadata"]["name"]
    file = folder / f"{name}.json"
    file.write_text(json.dumps(job), "utf-8")
    there = f"{kubectl} --namespace {namespace}"
    words = f"{there} apply -f {file} && {there} wait --for=condition=complete job/{name} --timeout=300s"
    return command(["sh", "-c", words], folder)


def talking(kubectl: str, namespace: str, name: str, image: str, folder: Path) -> Sample:
    """Return the megabytes of output in a second, from the first line of a Job to the last one that kubectl brought."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(manifest(name, image, TALK.format(lines=LINES))), "utf-8")
    there = [kubectl, "--namespace", namespace]
    subprocess.run(
        [*there, "apply", "-f", file], check=True, capture_output=True, timeout=_LIMIT, env=clean()
    )
    logs = [*there, "logs", "--follow", "--pod-running-timeout=120s", f"job/{name}"]
    until = time.monotonic() + _LIMIT
    while True:
        done = subprocess.run(logs, check=False, capture_output=True, timeout=_LIMIT, env=clean())
        # Until the Job has a pod with a container, there is nothing to follow, and kubectl says so at once.
        if done.stdout or time.monotonic() > until:
            break
        time.sleep(0.05)
    ended = time.time()
    if not done.stdout:
        raise RuntimeError(f"the Job {name} printed nothing: {done.stderr.decode()}")
    return {"talk": len(done.stdout) / (ended - float(done.stdout.split(b"\n", 1)[0])) / 1e6}

"""A model behind FastAPI as a person puts it on Kubernetes by hand: a ConfigMap, a Deployment and a Service."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.measuring import clean

NAME = "by-hand"
MODEL = "answering"
_PORT = 8080
_LIMIT = 300.0
_CONTAINER: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_POD: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the level `restricted` asks of a container and of a pod."""


def objects(image: str, program: str, model: bytes, resources: dict[str, Any]) -> str:
    """Return the objects as JSON. The pod has the resources of the one that it stands beside, and passes `restricted`."""
    labels = {"app": NAME}
    container = {
        "name": "server",
        "image": image,
        "command": ["python3", "/app/server.py", "/app/model.onnx", MODEL, str(_PORT), "0.0.0.0"],
        "resources": resources,
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "volumeMounts": [{"name": "app", "mountPath": "/app"}, {"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": _CONTAINER,
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": _POD,
        "containers": [container],
        "volumes": [{"name": "app", "configMap": {"name": NAME}}, {"name": "tmp", "emptyDir": {}}],
    }
    made = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME},
            "data": {"server.py": program},
            "binaryData": {"model.onnx": base64.b64encode(model).decode()},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME},
            "spec": {
                "replicas": 1,
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": _PORT}]},
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": made})


def pod_of(name: str, image: str, node: str) -> dict[str, Any]:
    """Return a pod that does nothing, on a node that has the image afterwards."""
    amounts = {"cpu": "50m", "memory": "64Mi"}
    container = {
        "name": "main",
        "image": image,
        "command": ["true"],
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": _CONTAINER,
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": _POD,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


class ByHand:
    """The Deployment in a namespace, by kubectl.

    Args:
        kubectl: the program.
        namespace: the namespace.
        file: the objects, which are in a file.
    """

    def __init__(self, kubectl: str, namespace: str, file: Path) -> None:
        self._words = [kubectl, "--namespace", namespace]
        self._file = file

    def put(self) -> None:
        """Make the objects, and wait until the pod is ready."""
        self._ask("apply", "-f", str(self._file))
        self._ask("rollout", "status", f"deployment/{NAME}", "--timeout=300s")

    def change(self, turn: int) -> None:
        """Change the pods, and wait until the new one is ready and the old one is not counted any more."""
        self._ask("set", "env", f"deployment/{NAME}", f"TURN={turn}")
        self._ask("rollout", "status", f"deployment/{NAME}", "--timeout=300s")

    def remove(self) -> None:
        """Remove the objects, and wait until they are gone."""
        self._ask("delete", "-f", str(self._file), "--ignore-not-found")
        self._ask("wait", "--for=delete", "pod", "-l", f"app={NAME}", "--timeout=120s")

    def _ask(self, *words: str) -> None:
        done = subprocess.run(
            [*self._words, *words], capture_output=True, text=True, timeout=_LIMIT, env=clean()
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")

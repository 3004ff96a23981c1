"""The two ways to the platform in a cluster: the memory of which one leads there, and the pod that a port is forwarded to."""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from fairway.cluster.client import kinds
from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.spec.decoding import UNREADABLE
from fairway.spec.install import SERVICE

PROXY = "proxy"
FORWARD = "forward"

_REMEMBERED_SECONDS = 86_400.0


class _Note(msgspec.Struct):
    """The content of the memory of a target."""

    way: str
    until: float


class Memory:
    """The way that led to a platform, for a day.

    Args:
        folder: the folder of all memories. They may be removed at any time.
        access: says which platform is meant.
    """

    def __init__(self, folder: Path, access: Access) -> None:
        name = hashlib.sha256(
            f"{access.server}\n{access.namespace}\n{access.trust.proxy}".encode()
        ).hexdigest()
        self._place = folder / f"{name[:32]}.json"

    def remembers_forward(self) -> bool:
        """Tell whether only a forwarded port led to the platform of late."""
        with suppress(OSError, *UNREADABLE):
            note = msgspec.json.decode(self._place.read_bytes(), type=_Note)
            return note.way == FORWARD and time.time() < note.until
        return False

    def remember(self, way: str) -> None:
        """Remember the way. The usual one is not written down."""
        with suppress(OSError):
            if way == PROXY:
                self._place.unlink(missing_ok=True)
            elif not self.remembers_forward():
                self._place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                fresh = self._place.with_suffix(f".{os.getpid()}")
                fresh.write_bytes(msgspec.json.encode(_Note(way, time.time() + _REMEMBERED_SECONDS)))
                fresh.replace(self._place)


class _Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""


class _PodStatus(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] = ()


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Meta
    status: _PodStatus = _PodStatus()

    @property
    def is_ready(self) -> bool:
        """True if the pod answers and is not about to go."""
        ready = any(one.type == "Ready" and one.status == "True" for one in self.status.conditions)
        return ready and self.metadata.deletion_timestamp is None


class _Selecting(msgspec.Struct, frozen=True):
    selector: dict[str, str] = {}


class _Service(msgspec.Struct, frozen=True):
    spec: _Selecting = _Selecting()


class Pods:
    """The pods of a Service.

    Args:
        kube: the cluster.
        service: the name of the Service; that of the platform if none is given.
    """

    class NoneReady(Exception):
        """The error for a Service without a pod that is ready."""

    def __init__(self, kube: Kubernetes, service: str = SERVICE) -> None:
        self._kube = kube
        self._service = service

    async def ready(self) -> str:
        """Return the name of the newest pod of the Service that is ready. Raises NoneReady, KubernetesError."""
        return (await self.all_ready())[-1]

    async def all_ready(self) -> list[str]:
        """Return the names of all pods of the Service that are ready, the newest last. Raises NoneReady, KubernetesError."""
        service = await self._kube.get(kinds.SERVICE, self._service, type=_Service)
        labels = ",".join(f"{name}={value}" for name, value in sorted(service.spec.selector.items()))
        pods = (await self._kube.list(kinds.POD, labels=labels, type=_Pod)).items
        ready = sorted((pod for pod in pods if pod.is_ready), key=lambda pod: pod.metadata.creation_timestamp)
        if not ready or not labels:
            raise Pods.NoneReady
        return [pod.metadata.name for pod in ready]

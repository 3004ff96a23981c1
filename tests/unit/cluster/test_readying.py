"""The wait for a control plane that ends: what it printed is told, although the cluster forgets it between two tries."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from fairway.cluster import readying
from fairway.cluster.client import kinds
from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import NotThere
from fairway.cluster.client.listing import Listed

LATER = b"the store was written by a later version\n"


def pod(restarts: int) -> dict[str, Any]:
    """Return a pod whose container ended so often."""
    state: dict[str, Any] = {"waiting": {"reason": "CrashLoopBackOff"}}
    last: dict[str, Any] = {"terminated": {"exitCode": 3, "reason": "Error"}}
    container = {"restartCount": restarts, "state": state, "lastState": last}
    return {"metadata": {"name": "fairway-1"}, "status": {"containerStatuses": [container]}}


class Cluster:
    """A cluster with one pod that ends again and again, and with its outputs, one for each question."""

    def __init__(self, *seen: tuple[int, bytes]) -> None:
        self.access = Access(server="https://127.0.0.1", namespace="team")
        self.seen = list(seen)
        self.output = b""

    async def get(self, kind: kinds.Kind, name: str, *, type: Any) -> Any:
        if kind is kinds.VOLUME_CLAIM:
            raise NotThere("there is none")
        return msgspec.convert({"metadata": {"name": name, "generation": 1}}, type)

    async def list(self, kind: kinds.Kind, *, labels: str = "", type: Any) -> Any:
        if kind is not kinds.POD:
            return Listed(items=[])
        restarts, self.output = self.seen.pop(0)
        return Listed(items=[msgspec.convert(pod(restarts), type)])

    async def log(self, pod: str, *, previous: bool, tail_bytes: int) -> bytes:
        return self.output


def told(*seen: tuple[int, bytes]) -> readying.NotReady:
    """Wait for a control plane that never is ready, and return the error."""
    with pytest.raises(readying.NotReady) as refused:
        asyncio.run(readying.wait(cast("Kubernetes", Cluster(*seen)), 60, lambda _: None))
    return refused.value


def test_the_last_words_are_told_even_if_the_cluster_has_none_at_the_last_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readying, "_POLL", 0.0)
    error = told((1, LATER), (2, b""))
    assert "exit code 3" in error.message
    assert error.details == LATER.decode().strip()


def test_the_words_of_the_last_try_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readying, "_POLL", 0.0)
    assert told((1, b"the volume came late\n"), (2, LATER)).details == LATER.decode().strip()

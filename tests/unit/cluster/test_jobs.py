"""Jobs are made and removed although the API server is in trouble, and not where it refuses."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import msgspec
import pods_here
import pytest

from fairway.cluster import jobs as module
from fairway.cluster import pods
from fairway.cluster.client.errors import Forbidden, KubernetesError, Refusal, Unauthorized, Unknown
from fairway.cluster.jobs import Jobs
from fairway.spec.nodes import NodeChoice
from fairway.spec.places import CannotPlace
from fairway.spec.quantities import Resources

WANTED = pods.HostPod(name="fw-1-d-a1", command=("python",), resources=Resources(), run="1")


def refused(status: int, kind: type[KubernetesError] = KubernetesError) -> KubernetesError:
    return kind("no", refusal=Refusal(status=status))


class Failing:
    """An API server that gives some errors before it does anything."""

    def __init__(self, *errors: KubernetesError) -> None:
        self.errors = list(errors)
        self.done: list[str] = []

    async def _ask(self, verb: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.done.append(verb)

    async def create(self, kind: Any, body: object) -> None:
        await self._ask("create")

    async def delete(self, kind: Any, name: str, *, grace: int | None = None) -> None:
        await self._ask("delete")

    async def list(self, kind: Any, *, labels: str, type: Any) -> Any:
        await self._ask("list")
        return SimpleNamespace(items=[])

    async def serves(self, group: str) -> bool:
        await self._ask("serves")
        return True


TROUBLE = [refused(status) for status in (429, 500, 502, 503, 504)] + [
    refused(401, Unauthorized),
    Unknown("?"),
]


QUEUED = msgspec.structs.replace(WANTED, resources=Resources(nodes=NodeChoice(queue="team")))
WORK: dict[str, tuple[Callable[[Jobs], Coroutine[Any, Any, Any]], list[str]]] = {
    "create": (lambda jobs: jobs.create(pods.job(WANTED, pods_here.INSTALL)), ["create"]),
    "create in a queue": (
        lambda jobs: jobs.create(pods.job(QUEUED, pods_here.INSTALL)),
        ["serves", "create"],
    ),
    "delete": (lambda jobs: jobs.delete(WANTED.name), ["delete"]),
    "list": (lambda jobs: jobs.of_run("1"), ["list"]),
}


@pytest.mark.parametrize("verb", WORK)
def test_a_server_in_trouble_is_asked_again(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 0.01)
    monkeypatch.setattr(module, "_AGAIN", 0.01)
    api = Failing(*TROUBLE)
    jobs = Jobs(api, pods_here.INSTALL)  # type: ignore[arg-type]
    work, done = WORK[verb]
    asyncio.run(asyncio.wait_for(work(jobs), 60))
    assert api.done == done


def test_what_the_server_refuses_is_not_asked_again() -> None:
    api = Failing(refused(403, Forbidden), refused(403, Forbidden))
    jobs = Jobs(api, pods_here.INSTALL)  # type: ignore[arg-type]
    with pytest.raises(CannotPlace):
        asyncio.run(jobs.create(pods.job(WANTED, pods_here.INSTALL)))
    with pytest.raises(Forbidden):
        asyncio.run(jobs.delete(WANTED.name))
    api.errors = [refused(403, Forbidden)]
    with pytest.raises(Forbidden):
        asyncio.run(jobs.of_run("1"))

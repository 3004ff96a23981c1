"""Jobs are made and removed although the API server is in trouble, and not where it refuses."""

import asyncio
from typing import Any

import pods_here
import pytest

from fairway.cluster import jobs as module
from fairway.cluster import pods
from fairway.cluster.client.errors import Forbidden, KubernetesError, Refusal, Unauthorized, Unknown
from fairway.cluster.jobs import Jobs
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


TROUBLE = [refused(status) for status in (429, 500, 502, 503, 504)] + [
    refused(401, Unauthorized),
    Unknown("?"),
]


@pytest.mark.parametrize("verb", ["create", "delete"])
def test_a_server_in_trouble_is_asked_again(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 0.01)
    monkeypatch.setattr(module, "_AGAIN", 0.01)
    api = Failing(*TROUBLE)
    jobs = Jobs(api, pods_here.INSTALL)  # type: ignore[arg-type]
    work = jobs.create(pods.job(WANTED, pods_here.INSTALL)) if verb == "create" else jobs.delete(WANTED.name)
    asyncio.run(asyncio.wait_for(work, 60))
    assert api.done == [verb]


def test_what_the_server_refuses_is_not_asked_again() -> None:
    api = Failing(refused(403, Forbidden), refused(403, Forbidden))
    jobs = Jobs(api, pods_here.INSTALL)  # type: ignore[arg-type]
    with pytest.raises(CannotPlace):
        asyncio.run(jobs.create(pods.job(WANTED, pods_here.INSTALL)))
    with pytest.raises(Forbidden):
        asyncio.run(jobs.delete(WANTED.name))

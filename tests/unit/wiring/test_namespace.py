"""The hosts that a control plane finds when it starts: those of runs that are not over stay, and no others."""

import asyncio
from typing import Any

import pytest

from fairway.cluster import names, observed, pods
from fairway.cluster.client.access import Access
from fairway.cluster.client.errors import Forbidden, KubernetesError, NotReached, Refusal
from fairway.spec.install import Install
from fairway.wiring import namespace as module
from fairway.wiring.namespace import Namespace

INSTALL = Install(uid="0" * 32, namespace="team", version="0", image="none")


class Jobs:
    """Jobs of an installation, with those that were deleted."""

    def __init__(self, *found: observed.Job) -> None:
        self.items = found
        self.selected = ""
        self.deleted: list[str] = []

    async def list(self, kind: object, *, labels: str, type: object) -> Any:
        self.selected = labels
        return self

    async def delete(self, name: str) -> None:
        self.deleted.append(name)


def job(name: str, run: str) -> observed.Job:
    return observed.Job(
        metadata=observed.Metadata(name=name, labels={pods.RUN_LABEL: names.of_run(run, INSTALL)})
    )


def test_hosts_of_runs_that_are_not_over_stay_and_others_end() -> None:
    access = Access(server="https://127.0.0.1:1", namespace="team")
    namespace = Namespace(INSTALL, ("127.0.0.1", 0), lambda run: "", lambda text: None, access)
    jobs = Jobs(
        job("driver-of-a", "a"), job("driver-of-b", "b"), job("step-of-b", "b"), job("described", "c")
    )
    namespace._kube = namespace._jobs = jobs  # type: ignore[assignment]
    asyncio.run(namespace.keep_only(lambda: ["a"]))
    assert jobs.deleted == ["driver-of-b", "step-of-b", "described"]
    assert list(namespace._links._fenced) == jobs.deleted, "a pod of theirs that comes back is refused"
    assert jobs.selected == f"{pods.INSTALL_LABEL}={INSTALL.short},{pods.RUN_LABEL}", (
        "only Jobs of runs are looked at"
    )


def test_runs_are_not_read_while_there_is_no_host() -> None:
    access = Access(server="https://127.0.0.1:1", namespace="team")
    namespace = Namespace(INSTALL, ("127.0.0.1", 0), lambda run: "", lambda text: None, access)
    namespace._kube = Jobs()  # type: ignore[assignment]

    def runs() -> list[str]:
        raise AssertionError("there may be a million")

    asyncio.run(namespace.keep_only(runs))


class Away:
    """An API server that is away for the first calls."""

    def __init__(self, *errors: KubernetesError) -> None:
        self.errors = list(errors)

    async def get(self, kind: object, name: str) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return {"metadata": {"uid": "7"}}


def test_a_control_plane_waits_for_an_api_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.01)
    said: list[str] = []
    access = Access(server="https://127.0.0.1:1", namespace="team")
    namespace = Namespace(INSTALL, ("127.0.0.1", 0), lambda run: "", said.append, access)
    trouble = KubernetesError("it is starting", refusal=Refusal(status=503))
    namespace._kube = Away(NotReached("nobody there"), trouble)  # type: ignore[assignment]
    assert asyncio.run(namespace._config_map())["metadata"]["uid"] == "7"
    assert said == ["waiting for the API server: nobody there", "waiting for the API server: it is starting"]
    namespace._kube = Away(Forbidden("no right"))  # type: ignore[assignment]
    with pytest.raises(Forbidden):
        asyncio.run(namespace._config_map())

"""The hosts that a control plane finds when it starts: those of runs that are not over stay, and no others."""

import asyncio
from typing import Any

from fairway.cluster import names, observed, pods
from fairway.cluster.client.access import Access
from fairway.spec.install import Install
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
    assert jobs.selected == f"{pods.INSTALL_LABEL}={INSTALL.short},{pods.RUN_LABEL}", (
        "only Jobs of runs are looked at"
    )

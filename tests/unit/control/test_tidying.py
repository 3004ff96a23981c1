"""A control plane that looks for hosts which no run needs: at its start, and again and again."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from fairway.control import cluster as module
from fairway.control.cluster import Address, ControlPlane, Surroundings
from fairway.spec.errors import FairwayError
from fairway.spec.install import Install
from fairway.wiring.machine import LocalStores


class Cluster:
    """A cluster that is asked for the hosts to keep, and fails at some of these times."""

    def __init__(self, *failing: int) -> None:
        self.failing = failing
        self.looks: list[Collection[str]] = []

    async def keep_only(self, runs: Callable[[], Collection[str]]) -> None:
        self.looks.append(runs())
        if len(self.looks) in self.failing:
            raise FairwayError("nobody answers")


class Runs:
    """The runs of a control plane."""

    def known(self) -> set[str]:
        return {"k7m2"}


@pytest.mark.parametrize("failing", [(), (1,), (2,)], ids=["never", "at the start", "later"])
def test_hosts_that_no_run_needs_are_looked_for_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: tuple[int, ...]
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "_TIDY_SECONDS", 0.01)
    there: Any = Cluster(*failing)

    def make(around: Surroundings) -> Any:
        return there

    async def look() -> bool:
        tidied, runs = asyncio.Event(), Runs()
        looking = asyncio.create_task(plane._tidy(runs, tidied))  # type: ignore[arg-type]
        while len(there.looks) < 5:
            await asyncio.sleep(0.005)
        looking.cancel()
        return tidied.is_set()

    install = Install(uid="0" * 32, namespace="team", version="0", image="none")
    plane = ControlPlane(install, LocalStores(tmp_path / "store"), Address("127.0.0.1", 0), make)
    assert asyncio.run(asyncio.wait_for(look(), 60))
    assert there.looks[:5] == [{"k7m2"}] * 5

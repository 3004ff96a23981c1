"""The Kubernetes client before an API server that loses answers, refuses, or is away for a while."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.config import load
from fairway.cluster.client.errors import AlreadyThere
from fairway.cluster.client.kinds import CONFIG_MAP
from fairway.cluster.client.listing import Query
from fairway.cluster.client.transport import Transport
from fairway.cluster.client.watch import Pace, Snapshot, watch
from lab.faults import FaultProxy
from lab.kubectl import Kubectl

LABELLED = {"x": "y"}


class View(msgspec.Struct):
    class Metadata(msgspec.Struct):
        name: str

    metadata: Metadata


@pytest.fixture
def access(kubectl: Kubectl, fault_proxy: FaultProxy, namespace: str, tmp_path: Path) -> Access:
    shown = kubectl.json("config", "view", "--raw", "--flatten", "--minify")
    path = fault_proxy.kubeconfig(tmp_path / "proxied.json", shown)
    return load(namespace=namespace, environment={**os.environ, "KUBECONFIG": str(path)}, home=Path.home())


def ask(access: Access, question: Callable[[Kubernetes], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with Kubernetes(access) as kube, asyncio.timeout(240):
            return await question(kube)

    return asyncio.run(main())


def named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": LABELLED}}


def creates(method: str, path: str) -> bool:
    return method == "POST" and "/configmaps" in path


def test_each_create_happens_once_though_half_of_the_answers_are_lost(
    access: Access, fault_proxy: FaultProxy
) -> None:
    async def create(kube: Kubernetes, name: str) -> str:
        try:
            return (await kube.create(CONFIG_MAP, named(name), type=View)).metadata.name
        except AlreadyThere:
            # An earlier try came through. The caller would look at the labels.
            return (await kube.get(CONFIG_MAP, name, type=View)).metadata.name

    async def question(kube: Kubernetes) -> list[str]:
        names = [f"c{number}" for number in range(20)]
        assert await asyncio.gather(*(create(kube, name) for name in names)) == names
        return [item.metadata.name for item in (await kube.list(CONFIG_MAP, labels="x=y", type=View)).items]

    fault_proxy.faults.lose(0.5, creates)
    assert len(ask(access, question)) == 20
    lost = [call for call in fault_proxy.faults.calls if call.fault]
    assert lost, "some answers were lost"


@pytest.mark.thorough
def test_all_calls_end_well_within_their_budget_though_a_third_is_refused(
    access: Access, fault_proxy: FaultProxy
) -> None:
    async def one(kube: Kubernetes, name: str) -> None:
        with contextlib.suppress(AlreadyThere):
            await kube.create(CONFIG_MAP, named(name))
        await kube.patch(CONFIG_MAP, name, {"data": {"k": "1"}})
        await kube.get(CONFIG_MAP, name)
        await kube.delete(CONFIG_MAP, name)

    async def question(kube: Kubernetes) -> None:
        await asyncio.gather(*(one(kube, f"c{number}") for number in range(25)))

    for status in (500, 503, 504):
        fault_proxy.faults.answer(status, 0.1, lambda method, path: "/configmaps" in path)
    begun = time.monotonic()
    ask(access, question)
    seconds = time.monotonic() - begun
    calls = len(fault_proxy.faults.calls)
    assert calls > 100
    assert calls <= 40 + 20 * seconds + 1


@pytest.mark.parametrize("fault", ["cut", "hang up", "refuse"])
@pytest.mark.thorough
def test_a_watch_outlives_a_server_that_is_away(access: Access, fault_proxy: FaultProxy, fault: str) -> None:
    async def main() -> list[str]:
        troubles: list[str] = []
        pace = Pace(silence=2.0, pause=0.1, longest_pause=0.5)
        query = Query(kind=CONFIG_MAP, namespace=access.namespace, labels="x=y")
        async with (
            Transport(access) as transport,
            Kubernetes(access) as kube,
            asyncio.timeout(100),
            contextlib.aclosing(watch(transport, query, View, pace)) as seen,
        ):

            async def until(done: Callable[[Snapshot[View]], bool]) -> None:
                async for snapshot in seen:
                    troubles.append(snapshot.trouble)
                    if done(snapshot):
                        return

            await until(lambda snapshot: snapshot.lists == 1)
            await kube.create(CONFIG_MAP, named("before"))
            await until(lambda snapshot: set(snapshot.items) == {"before"})
            if fault == "cut":
                fault_proxy.cut()
            elif fault == "refuse":
                fault_proxy.faults.answer(503)
            fault_proxy.hang_up()

            async def meanwhile() -> None:
                await asyncio.sleep(3)
                fault_proxy.mend()
                fault_proxy.faults.heal()
                await kube.create(CONFIG_MAP, named("after"))
                await kube.delete(CONFIG_MAP, "before")

            other = asyncio.create_task(meanwhile())
            await until(lambda snapshot: set(snapshot.items) == {"after"} and not snapshot.trouble)
            await other
        return troubles

    troubles = asyncio.run(main())
    assert any(troubles) == (fault == "refuse")

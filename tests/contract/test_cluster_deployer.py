"""The deployer of a cluster when its process is stopped in the middle, and when others change its objects."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from cluster_here import ClusterHere, Stopped

from fairway.cluster.client import kinds
from fairway.cluster.endpoints import deployer as deployers
from fairway.cluster.endpoints.deployer import ClusterDeployer
from fairway.cluster.observed import Event
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.install import Install
from fairway.spec.quantities import Bounds

INSTALL = Install(uid="ab" * 16, namespace="team", version="1", image="none@sha256:0")
ADDRESS = "http://churn.team.svc"


def revision(number: int, **changes: Any) -> RevisionSpec:
    """Return a revision."""
    source = Artifact(format="folder", digest="0" * 64, size=1, files=True)
    made = RevisionSpec(endpoint="churn", number=number, function="churn", source=source, module="ep.py")
    return msgspec.structs.replace(made, **changes)


async def runtime(endpoint: str, ip: str) -> str:
    """Return what a server says of itself."""
    return "python"


async def no_events(pod: str) -> tuple[Event, ...]:
    """Return the events about a pod, of which there are none."""
    return ()


def process(cluster: ClusterHere) -> ClusterDeployer:
    """Start a process that looks after the endpoints of a cluster."""
    made = ClusterDeployer(cluster, INSTALL, no_events, runtime, print)
    made.start(lambda: None)
    return made


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test."""
    asyncio.run(work)


def alone(work: Callable[[ClusterHere, ClusterDeployer], Coroutine[Any, Any, None]]) -> None:
    """Run a test with a cluster of its own and one process that looks after its endpoints."""

    async def whole() -> None:
        cluster = ClusterHere()
        deployer = process(cluster)
        await work(cluster, deployer)
        deployer.close()
        cluster.close()

    asyncio.run(whole())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a cluster in memory route at once."""
    monkeypatch.setattr(deployers, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(deployers, "_ROUTED_POLL", 0.01)


@pytest.mark.parametrize("wanted", [1, 2])
def test_a_process_that_dies_at_any_moment_of_a_roll_leaves_the_old_or_the_new_and_the_next_one_goes_on(
    wanted: int,
) -> None:
    async def work() -> None:
        for moment in range(1, 50):
            cluster = ClusterHere()
            first = process(cluster)
            await first.roll(revision(1), ADDRESS)
            cluster.stop_at = cluster.changes + moment
            stopped = True
            try:
                await first.roll(revision(2), ADDRESS)
                stopped = False
            except Stopped:
                pass
            first.close()
            cluster.stop_at = 0
            second = process(cluster)
            seen = await second.observe("churn")
            assert seen is not None
            assert seen.serving in (1, 2)
            status = await second.roll(revision(wanted), ADDRESS)
            assert (status.serving, status.ready, status.workers, status.others) == (wanted, 1, 1, 0)
            assert cluster.names(kinds.DEPLOYMENT) == [f"fw-churn-r{wanted}"]
            assert len(cluster.names(kinds.POD)) == 1
            assert cluster.outages == 0
            second.close()
            cluster.close()
            if not stopped:
                assert moment > 5
                return
        raise AssertionError("the roll never came to its end")

    run(work())


def test_a_process_that_dies_while_it_removes_an_endpoint_leaves_what_the_next_one_removes() -> None:
    async def work() -> None:
        for moment in range(1, 50):
            cluster = ClusterHere()
            first = process(cluster)
            await first.roll(revision(1, replicas=Bounds(2, 3)), ADDRESS)
            cluster.stop_at = cluster.changes + moment
            stopped = True
            try:
                await first.remove("churn")
                stopped = False
            except Stopped:
                pass
            first.close()
            cluster.stop_at = 0
            second = process(cluster)
            await second.remove("churn")
            assert await second.observe("churn") is None
            assert not any(cluster.objects.values())
            second.close()
            cluster.close()
            if not stopped:
                return

    run(work())


def test_a_service_of_somebody_else_is_refused_and_left_alone() -> None:
    async def work() -> None:
        cluster = ClusterHere()
        foreign = {
            "metadata": {"name": "churn", "labels": {"app": "shop"}},
            "spec": {"selector": {"app": "shop"}},
        }
        await cluster.apply(kinds.SERVICE, "churn", foreign, type=Any)
        deployer = process(cluster)
        with pytest.raises(
            UsageError, match="a Service churn in namespace team that is not of this endpoint"
        ):
            await deployer.roll(revision(1), ADDRESS)
        await deployer.remove("churn")
        assert cluster.objects[kinds.SERVICE]["churn"]["spec"] == foreign["spec"]
        assert cluster.names(kinds.DEPLOYMENT) == []
        deployer.close()
        cluster.close()

    run(work())


def test_a_revision_that_ends_again_and_again_is_told_with_its_last_words() -> None:
    async def work(cluster: ClusterHere, deployer: ClusterDeployer) -> None:
        await deployer.roll(revision(1), ADDRESS)
        cluster.failing.add("2")
        with pytest.raises(FairwayError, match=r"its server ended .*: no such table"):
            await deployer.roll(revision(2), ADDRESS)
        assert cluster.names(kinds.DEPLOYMENT) == ["fw-churn-r1"]
        assert cluster.outages == 0

    alone(work)


def test_what_serves_is_told_to_crash_at_once_and_its_pods_are_left_to_kubernetes() -> None:
    async def work(cluster: ClusterHere, deployer: ClusterDeployer) -> None:
        await deployer.roll(revision(1), ADDRESS)
        cluster.failing.add("1")
        cluster.objects[kinds.POD].clear()
        while (seen := await deployer.observe("churn")) is None or not seen.crashing:
            await asyncio.sleep(0.01)
        assert (seen.serving, seen.ready, seen.phase) == (0, 0, "Pending")
        assert "no such table" in seen.reason
        with pytest.raises(FairwayError, match="no such table"):
            await asyncio.wait_for(deployer.roll(revision(1), ADDRESS), 60)
        assert cluster.names(kinds.DEPLOYMENT) == ["fw-churn-r1"]
        cluster.failing.clear()
        while (seen := await deployer.observe("churn")) is None or seen.ready != 1:
            await asyncio.sleep(0.01)
        assert (seen.serving, seen.crashing, seen.reason) == (1, 0, "")

    alone(work)


def test_a_service_whose_selector_somebody_changed_leads_back_after_a_roll() -> None:
    async def work(cluster: ClusterHere, deployer: ClusterDeployer) -> None:
        await deployer.roll(revision(1), ADDRESS)
        cluster.objects[kinds.SERVICE]["churn"]["spec"]["selector"] = {"app": "other"}
        cluster._move()
        while (seen := await deployer.observe("churn")) is None or seen.serving:
            await asyncio.sleep(0.01)
        status = await deployer.roll(revision(1), ADDRESS)
        assert (status.serving, status.ready) == (1, 1)

    alone(work)


def test_a_revision_takes_over_with_as_many_pods_as_served_before() -> None:
    async def work(cluster: ClusterHere, deployer: ClusterDeployer) -> None:
        await deployer.roll(revision(1, replicas=Bounds.exactly(3)), ADDRESS)
        most: list[int] = []
        apply = cluster.apply

        async def noted(kind: kinds.Kind, name: str, body: object, *, type: Any, force: bool = False) -> Any:
            made = await apply(kind, name, body, type=type, force=force)
            if kind == kinds.AUTOSCALER:
                most.append(cluster.objects[kind][name]["spec"]["minReplicas"])
            return made

        cluster.apply = noted  # type: ignore[method-assign]
        status = await deployer.roll(revision(2, replicas=Bounds(1, 10)), ADDRESS)
        assert (status.ready, most) == (3, [3, 1])
        assert cluster.outages == 0

    alone(work)


def test_an_address_follows_from_the_name_and_a_port_cannot_be_wished_for() -> None:
    async def work() -> None:
        deployer = ClusterDeployer(ClusterHere(), INSTALL, no_events, runtime, print)
        assert deployer.reserve("churn", "", {}) == ADDRESS
        assert deployer.reserve("churn", "http://churn.elsewhere.svc", {}) == ADDRESS
        with pytest.raises(UsageError, match=r"the address http://churn\.team\.svc, and not port 8080"):
            deployer.reserve("churn", "8080", {})

    run(work())

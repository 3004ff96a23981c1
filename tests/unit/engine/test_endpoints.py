import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from fakes import FakeClock, FakeDeployer

from fairway.engine.endpoints import EndpointEngine
from fairway.server.sessions import offered
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import DeployRequest, EndpointStatus
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.model import Candidate, Lineage
from fairway.spec.quantities import Bounds
from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata


class House:
    def __init__(self, root: Path) -> None:
        layout = Layout(root)
        layout.prepare()
        self.metadata = SqliteMetadata(layout)
        self.artifacts = FileArtifacts(root)
        self.deployer = FakeDeployer()
        self.clock = FakeClock()
        self.engine = self.fresh_engine()

    def fresh_engine(self) -> EndpointEngine:
        return EndpointEngine(self.metadata, self.deployer, self.artifacts, self.clock)

    def register(self, name: str = "churn") -> None:
        artifact = Artifact(format="onnx", digest="0" * 64, size=2, inline=b"{}")
        self.metadata.register(
            Candidate(name=name, artifact=artifact), Lineage(run="", step=""), lambda rival: None, ()
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "store")
    made.register()
    yield made
    made.metadata.close()


def deploy(house: House, **changes: object) -> DeployRequest:
    return msgspec.structs.replace(DeployRequest(name="churn", model="churn"), **changes)


def test_a_deployment_is_recorded_before_and_pointed_after(house: House) -> None:
    answer = asyncio.run(house.engine.deploy(deploy(house)))
    assert (answer.status.wanted, answer.status.address) == (1, "http://churn.example")
    assert (answer.replaced, answer.key) == (0, "")
    (status,) = house.metadata.endpoints()
    assert (status.wanted, status.address, status.workers) == (1, "http://churn.example", 2)


def test_a_failed_first_deployment_leaves_nothing(house: House) -> None:
    house.deployer.failing = {1}
    with pytest.raises(FairwayError, match="samples differ"):
        asyncio.run(house.engine.deploy(deploy(house)))
    assert asyncio.run(house.engine.endpoints()) == []
    assert house.deployer.calls[-1] == ("remove", "churn", 0)


def test_a_failed_deployment_leaves_the_old_revision(house: House) -> None:
    async def work() -> list[EndpointStatus]:
        await house.engine.deploy(deploy(house))
        house.deployer.failing = {2}
        with pytest.raises(FairwayError, match="samples differ"):
            await house.engine.deploy(deploy(house))
        assert await house.engine.reconcile() == []
        return await house.engine.endpoints()

    (status,) = asyncio.run(work())
    assert (status.wanted, status.serving, status.phase) == (1, 1, "Running")


def test_rollback_returns_to_the_newest_earlier_revision_that_served(house: House) -> None:
    async def work() -> None:
        await house.engine.deploy(deploy(house))
        house.deployer.failing = {2}
        with pytest.raises(FairwayError):
            await house.engine.deploy(deploy(house))
        await house.engine.deploy(deploy(house))
        answer = await house.engine.rollback("churn")
        assert (answer.status.wanted, answer.replaced) == (1, 3)
        with pytest.raises(NotFound, match="no revision before 1"):
            await house.engine.rollback("churn")
        with pytest.raises(NotFound, match="no revision 2 that served"):
            await house.engine.rollback("churn", 2)
        with pytest.raises(UsageError, match="serves already"):
            await house.engine.rollback("churn", 1)
        assert (await house.engine.rollback("churn", 3)).status.wanted == 3

    asyncio.run(work())


def test_unknown_things_are_not_found(house: House) -> None:
    for work in (
        house.engine.deploy(deploy(house, model="nobody")),
        house.engine.rollback("nobody"),
        house.engine.undeploy("nobody"),
    ):
        with pytest.raises(NotFound):
            asyncio.run(work)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../evil"},
        {"name": ""},
        {"replicas": Bounds(0, 0)},
        {"replicas": Bounds(2, 1)},
        {"replicas": Bounds(1, 65)},
        {"port": 9},
        {"model": ""},
    ],
)
def test_wrong_requests_record_nothing(house: House, changes: dict[str, object]) -> None:
    house.deployer.in_use = {"http://9.example"}
    with pytest.raises(UsageError):
        asyncio.run(house.engine.deploy(deploy(house, **changes)))
    assert house.metadata.endpoints() == []
    assert not any(call[0] == "roll" for call in house.deployer.calls)


def test_undeploy_takes_away_and_a_new_deployment_keeps_the_address(house: House) -> None:
    async def work() -> None:
        await house.engine.deploy(deploy(house))
        await house.engine.undeploy("churn")
        assert await house.engine.endpoints() == []
        with pytest.raises(NotFound):
            await house.engine.undeploy("churn")
        answer = await house.engine.deploy(deploy(house))
        assert (answer.status.wanted, answer.status.address) == (2, "http://churn.example")

    asyncio.run(work())


def test_an_endpoint_that_comes_back_moves_when_its_address_has_been_taken(house: House) -> None:
    async def work() -> None:
        await house.engine.deploy(deploy(house))
        house.deployer.in_use = {"http://churn.example"}
        with pytest.raises(UsageError, match=r"churn\.example belongs"):
            await house.engine.deploy(deploy(house))
        await house.engine.undeploy("churn")
        house.deployer.in_use.add("http://9.example")
        with pytest.raises(UsageError, match=r"9\.example belongs"):
            await house.engine.deploy(deploy(house, port=9))
        again = await house.engine.deploy(deploy(house))
        assert again.status.address == house.metadata.endpoints()[0].address == "http://churn-2.example"

    asyncio.run(work())


def test_a_private_endpoint_stays_private_and_keeps_its_key(house: House) -> None:
    async def work() -> None:
        await house.engine.deploy(deploy(house))
        first = await house.engine.deploy(deploy(house, private=True))
        assert len(first.key) >= 43
        again = await house.engine.deploy(deploy(house))
        assert again.key == ""
        assert first.status.revision is not None
        assert again.status.revision is not None
        assert again.status.revision.key_digest == first.status.revision.key_digest != ""
        with pytest.raises(UsageError, match="is open"):
            await house.engine.rollback("churn", 1)

    asyncio.run(work())


async def ended(engine: EndpointEngine) -> None:
    """Wait until all that was begun is done."""
    while engine._tasks:
        await asyncio.wait(engine._tasks)


def test_reconcile_restores_what_is_gone_and_spaces_out_failures(house: House) -> None:
    async def work() -> None:
        await house.engine.deploy(deploy(house))
        house.deployer.serving.clear()
        engine = house.fresh_engine()
        house.deployer.failing = {1}
        assert len(await engine.reconcile()) == 1
        await ended(engine)
        (status,) = await engine.endpoints()
        assert (status.phase, status.reason) == ("Failed", "it did not become ready: samples differ")
        assert await engine.reconcile() == []
        house.clock.time += 0.6
        house.deployer.failing = set()
        assert len(await engine.reconcile()) == 1
        await ended(engine)
        (status,) = await engine.endpoints()
        assert (status.phase, status.reason) == ("Running", "")
        assert await engine.reconcile() == []

    asyncio.run(work())


def test_reconcile_removes_what_was_undeployed_while_nobody_looked(house: House) -> None:
    async def work() -> None:
        answer = await house.engine.deploy(deploy(house))
        await house.engine.undeploy("churn")
        house.deployer.serving["churn"] = answer.status
        engine = house.fresh_engine()
        await engine.reconcile()
        await ended(engine)
        assert house.deployer.serving == {}

    asyncio.run(work())


def test_an_endpoint_under_change_is_left_to_that_change(house: House) -> None:
    async def work() -> None:
        house.deployer.gate = asyncio.Event()
        first = asyncio.create_task(house.engine.deploy(deploy(house)))
        second = asyncio.create_task(house.engine.deploy(deploy(house)))
        while not house.deployer.calls:
            await asyncio.sleep(0.01)
        assert await house.engine.reconcile() == []
        assert len(house.deployer.calls) == 1
        house.deployer.gate.set()
        assert [(await first).status.wanted, (await second).status.wanted] == [1, 2]

    asyncio.run(work())


def test_stopping_ends_what_serves_and_keeps_it_wanted(house: House) -> None:
    async def work() -> None:
        await house.engine.deploy(deploy(house))
        await house.engine.stop_all()
        assert house.deployer.serving == {}
        with pytest.raises(FairwayError, match="stopping"):
            await house.engine.deploy(deploy(house))

    asyncio.run(work())
    assert house.metadata.endpoints()[0].wanted == 1


def test_a_function_is_deployed_with_what_its_references_mean_now(house: House) -> None:
    source = Artifact(format="folder", digest=house.artifacts.put_bytes(b"x"), size=1, files=True)
    request = DeployRequest(
        name="double", function="double", source=source, module="ep.py", replicas=Bounds()
    )
    answer = asyncio.run(house.engine.deploy(request))
    assert answer.status.revision is not None
    revision = answer.status.revision
    assert revision.aliases == {"churn": 1}
    find = offered(revision, house.artifacts.open)
    assert (find("churn").version.version, find("churn").trusted) == (1, False)
    with pytest.raises(NotFound, match="had no version 2 when"):
        find("churn:2")


def test_a_revision_that_crashes_beside_the_one_that_serves_is_told_with_its_reason(house: House) -> None:
    async def work() -> EndpointStatus:
        await house.engine.deploy(deploy(house))
        seen = house.deployer.serving["churn"]
        house.deployer.serving["churn"] = msgspec.structs.replace(
            seen, workers=3, others=1, starting=0, crashing=1, reason="revision 2: its server ended twice"
        )
        (status,) = await house.engine.endpoints()
        return status

    status = asyncio.run(work())
    assert (status.phase, status.serving, status.others, status.crashing) == ("Running", 1, 1, 1)
    assert status.reason == "revision 2: its server ended twice"

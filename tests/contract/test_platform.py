"""What every platform promises to whoever asks it about endpoints: in the same process, and over HTTP."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fakes import FakeClock, FakeDeployer

from fairway.control.api import Api
from fairway.control.gate import Gate
from fairway.control.routes import application, public_paths
from fairway.engine.endpoints import EndpointEngine
from fairway.ports import Platform
from fairway.remote import RemotePlatform
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import DeployRequest, request_url
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.model import Candidate, Lineage
from fairway.wiring import machine

TOKEN = "t" * 43


class Ground:
    """A store with a registered model, and the platform that serves from it."""

    def __init__(self, root: Path) -> None:
        self.stores = machine.LocalStores(root).prepare()
        self.deployer = FakeDeployer()
        self.engine = EndpointEngine(
            self.stores.metadata, self.deployer, self.stores.artifacts, FakeClock()
        )
        self.platform: Platform = self.engine
        artifact = Artifact(format="onnx", digest="0" * 64, size=2, inline=b"{}")
        for _ in range(2):
            self.stores.metadata.register(
                Candidate(name="churn", artifact=artifact), Lineage(run="", step=""), lambda rival: None, ()
            )


@contextlib.asynccontextmanager
async def in_this_process(ground: Ground) -> AsyncIterator[None]:
    yield


@contextlib.asynccontextmanager
async def over_http(ground: Ground) -> AsyncIterator[None]:
    async def stop(endpoints: bool) -> None:
        raise AssertionError("nobody asked for that")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        entries = Api(ground.stores, ground.engine, stop).entries()
        gate = Gate(application(entries), [f"127.0.0.1:{port}"], TOKEN, public_paths(entries))  # type: ignore[arg-type]
        config = uvicorn.Config(gate, ws="none", lifespan="off", log_config=None)  # type: ignore[arg-type]
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        ground.platform = RemotePlatform(f"http://127.0.0.1:{port}", TOKEN)
        try:
            yield
        finally:
            await server.shutdown(sockets=[listening])


Play = Callable[[Callable[[Ground], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=[in_this_process, over_http], ids=["in this process", "over HTTP"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Runs work on a fresh ground."""

    async def whole(work: Callable[[Ground], Coroutine[Any, Any, None]]) -> None:
        ground = Ground(tmp_path / "store")
        try:
            async with request.param(ground):
                await work(ground)
        finally:
            await ground.engine.close()
            ground.stores.close()

    return lambda work: asyncio.run(whole(work))


def request(**changes: Any) -> DeployRequest:
    return DeployRequest(**{"name": "churn", "model": "churn", **changes})


def test_there_is_nothing(play: Play) -> None:
    async def work(ground: Ground) -> None:
        assert await ground.platform.endpoints() == []

    play(work)


def test_a_deployment_says_what_answers_and_where(play: Play) -> None:
    async def work(ground: Ground) -> None:
        deployed = await ground.platform.deploy(request(model="churn:1"))
        assert (deployed.replaced, deployed.key) == (0, "")
        status = deployed.status
        assert (status.name, status.wanted, status.serving, status.phase) == ("churn", 1, 1, "Running")
        assert status.revision is not None
        assert status.url == request_url(status.address, status.revision)
        assert status.revision.model is not None
        assert status.revision.model.version == 1
        assert await ground.platform.endpoints() == [status]
        again = await ground.platform.deploy(request(model="churn:2"))
        assert (again.status.wanted, again.replaced, again.status.address) == (2, 1, status.address)

    play(work)


def test_a_key_is_shown_once_and_stays_good(play: Play) -> None:
    async def work(ground: Ground) -> None:
        first = await ground.platform.deploy(request(private=True))
        assert len(first.key) >= 43
        again = await ground.platform.deploy(request())
        assert again.key == ""
        assert first.status.revision is not None
        assert again.status.revision is not None
        assert again.status.revision.key_digest == first.status.revision.key_digest != ""
        assert first.key not in repr(await ground.platform.endpoints())

    play(work)


def test_a_deployment_that_fails_changes_nothing(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await ground.platform.deploy(request())
        ground.deployer.failing = {2}
        with pytest.raises(FairwayError, match="samples differ"):
            await ground.platform.deploy(request())
        (status,) = await ground.platform.endpoints()
        assert (status.wanted, status.serving, status.phase) == (1, 1, "Running")

    play(work)


def test_rollback_returns_to_what_served_before(play: Play) -> None:
    async def work(ground: Ground) -> None:
        for model in ("churn:1", "churn:2"):
            await ground.platform.deploy(request(model=model))
        back = await ground.platform.rollback("churn")
        assert (back.status.wanted, back.replaced) == (1, 2)
        with pytest.raises(NotFound, match="no revision before 1"):
            await ground.platform.rollback("churn")
        assert (await ground.platform.rollback("churn", 2)).status.wanted == 2
        with pytest.raises(UsageError, match="serves already"):
            await ground.platform.rollback("churn", 2)

    play(work)


def test_undeploy_takes_an_endpoint_away(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await ground.platform.deploy(request())
        await ground.platform.undeploy("churn")
        assert await ground.platform.endpoints() == []
        with pytest.raises(NotFound):
            await ground.platform.undeploy("churn")

    play(work)


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda platform: platform.deploy(request(model="nobody")), NotFound),
        (lambda platform: platform.deploy(request(model="churn:9")), NotFound),
        (lambda platform: platform.deploy(request(name="../evil")), UsageError),
        (lambda platform: platform.deploy(request(workers=0)), UsageError),
        (lambda platform: platform.rollback("nobody"), NotFound),
        (lambda platform: platform.rollback("../../shutdown"), NotFound),
        (lambda platform: platform.undeploy("nobody"), NotFound),
        (lambda platform: platform.undeploy("a/b?c#d%2fe"), NotFound),
    ],
)
def test_what_cannot_be_is_refused_in_words_with_the_next_step(
    play: Play, ask: Callable[[Platform], Coroutine[Any, Any, object]], kind: type[FairwayError]
) -> None:
    async def work(ground: Ground) -> None:
        with pytest.raises(kind) as refused:
            await ask(ground.platform)
        assert refused.value.message
        assert await ground.platform.endpoints() == []
        assert not ground.deployer.calls

    play(work)

"""What every platform promises to whoever asks it: in the same process, and over HTTP."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from fakes import FakeClock, FakeDeployer

from fairway.control.api import Api
from fairway.control.gate import Gate
from fairway.control.routes import application, public_paths
from fairway.engine.endpoints import EndpointEngine
from fairway.engine.platform import EnginePlatform
from fairway.ports.platform import Platform
from fairway.remote import Direct, RemotePlatform
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import DeployRequest, request_url
from fairway.spec.errors import CorruptArtifact, FairwayError, NotAllowed, NotFound, UsageError
from fairway.spec.event import AttemptEnded, RunEnded, RunStarted, StepCalled, StepEnded
from fairway.spec.model import Candidate, Lineage
from fairway.spec.quantities import Bounds
from fairway.spec.run import Phase, RunRequest
from fairway.spec.update import Over, Printed, Recorded, Update
from fairway.wiring import machine, runs, target

TOKEN = "t" * 43

PROJECT = """
import time
from pathlib import Path
import fairway as fw

@fw.task
def count(number: int) -> int:
    for line in range(number):
        print(f"line {line}")
    return number

@fw.task
def hold(until: str) -> None:
    while not Path(until).exists():
        time.sleep(0.02)

@fw.pipeline
def main(number: int = 3):
    print("begun")
    count(number)
    count(number + 1)

@fw.pipeline
def held(until: str):
    hold(until)
"""


class Ground:
    """A project with a store that has a registered model, and the platform of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "project.py"
        self.file.write_text(PROJECT, encoding="utf-8")
        self.stores = machine.LocalStores(folder / ".fairway").prepare()
        self.deployer = FakeDeployer()
        self.engine = EndpointEngine(self.stores.metadata, self.deployer, self.stores.artifacts, FakeClock())
        self.platform: Platform = EnginePlatform(
            machine.records(self.stores), lambda: runs.here(self.stores), lambda: self.engine, self.stop
        )
        artifact = Artifact(format="onnx", digest="0" * 64, size=2, inline=b"{}")
        for _ in range(2):
            self.stores.metadata.register(
                Candidate(name="churn", artifact=artifact), Lineage(run="", step=""), lambda rival: None, ()
            )
        self.stopped: list[bool] = []

    async def stop(self, endpoints: bool) -> None:
        self.stopped.append(endpoints)

    def asked(self, pipeline: str = "main", **texts: str) -> RunRequest:
        """A request for a run of the project."""
        return RunRequest(
            file=str(self.file), pipeline=pipeline, texts={name: [text] for name, text in texts.items()}
        )


@contextlib.asynccontextmanager
async def in_this_process(ground: Ground) -> AsyncIterator[None]:
    yield
    await ground.platform.close()


@contextlib.asynccontextmanager
async def over_http(ground: Ground) -> AsyncIterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        entries = Api(target.attended(ground.stores, ground.engine, ground.stop)).entries()
        gate = Gate(application(entries), [f"127.0.0.1:{port}"], TOKEN, public_paths(entries))  # type: ignore[arg-type]
        config = uvicorn.Config(gate, ws="none", lifespan="off", log_config=None)  # type: ignore[arg-type]
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        ground.platform = RemotePlatform(Direct(f"http://127.0.0.1:{port}", TOKEN))
        try:
            yield
        finally:
            await server.shutdown(sockets=[listening])


Play = Callable[[Callable[[Ground], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=[in_this_process, over_http], ids=["in this process", "over HTTP"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Runs work on a fresh ground."""

    async def whole(work: Callable[[Ground], Coroutine[Any, Any, None]]) -> None:
        ground = Ground(tmp_path)
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
        (lambda platform: platform.deploy(request(replicas=Bounds(0, 0))), UsageError),
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


async def followed(ground: Ground, run: str, after: str = "") -> list[Update]:
    """All updates of a run to its end."""
    return [update async for update in ground.platform.follow(run, after)]


def told(updates: list[Update]) -> tuple[list[type], dict[str, bytes]]:
    """Kinds of the facts in order, and what each step printed."""
    printed: dict[str, bytes] = {}
    for update in updates:
        if isinstance(update.news, Printed):
            printed[update.news.step] = printed.get(update.news.step, b"") + update.news.data
    facts = [type(update.news.event.body) for update in updates if isinstance(update.news, Recorded)]
    return facts, printed


PRINTED = {
    "pipeline": b"begun\n",
    "count": b"line 0\nline 1\nline 2\n",
    "count-2": b"line 0\nline 1\nline 2\nline 3\n",
}


def test_a_project_says_what_it_declares(play: Play) -> None:
    async def work(ground: Ground) -> None:
        project = await ground.platform.describe(ground.asked())
        assert [pipeline.name for pipeline in project.pipelines] == ["main", "held"]
        assert [parameter.name for parameter in project.pipelines[0].parameters] == ["number"]

    play(work)


def test_a_run_that_is_submitted_is_on_record_and_is_followed_to_its_end(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        assert (await ground.platform.run(run)).spec.shown == {"number": "3"}
        updates = await followed(ground, run)
        facts, printed = told(updates)
        assert facts[0] is RunStarted
        assert facts[-1] is RunEnded
        assert (facts.count(StepCalled), facts.count(AttemptEnded), facts.count(StepEnded)) == (2, 2, 2)
        assert printed == PRINTED
        over = updates[-1].news
        assert isinstance(over, Over)
        assert over.ended is not None
        assert over.ended.phase is Phase.SUCCEEDED
        assert (await ground.platform.run(run)).phase is Phase.SUCCEEDED
        assert [summary.name for summary in await ground.platform.runs()] == [run]
        assert await ground.platform.find("") == run

    play(work)


def test_following_goes_on_from_any_position_with_nothing_lost_and_nothing_twice(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        updates: list[Update] = []
        position = ""
        while not updates or not isinstance(updates[-1].news, Over):
            async for update in ground.platform.follow(run, position):
                updates.append(update)
                position = update.position
                break
        facts, printed = told(updates)
        assert (facts.count(RunStarted), facts.count(StepCalled), facts.count(StepEnded)) == (1, 2, 2)
        assert facts.count(RunEnded) == 1
        assert printed == PRINTED

    play(work)


def test_output_of_an_attempt_comes_before_its_end(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        left = dict(PRINTED)
        for update in await followed(ground, run):
            if isinstance(update.news, Printed):
                left[update.news.step] = left[update.news.step][len(update.news.data) :]
            elif isinstance(update.news, Recorded) and isinstance(update.news.event.body, AttemptEnded):
                assert left[update.news.event.step] == b""

    play(work)


def test_a_run_is_cancelled_and_says_so(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked("held", until=str(ground.folder / "never")))
        async for update in ground.platform.follow(run):
            if isinstance(update.news, Recorded) and isinstance(update.news.event.body, StepCalled):
                break
        assert (await ground.platform.run(run)).alive
        assert (await ground.platform.cancel(run)).stopping
        facts = await followed(ground, run, update.position)
        over = facts[-1].news
        assert isinstance(over, Over)
        assert over.ended is not None
        assert over.ended.phase is Phase.CANCELLED

    play(work)


def test_wrong_parameters_are_refused_and_nothing_is_started(play: Play) -> None:
    async def work(ground: Ground) -> None:
        with pytest.raises(UsageError, match="number"):
            await ground.platform.submit(ground.asked(number="many"))
        with pytest.raises(UsageError, match="has no pipeline 'nobody'"):
            await ground.platform.submit(ground.asked("nobody"))
        assert await ground.platform.runs() == []

    play(work)


def test_a_plan_says_what_would_run_and_runs_nothing(play: Play) -> None:
    async def work(ground: Ground) -> None:
        plan = await ground.platform.plan(ground.asked(number="3"))
        assert [(step.step, step.will) for step in plan] == [
            ("count number=3", "run"),
            ("count-2 number=4", "run"),
        ]
        assert await ground.platform.runs() == []

    play(work)


def test_what_steps_printed_is_read_line_by_line(play: Play) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked(number="3"))
        await followed(ground, run)
        assert sorted((await ground.platform.outputs(run)).attempts) == [
            ("count", 1),
            ("count-2", 1),
            ("pipeline", 1),
        ]
        page = await ground.platform.logs(run, "count", 1)
        assert [line.text for line in page.lines] == ["line 0", "line 1", "line 2"]
        assert (await ground.platform.logs(run, "count", 1, page.offset)).lines == []

    play(work)


def test_models_and_their_aliases(play: Play) -> None:
    async def work(ground: Ground) -> None:
        platform = ground.platform
        assert [model.name for model in await platform.models()] == ["churn"]
        assert [version.version for version in await platform.versions("churn")] == [1, 2]
        assert (await platform.alias("churn", "champion", 1)).version == 1
        assert (await platform.resolve("churn@champion")).version == 1
        assert await platform.aliases("churn") == {"churn@champion": 1}
        assert (await platform.alias("churn", "champion", 0)).version == 1
        assert await platform.aliases() == {}
        assert await platform.sources("churn:1") == {}
        with pytest.raises(UsageError):
            await platform.alias("churn", "../evil", 1)

    play(work)


def test_content_of_one_file_is_read(play: Play) -> None:
    async def work(ground: Ground) -> None:
        digest = ground.stores.artifacts.put_bytes(b"content \xff")
        assert await ground.platform.read(Artifact(format="json", digest=digest, size=9)) == b"content \xff"
        with pytest.raises(FairwayError):
            await ground.platform.read(Artifact(format="json", digest="0" * 64, size=9))

    play(work)


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda platform: platform.run("nobody"), NotFound),
        (lambda platform: platform.run("../../etc"), NotFound),
        (lambda platform: platform.find("nobody"), NotFound),
        (lambda platform: platform.cancel("nobody"), NotFound),
        (lambda platform: platform.outputs("../.."), NotFound),
        (lambda platform: platform.logs("..", "../x", 1), NotFound),
        (lambda platform: platform.updates("nobody"), NotFound),
        (lambda platform: platform.updates("nobody", "rubbish"), UsageError),
        (lambda platform: platform.submit(RunRequest(resume="nobody")), NotFound),
        (lambda platform: platform.resolve("nobody"), NotFound),
        (lambda platform: platform.versions("nobody"), NotFound),
        (lambda platform: platform.alias("churn", "champion", 9), NotFound),
        (lambda platform: platform.alias("churn", "champion", 0), NotFound),
    ],
)
def test_questions_about_what_is_not_there_are_answered_so(
    play: Play, ask: Callable[[Platform], Coroutine[Any, Any, object]], kind: type[FairwayError]
) -> None:
    async def work(ground: Ground) -> None:
        with pytest.raises(kind) as refused:
            await ask(ground.platform)
        assert refused.value.message
        assert not (ground.folder / "etc").exists()

    play(work)


def test_the_platform_is_stopped_with_or_without_its_endpoints(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await ground.platform.shutdown(endpoints=False)
        await ground.platform.shutdown(endpoints=True)
        assert ground.stopped == [False, True]

    play(work)


@pytest.fixture
def served(tmp_path: Path) -> Play:
    """Runs work on a fresh ground that is asked over HTTP."""

    async def whole(work: Callable[[Ground], Coroutine[Any, Any, None]]) -> None:
        ground = Ground(tmp_path / "shop")
        try:
            async with over_http(ground):
                await work(ground)
        finally:
            await ground.engine.close()
            ground.stores.close()

    (tmp_path / "shop").mkdir()
    return lambda work: asyncio.run(whole(work))


def test_only_code_of_the_project_is_taken_over_http(served: Play, tmp_path: Path) -> None:
    """What is refused is neither imported nor read."""
    touched = tmp_path / "touched"
    outside = tmp_path / "outside.py"
    outside.write_text(f"open({str(touched)!r}, 'w')\n", encoding="utf-8")
    (tmp_path / "shop" / "link.py").symlink_to(outside)
    file = str(tmp_path / "shop" / "project.py")
    code = Artifact(format="pickle", digest="0" * 64, size=1, inline=b".")
    hidden = b'{"$leaf": "pickle", "kind": "int", "data": "Lg=="}'
    refused = [
        RunRequest(file=str(outside)),
        RunRequest(file=str(tmp_path / "shop" / ".." / "outside.py")),
        RunRequest(file=str(tmp_path / "shop" / "link.py")),
        RunRequest(file="outside.py"),
        RunRequest(file=file, folder="/"),
        RunRequest(file=file, pickled=str(outside)),
        RunRequest(pickled=str(outside)),
        RunRequest(),
        RunRequest(file=file, parameters={"number": code}),
        RunRequest(
            file=file, parameters={"number": msgspec.structs.replace(code, format="bundle", inline=hidden)}
        ),
        RunRequest(
            file=file, parameters={"number": msgspec.structs.replace(code, format="json", code="0" * 64)}
        ),
    ]

    async def work(ground: Ground) -> None:
        for request in refused:
            for verb in (ground.platform.submit, ground.platform.describe, ground.platform.plan):
                with pytest.raises((NotAllowed, UsageError)):
                    await verb(request)
        assert await ground.platform.runs() == []
        plain = Artifact(format="json", digest="0" * 64, size=1, inline=b"1")
        await ground.platform.submit(RunRequest(file=file, pipeline="main", parameters={"number": plain}))

    served(work)
    assert not touched.exists()


def test_content_is_brought_to_a_file_in_pieces(play: Play) -> None:
    async def work(ground: Ground) -> None:
        data = bytes(range(256)) * 40_000  # more than a piece
        digest = ground.stores.artifacts.put_bytes(data)
        target = ground.folder / "brought"
        await ground.platform.bring(digest, target)
        assert target.read_bytes() == data
        assert await ground.platform.piece(digest, len(data) - 2) == data[-2:]
        assert await ground.platform.piece(digest, len(data)) == b""
        with pytest.raises(NotFound):
            await ground.platform.bring("0" * 64, ground.folder / "nothing")
        assert not (ground.folder / "nothing").exists()

    play(work)


def test_content_that_is_damaged_becomes_no_file(play: Play) -> None:
    async def work(ground: Ground) -> None:
        digest = ground.stores.artifacts.put_bytes(b"content" * 1000)
        blob = ground.stores.layout.blobs / digest[:2] / digest
        blob.chmod(0o600)
        blob.write_bytes(b"CONTENT" * 1000)
        with pytest.raises(CorruptArtifact):
            await ground.platform.bring(digest, ground.folder / "brought")
        assert not (ground.folder / "brought").exists()

    play(work)


def test_a_file_of_the_store_is_no_piece(served: Play) -> None:
    async def work(ground: Ground) -> None:
        for digest in ("../store.json", "..", "0" * 63, "A" * 64):
            with pytest.raises(FairwayError, match=r"no digest|nothing here"):
                await ground.platform.piece(digest, 0)

    served(work)


def test_a_file_of_the_store_is_no_content(served: Play) -> None:
    async def work(ground: Ground) -> None:
        for digest in ("../store.json", "..", "", "0" * 63, "A" * 64, "0" * 64 + "\n"):
            with pytest.raises(UsageError, match="no digest"):
                await ground.platform.read(Artifact(format="json", digest=digest, size=1))

    served(work)

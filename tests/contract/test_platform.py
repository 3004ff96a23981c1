"""What every platform promises of endpoints, models and itself: in the same process, and over HTTP."""

import asyncio
import http.server
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from grounds import Ground, Play, followed, request

from fairway.local import owner
from fairway.ports.platform import Platform
from fairway.spec.deeds import DeedQuery
from fairway.spec.endpoint import request_url
from fairway.spec.errors import FairwayError, NotFound, UsageError
from fairway.spec.quantities import Bounds
from fairway.spec.run import RunRequest
from fairway.spec.serving import Question


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


def test_changes_are_told_with_the_person_who_asked(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await ground.platform.alias("churn", "champion", 1)
        run = await ground.platform.submit(ground.asked())
        await followed(ground, run)
        await ground.platform.tag(run, "good", present=True)
        told = [(one.kind, one.name, one.did) for one in await ground.platform.deeds(DeedQuery())]
        assert told == [("run", run, "tagged"), ("run", run, "started"), ("model", "churn", "moved alias")]
        (newest,) = await ground.platform.deeds(DeedQuery(kind="run", limit=1))
        assert (newest.who, newest.detail) == (owner.name(), "good")
        assert await ground.platform.deeds(DeedQuery(who="nobody")) == []

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


def test_deployments_say_what_served_from_when_on(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await ground.platform.deploy(request(model="churn:1"))
        await ground.platform.deploy(request(model="churn:2", replicas=Bounds(3, 3)))
        await ground.platform.rollback("churn")
        await ground.platform.deploy(request(name="other", private=True))
        found = await ground.platform.serving.deployments("churn")
        assert [(one.revision, one.model, one.version, one.reason) for one in found] == [
            (1, "churn", 1, "rolled back from 2"),
            (2, "churn", 2, "deployed"),
            (1, "churn", 1, "deployed"),
        ]
        assert found[1].replicas == Bounds(3, 3)
        every = await ground.platform.serving.deployments()
        assert [one.endpoint for one in every] == ["other", "churn", "churn", "churn"]
        assert [one.private for one in every] == [True, False, False, False]
        assert await ground.platform.serving.deployments("nobody") == []

    play(work)


def test_a_request_is_sent_to_an_endpoint_and_its_answer_comes_back(play: Play) -> None:
    class Answering(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = f"{self.path} {self.headers['authorization']} {body.decode()}".encode()
            self.send_response(418)
            self.send_header("content-type", "text/tea")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            return

    async def work(ground: Ground) -> None:
        ground.deployer.reserved["churn"] = f"http://127.0.0.1:{server.server_port}"
        await ground.platform.deploy(request())
        reply = await ground.platform.serving.ask("churn", Question(path="/x?y=1", body=b"hello", key="k"))
        assert (reply.status, reply.kind, reply.body) == (418, "text/tea", b"/x?y=1 Bearer k hello")
        assert 0 < reply.seconds < 60
        with pytest.raises(UsageError, match="at most"):
            await ground.platform.serving.ask("churn", Question(body=bytes(2**19 + 1)))
        with pytest.raises(NotFound, match="nothing serves as 'nobody'"):
            await ground.platform.serving.ask("nobody", Question())
        server.shutdown()
        server.server_close()
        with pytest.raises(FairwayError, match="gave no answer"):
            await ground.platform.serving.ask("churn", Question())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    play(work)


def test_output_and_traffic_of_what_never_served_are_refused(play: Play) -> None:
    async def work(ground: Ground) -> None:
        for asked in (ground.platform.serving.output, ground.platform.serving.traffic):
            with pytest.raises(NotFound, match="there is no endpoint 'nobody'"):
                await asked("nobody")
        await ground.platform.deploy(request())
        assert await ground.platform.serving.output("churn") == []
        assert (await ground.platform.serving.traffic("churn")).hour == ()

    play(work)


def test_a_platform_tells_its_health(play: Play) -> None:
    async def work(ground: Ground) -> None:
        health = await ground.platform.health()
        assert {one.check for one in health.checks} >= {"python", "sqlite", "disk", "writing"}
        assert health.free > 0
        for _ in range(200):
            health = await ground.platform.health()
            if health.counted:
                break
            await asyncio.sleep(0.05)
        assert "log of events" in {one.kind for one in health.stored}

    play(work)

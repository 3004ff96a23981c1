"""The way to the platform in a cluster: the service proxy, the forwarded port, tokens, and each refusal as a sentence."""

import asyncio
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from standin import ApiServer

from fairway.cluster import reaching
from fairway.cluster.client.access import Access, Credentials
from fairway.cluster.reaching import ThroughCluster
from fairway.remote import RemotePlatform
from fairway.spec.errors import FairwayError, NotAllowed, NotFound, Unreachable

Lines = list[str]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path) as server:
        yield server


@pytest.fixture
def lines() -> Lines:
    """What the user was told."""
    return []


@pytest.fixture
def reach(cluster: ApiServer, tmp_path: Path, lines: Lines) -> Callable[[], ThroughCluster]:
    """Makes the way to the platform anew, as each command does."""

    def reach() -> ThroughCluster:
        access = Access(
            server=f"http://127.0.0.1:{cluster.port}",
            namespace="ml",
            context="lab",
            credentials=Credentials(token="of-ann"),
        )
        return ThroughCluster("team", access, tmp_path / "memory", lambda *told: lines.extend(told))

    return reach


def runs(way: ThroughCluster) -> list[object]:
    """Ask for the runs, as a command does."""

    async def ask() -> list[object]:
        platform = RemotePlatform(way)
        try:
            return list(await platform.runs())
        finally:
            await platform.close()

    return asyncio.run(ask())


def of_forward(cluster: ApiServer) -> int:
    return sum("/portforward" in asked.path for asked in cluster.asked)


def test_a_request_goes_through_the_proxy_with_the_token_of_the_highest_role(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    assert runs(reach()) == []
    last = cluster.plane.asked[-1]
    assert (last.path, last.headers["x-fairway-token"]) == ("/api/v1/runs?limit=50", "fairway-deployer-0")
    assert "authorization" not in last.headers
    assert of_forward(cluster) == 0


def test_a_lower_role_is_taken_by_who_may_not_have_a_higher_one(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    cluster.roles = ["fairway-viewer"]
    runs(reach())
    assert cluster.plane.asked[-1].headers["x-fairway-token"].startswith("fairway-viewer")


def test_who_may_have_no_role_is_told_which_right_it_takes(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    cluster.roles = []
    with pytest.raises(NotAllowed, match="has no role") as refused:
        runs(reach())
    assert "--resource=serviceaccounts/token" in refused.value.hint


def test_a_token_that_is_not_taken_any_more_is_replaced(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    way = reach()
    runs(way)
    cluster.plane.tokens = {"another"}
    assert runs(way) == []


def test_a_token_is_replaced_before_it_expires(
    cluster: ApiServer, reach: Callable[[], ThroughCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "_RENEWED_SECONDS", 0.0)
    way = reach()
    runs(way)
    runs(way)
    assert len(cluster.plane.tokens) == 2


@pytest.mark.parametrize("failure", ["forbidden", "unreachable", "silent"])
def test_a_forwarded_port_leads_where_the_proxy_does_not_and_is_remembered(
    cluster: ApiServer, reach: Callable[[], ThroughCluster], failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "_SILENCE_SECONDS", 0.5)
    cluster.proxy = failure
    assert runs(reach()) == []
    assert of_forward(cluster) >= 1
    asked = len(cluster.asked)
    assert runs(reach()) == []
    assert not any("/proxy/" in one.path for one in cluster.asked[asked:])


def test_the_proxy_is_taken_again_when_the_remembered_port_leads_nowhere(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    cluster.proxy = "unreachable"
    runs(reach())
    cluster.proxy, cluster.forward = "ok", "forbidden"
    assert runs(reach()) == []


def test_both_ways_barred_is_told_with_both_reasons(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    cluster.proxy = cluster.forward = "forbidden"
    with pytest.raises(FairwayError, match=r"services/proxy.*portforward") as refused:
        runs(reach())
    assert "services/proxy" in refused.value.hint


def test_a_platform_that_is_not_ready_is_waited_for(
    cluster: ApiServer, reach: Callable[[], ThroughCluster], lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "_PAUSE_SECONDS", 0.05)
    cluster.proxy, cluster.forward = "not ready", "none ready"
    way = reach()

    def told(*more: str) -> None:
        lines.extend(more)
        cluster.proxy = "ok"

    monkeypatch.setattr(way, "_tell", told)
    assert runs(way) == []
    assert lines == ["the platform of team in namespace ml is not ready; waiting for it"]


def test_a_platform_that_does_not_become_ready_is_told_with_the_command_that_shows_its_pod(
    cluster: ApiServer, reach: Callable[[], ThroughCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PAUSE_SECONDS", "_READY_SECONDS"):
        monkeypatch.setattr(reaching, name, 0.05)
    cluster.proxy = "not ready"
    way = reach()
    monkeypatch.setattr(way, "repeats", 0.0)
    with pytest.raises(Unreachable, match="is not ready") as refused:
        runs(way)
    assert "kubectl --context lab -n ml get pods" in refused.value.hint


def test_a_namespace_without_fairway_is_told_at_once(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    cluster.installed = False
    with pytest.raises(NotFound, match="not installed in namespace ml of context lab") as refused:
        runs(reach())
    assert refused.value.hint == "`fairway install --context lab --namespace ml`"


@pytest.mark.parametrize(("theirs", "what"), [("0.0.9", "fairway upgrade"), ("9.1.0", "fairway-ml==9.1.0")])
def test_a_platform_of_another_version_is_refused_before_anything_is_asked(
    cluster: ApiServer, reach: Callable[[], ThroughCluster], theirs: str, what: str
) -> None:
    cluster.plane.version = theirs
    with pytest.raises(FairwayError, match=f"is Fairway {theirs}, and this command is") as refused:
        runs(reach())
    assert what in refused.value.hint
    assert [asked.path for asked in cluster.plane.asked] == ["/healthz"]


def test_credentials_that_are_not_taken_any_more_are_told_at_once(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    cluster.token = "another"
    with pytest.raises(FairwayError, match="does not accept the credentials"):
        runs(reach())


def test_a_cluster_that_does_not_answer_is_told_at_once(
    reach: Callable[[], ThroughCluster], cluster: ApiServer
) -> None:
    cluster.port = 9
    with pytest.raises(FairwayError, match=r"127\.0\.0\.1:9") as refused:
        runs(reach())
    assert not isinstance(refused.value, Unreachable)


def test_a_question_is_asked_again_after_a_broken_connection(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    way = reach()
    runs(way)
    cluster.cut = 2
    assert runs(way) == []


def test_an_api_server_that_is_busy_is_asked_again_and_the_way_stays(
    cluster: ApiServer, reach: Callable[[], ThroughCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "_PAUSE_SECONDS", 0.05)
    cluster.busy = 2
    way = reach()
    assert runs(way) == []
    cluster.busy = 2
    assert runs(way) == []
    assert of_forward(cluster) == 0


def test_a_file_that_a_proxy_before_the_cluster_does_not_take_is_told(
    cluster: ApiServer, reach: Callable[[], ThroughCluster]
) -> None:
    cluster.proxy = "large"
    way = reach()

    async def put() -> None:
        await RemotePlatform(way).put("0" * 64, b"x" * 2000)

    with pytest.raises(FairwayError, match="a file of 2000 bytes is too large"):
        asyncio.run(put())


def test_whatever_refuses_after_the_first_answer_is_out_of_sight_only(
    cluster: ApiServer, reach: Callable[[], ThroughCluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = reach()
    runs(way)
    monkeypatch.setattr(way, "repeats", 0.0)
    cluster.proxy = cluster.forward = "forbidden"
    for _ in range(2):
        with pytest.raises(Unreachable):
            runs(way)
    cluster.proxy = "ok"
    assert runs(way) == []


def test_a_run_on_a_target_is_followed_for_as_long_as_needed(reach: Callable[[], ThroughCluster]) -> None:
    assert reach().patience == math.inf

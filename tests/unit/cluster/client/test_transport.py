"""Requests are sent again only where that helps and does no harm, and never faster than the budget allows."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
import trustme
from scripted import Answer, Asked, ScriptedServer, refusal

from fairway.cluster.client.access import Access, Trust
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import (
    AlreadyThere,
    ClusterConfigError,
    Invalid,
    KubernetesError,
    NotReached,
    Unknown,
)
from fairway.cluster.client.kinds import JOB, POD
from fairway.cluster.client.transport import Budget

Serve = Callable[..., ScriptedServer]
AccessTo = Callable[..., Access]
NAMED = {"metadata": {"name": "a"}}


def ask(access: Access, question: Callable[[Kubernetes], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with Kubernetes(access) as kube, asyncio.timeout(60):
            return await question(kube)

    return asyncio.run(main())


async def hang_up(asked: Asked) -> None:
    """Close the connection without an answer."""


def in_turn(*answers: object) -> Callable[[Asked], Any]:
    """Give these answers one after the other, and the last one for ever."""
    waiting = list(answers)

    def handler(asked: Asked) -> Any:
        answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return answer(asked) if callable(answer) else answer

    return handler


etcd = refusal(500, "InternalError", "etcdserver: request timed out")
busy = refusal(429, "TooManyRequests", "too many requests")
away = refusal(503, "ServiceUnavailable", "apiserver is shutting down")


@pytest.mark.parametrize(
    "trouble",
    [etcd, busy, away, hang_up, Answer(b"<html>", 502)],
    ids=["500", "429", "503", "hang-up", "502"],
)
def test_a_passing_trouble_is_not_seen(serve: Serve, access_to: AccessTo, trouble: object) -> None:
    server = serve(in_turn(trouble, trouble, Answer(NAMED)))
    for verb in (
        lambda kube: kube.get(POD, "a"),
        lambda kube: kube.apply(POD, "a", {}),
        lambda kube: kube.patch(POD, "a", {}),
        lambda kube: kube.delete(POD, "a"),
        lambda kube: kube.create(POD, NAMED),
    ):
        server.handler, server.asked[:] = in_turn(trouble, trouble, Answer(NAMED)), []
        ask(access_to(server), verb)
        assert len(server.asked) == 3


def test_a_lasting_trouble_is_an_error_with_the_words_of_the_server(
    serve: Serve, access_to: AccessTo
) -> None:
    server = serve(in_turn(etcd))
    with pytest.raises(KubernetesError, match="etcdserver: request timed out"):
        ask(access_to(server), lambda kube: kube.get(POD, "a"))
    assert len(server.asked) == 8


def test_a_create_whose_answer_was_lost_ends_as_already_there(serve: Serve, access_to: AccessTo) -> None:
    taken = refusal(409, "AlreadyExists", 'jobs.batch "a" already exists')
    server = serve(in_turn(hang_up, taken))
    with pytest.raises(AlreadyThere):
        ask(access_to(server), lambda kube: kube.create(JOB, NAMED))
    assert [json.loads(each.body)["metadata"]["name"] for each in server.asked] == ["a", "a"]


@pytest.mark.parametrize("trouble", [etcd, hang_up], ids=["500", "hang-up"])
def test_a_create_whose_name_the_server_makes_is_sent_once(
    serve: Serve, access_to: AccessTo, trouble: object
) -> None:
    server = serve(in_turn(trouble))
    with pytest.raises(KubernetesError):
        ask(access_to(server), lambda kube: kube.create(JOB, {"metadata": {"generateName": "a-"}}))
    assert len(server.asked) == 1


def test_the_wish_of_the_server_to_wait_is_kept(serve: Serve, access_to: AccessTo) -> None:
    server = serve(in_turn(Answer(busy.body, 429, {"Retry-After": "1"}), Answer(NAMED)))
    begun = time.monotonic()
    ask(access_to(server), lambda kube: kube.get(POD, "a"))
    assert time.monotonic() - begun >= 1


def test_a_refusal_is_not_tried_again(serve: Serve, access_to: AccessTo) -> None:
    server = serve(in_turn(refusal(422, "Invalid", "no")))
    with pytest.raises(KubernetesError):
        ask(access_to(server), lambda kube: kube.apply(POD, "a", {}))
    assert len(server.asked) == 1


def test_an_unknown_field_in_an_apply_is_not_tried_again(serve: Serve, access_to: AccessTo) -> None:
    said = (
        "failed to create typed patch object (team/a; /v1, Kind=Pod): .spec.x: field not declared in schema"
    )
    server = serve(in_turn(refusal(500, "", said)))
    with pytest.raises(Invalid, match="field not declared in schema"):
        ask(access_to(server), lambda kube: kube.apply(POD, "a", {}))
    assert len(server.asked) == 1


def test_a_budget_lets_a_burst_through_and_then_a_number_a_second() -> None:
    async def main() -> tuple[float, float]:
        budget, begun = Budget(rate=50, burst=10), time.monotonic()
        await asyncio.gather(*(budget.take() for _ in range(10)))
        burst = time.monotonic() - begun
        await asyncio.gather(*(budget.take() for _ in range(25)))
        return burst, time.monotonic() - begun

    burst, all_of_them = asyncio.run(main())
    assert burst < 0.3
    assert 0.4 <= all_of_them < 2


class Counted(Budget):
    """A budget that counts what is taken from it."""

    taken = 0

    async def take(self) -> None:
        self.taken += 1


def test_requests_spend_from_the_budget_and_watches_do_not(serve: Serve, access_to: AccessTo) -> None:
    async def question(kube: Kubernetes) -> int:
        kube.transport._budget = budget = Counted()
        for _ in range(3):
            await kube.get(POD, "a")
        async with contextlib.aclosing(kube.watch(POD)) as seen:
            await anext(seen)
            assert budget.taken == 4, "its list counts"
            await anext(seen)
        return budget.taken

    def handler(asked: Asked) -> Answer:
        added = json.dumps({"type": "ADDED", "object": NAMED}) + "\n"
        return Answer(added.encode()) if "watch" in asked.query else Answer({**NAMED, "items": []})

    assert ask(access_to(serve(handler)), question) == 4


def test_an_untrusted_server_gets_one_connection_and_no_request(serve: Serve, access_to: AccessTo) -> None:
    server = serve()
    foreign = Trust(authority=trustme.CA().cert_pem.bytes())
    access = msgspec.structs.replace(access_to(server), trust=foreign)
    with pytest.raises(NotReached, match="its certificate is not trusted"):
        ask(access, lambda kube: kube.version())
    assert (server.handshakes, server.asked) == (1, [])


def test_an_authority_signed_by_another_one_is_enough(
    serve: Serve, access_to: AccessTo, authority: trustme.CA
) -> None:
    child = authority.create_child_ca()
    server = serve(authority=child)
    access = msgspec.structs.replace(access_to(server), trust=Trust(authority=child.cert_pem.bytes()))
    ask(access, lambda kube: kube.get(POD, "a"))


def test_an_authority_without_a_certificate_is_said(serve: Serve, access_to: AccessTo) -> None:
    access = msgspec.structs.replace(access_to(serve()), trust=Trust(authority=b"nothing"))
    with pytest.raises(ClusterConfigError, match="holds no certificate"):
        ask(access, lambda kube: kube.version())


def test_a_cookie_is_not_sent_back(serve: Serve, access_to: AccessTo) -> None:
    server = serve(in_turn(Answer(NAMED, headers={"Set-Cookie": "a=b; Path=/"})))

    async def question(kube: Kubernetes) -> None:
        for _ in range(2):
            await kube.get(POD, "a")

    ask(access_to(server), question)
    assert [each.header("cookie") for each in server.asked] == ["", ""]


def test_connections_are_used_again(serve: Serve, access_to: AccessTo) -> None:
    async def question(kube: Kubernetes) -> None:
        for _ in range(5):
            await kube.get(POD, "a")

    server = serve()
    ask(access_to(server), question)
    assert server.connections == 1


def test_a_proxy_that_is_away_is_named_without_its_password(serve: Serve, access_to: AccessTo) -> None:
    access = access_to(serve())
    trust = msgspec.structs.replace(access.trust, proxy="http://me:secret@127.0.0.1:9")
    with pytest.raises(Unknown) as caught:
        ask(msgspec.structs.replace(access, trust=trust), lambda kube: kube.version())
    assert "secret" not in str(caught.value)


def test_a_form_of_proxy_that_is_not_installed_is_said(serve: Serve, access_to: AccessTo) -> None:
    access = access_to(serve())
    trust = msgspec.structs.replace(access.trust, proxy="socks5://127.0.0.1:9")
    with pytest.raises(ClusterConfigError, match="the proxy of the cluster"):
        ask(msgspec.structs.replace(access, trust=trust), lambda kube: kube.version())

"""Each verb sends what the Kubernetes API expects, and each refusal is a sentence with a hint."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from scripted import Answer, Asked, ScriptedServer, refusal

from fairway.cluster import server_logs
from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import (
    AlreadyThere,
    Conflict,
    Forbidden,
    Invalid,
    KubernetesError,
    NotReached,
    NotThere,
    Unauthorized,
    Unknown,
)
from fairway.cluster.client.kinds import JOB, NODE, POD

Serve = Callable[..., ScriptedServer]
AccessTo = Callable[..., Access]


def ask(access: Access, question: Callable[[Kubernetes], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with Kubernetes(access) as kube:
            return await question(kube)

    return asyncio.run(main())


class Named(msgspec.Struct):
    class Metadata(msgspec.Struct):
        name: str

    metadata: Metadata


def test_an_object_is_decoded_into_the_type_that_is_named(serve: Serve, access_to: AccessTo) -> None:
    server = serve(lambda asked: Answer({"metadata": {"name": "a", "more": 1}, "kind": "Pod"}))
    assert ask(access_to(server), lambda kube: kube.get(POD, "a", type=Named)).metadata.name == "a"
    assert ask(access_to(server), lambda kube: kube.get(POD, "a"))["kind"] == "Pod"
    assert [each.target for each in server.asked] == ["/api/v1/namespaces/team/pods/a"] * 2
    assert server.asked[0].header("authorization") == "Bearer secret"
    assert server.asked[0].header("user-agent").startswith("fairway/")


def test_kinds_of_groups_and_kinds_without_a_namespace_have_their_own_paths(
    serve: Serve, access_to: AccessTo
) -> None:
    server = serve()
    ask(access_to(server), lambda kube: kube.get(JOB, "a", namespace="other"))
    ask(access_to(server), lambda kube: kube.get(NODE, "n1"))
    assert [each.target for each in server.asked] == [
        "/apis/batch/v1/namespaces/other/jobs/a",
        "/api/v1/nodes/n1",
    ]


def pages(asked: Asked) -> Answer:
    start = int(asked.query.get("continue", "0"))
    items = [{"metadata": {"name": f"p{each}"}} for each in range(start, min(start + 2, 5))]
    more = {"continue": str(start + 2)} if start + 2 < 5 else {}
    return Answer({"metadata": {"resourceVersion": "7", **more}, "items": items})


def test_a_list_is_read_in_pages(serve: Serve, access_to: AccessTo) -> None:
    server = serve(pages)
    listed = ask(access_to(server), lambda kube: kube.list(POD, labels="a=b", fields="x=y", type=Named))
    assert [each.metadata.name for each in listed.items] == ["p0", "p1", "p2", "p3", "p4"]
    assert listed.version == "7"
    assert server.asked[0].query == {"labelSelector": "a=b", "fieldSelector": "x=y", "limit": "500"}
    assert [each.query.get("continue") for each in server.asked] == [None, "2", "4"]


def test_a_list_whose_pages_grow_too_old_is_read_again(serve: Serve, access_to: AccessTo) -> None:
    def handler(asked: Asked) -> Answer:
        if "continue" in asked.query:
            return refusal(410, "Expired", "The provided continue parameter is too old")
        return (
            pages(asked)
            if "limit" in asked.query
            else Answer({"metadata": {}, "items": [{"metadata": {"name": "all"}}]})
        )

    server = serve(handler)
    assert len(ask(access_to(server), lambda kube: kube.list(POD)).items) == 1
    assert [each.query.get("limit") for each in server.asked] == ["500", "500", "500", "500", None]


def test_apply_is_strict_and_says_the_kind_and_the_name(serve: Serve, access_to: AccessTo) -> None:
    server = serve()
    ask(access_to(server), lambda kube: kube.apply(JOB, "a", {"spec": {"x": 1}}, dry_run=True, force=True))
    asked = server.asked[0]
    assert (asked.method, asked.header("content-type")) == ("PATCH", "application/apply-patch+yaml")
    assert asked.query == {
        "fieldManager": "fairway",
        "fieldValidation": "Strict",
        "dryRun": "All",
        "force": "true",
    }
    assert json.loads(asked.body) == {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"x": 1},
    }  # fmt: skip


def test_every_deletion_takes_along_what_belongs_to_the_object(serve: Serve, access_to: AccessTo) -> None:
    server = serve()
    ask(access_to(server), lambda kube: kube.delete(JOB, "a", grace=5, uid="u1"))
    assert json.loads(server.asked[0].body) == {
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground",
        "gracePeriodSeconds": 5, "preconditions": {"uid": "u1"},
    }  # fmt: skip


def test_an_absent_object_is_deleted(serve: Serve, access_to: AccessTo) -> None:
    server = serve(lambda asked: refusal(404, "NotFound", 'jobs "a" not found', kind="jobs", name="a"))
    ask(access_to(server), lambda kube: kube.delete(JOB, "a"))
    assert len(server.asked) == 1


def test_a_deletion_leaves_alone_an_object_that_has_taken_the_name_since(
    serve: Serve, access_to: AccessTo
) -> None:
    def handler(asked: Asked) -> Answer:
        if asked.method == "DELETE":
            return refusal(
                409, "Conflict", "the UID in the precondition does not match", kind="pods", name="a"
            )
        return Answer({"metadata": {"name": "a", "uid": uid}})

    uid = "other"
    server = serve(handler)
    ask(access_to(server), lambda kube: kube.delete(POD, "a", uid="mine"))
    uid = "mine"
    with pytest.raises(Conflict):
        ask(access_to(server), lambda kube: kube.delete(POD, "a", uid="mine"))


def test_a_review_sends_the_token_alone(serve: Serve, access_to: AccessTo, authority: Any) -> None:
    own = authority.issue_cert("ann@x", common_name="ann")
    user = {"username": "system:serviceaccount:team:fairway-step", "uid": "7", "groups": ["g"]}
    extra = {"authentication.kubernetes.io/pod-name": ["p"], "authentication.kubernetes.io/pod-uid": ["u"]}
    server = serve(lambda asked: Answer({"status": {"userInfo": {**user, "extra": extra}}}, 201))
    access = access_to(
        server,
        certificate=own.cert_chain_pems[0].bytes(),
        key=own.private_key_pem.bytes(),
        impersonation=(("Impersonate-User", "root"),),
    )
    identity = ask(access, lambda kube: kube.review_self("theirs"))
    assert (identity.account, identity.pod_name, identity.pod_uid) == (("team", "fairway-step"), "p", "u")
    asked = server.asked[0]
    assert (asked.subject, asked.header("authorization")) == ("", "Bearer theirs")
    assert asked.header("impersonate-user") == ""
    ask(access, lambda kube: kube.review_self())
    assert (server.asked[1].subject, server.asked[1].header("impersonate-user")) == ("ann", "root")


@pytest.mark.parametrize("token", ["", " ", "a b", "a\nX-Other: 1", "\u00e9"], ids=repr)
def test_what_is_no_token_is_refused_and_never_taken_for_ones_own(
    serve: Serve, access_to: AccessTo, token: str
) -> None:
    server = serve()
    with pytest.raises(Unauthorized):
        ask(access_to(server), lambda kube: kube.review_self(token))
    assert not server.asked


def test_a_request_through_the_service_proxy_arrives_as_it_was_given(
    serve: Serve, access_to: AccessTo
) -> None:
    server = serve(lambda asked: Answer(b"said", 418, {"X-Own": "1"}))
    answer = ask(
        access_to(server),
        lambda kube: kube.proxied(
            "fairway", "http", "POST", "/api/v1/runs?after=a%2Fb", headers={"X-Fairway-Token": "t"}, body=b"b"
        ),
    )
    assert (answer.status, answer.headers["x-own"], answer.body) == (418, "1", b"said")
    asked = server.asked[0]
    assert asked.target == "/api/v1/namespaces/team/services/fairway:http/proxy/api/v1/runs?after=a%2Fb"
    assert (asked.method, asked.body, asked.header("x-fairway-token")) == ("POST", b"b", "t")


def test_a_request_through_the_service_proxy_is_sent_once(serve: Serve, access_to: AccessTo) -> None:
    server = serve(lambda asked: refusal(503, "ServiceUnavailable", "no endpoints available for service"))
    assert ask(access_to(server), lambda kube: kube.proxied("fairway", "http", "POST", "/")).status == 503
    assert len(server.asked) == 1


def test_the_end_of_a_log_is_returned(serve: Serve, access_to: AccessTo) -> None:
    server = serve(lambda asked: Answer(b"0123456789" * 100))
    assert ask(access_to(server), lambda kube: kube.log("p", "c", tail_bytes=12)) == b"890123456789"
    assert server.asked[0].query == {"container": "c", "tailLines": "100"}


@pytest.mark.parametrize(
    "said",
    [
        "unable to retrieve container logs for containerd://6a8ad27d",
        'failed to try resolving symlinks in path "/var/log/pods/a_p_1/c/1.log": lstat /var/log/pods/a_p_1/c/1.log: no such file',
    ],
)
def test_what_a_node_says_in_the_place_of_a_log_is_no_log(
    serve: Serve, access_to: AccessTo, said: str
) -> None:
    server = serve(lambda asked: Answer(said.encode()))
    assert ask(access_to(server), lambda kube: kube.log("p", previous=True)) == b""
    assert ask(access_to(server), lambda kube: server_logs.read(kube, "p", previous=True)) == []


REFUSALS = [
    (
        refusal(404, "NotFound", 'pods "a" not found', kind="pods", name="a"),
        NotThere,
        "there is no Pod 'a' in namespace 'team'",
    ),
    (
        refusal(404, "NotFound", 'namespaces "team" not found', kind="namespaces", name="team"),
        NotThere,
        "there is no namespace 'team' in the cluster at https://127.0.0.1",
    ),
    (
        refusal(
            403, "Forbidden",
            'pods "a" is forbidden: User "ann" cannot get resource "pods" in API group "" in the namespace "team"',
            kind="pods",
        ),
        Forbidden,
        "ann may not get Pod 'a' in namespace 'team'",
    ),
    (
        refusal(403, "Forbidden", 'pods "a" is forbidden: exceeded quota: q', kind="pods"),
        Forbidden,
        "exceeded quota: q",
    ),
    (refusal(409, "AlreadyExists", 'pods "a" already exists'), AlreadyThere, "there is already Pod 'a'"),
    (refusal(409, "Conflict", "object has been modified"), Conflict, "object has been modified"),
    (refusal(422, "Invalid", "spec.x: must be y"), Invalid, "spec.x: must be y"),
    (refusal(400, "BadRequest", 'unknown field "spec.z"'), Invalid, 'unknown field "spec.z"'),
    (refusal(401, "Unauthorized", "Unauthorized"), Unauthorized, "the token has expired or was withdrawn"),
    (refusal(405, "MethodNotAllowed", "no"), KubernetesError, "the API server answered 405"),
    (Answer(b"<html>Sign in", 401), Unauthorized, "is no Kubernetes API server"),
    (Answer(b"", 302, {"Location": "https://sso/?x=1"}), KubernetesError, "a redirect to https://sso/"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "kind", "words"), REFUSALS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_refusal_is_a_sentence_with_a_hint(
    serve: Serve, access_to: AccessTo, answer: Answer, kind: type[KubernetesError], words: str
) -> None:
    server = serve(lambda asked: answer)
    with pytest.raises(kind) as caught:
        ask(access_to(server), lambda kube: kube.get(POD, "a"))
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert not caught.value.message.endswith(".")
    assert "`" in caught.value.hint or "get a new kubeconfig" in caught.value.hint
    assert caught.value.status == answer.status
    assert len(server.asked) == 1


def test_no_cluster_is_said_with_the_reason(access_to: AccessTo, serve: Serve) -> None:
    access = msgspec.structs.replace(access_to(serve()), server="https://127.0.0.1:9")
    with pytest.raises(
        NotReached, match=r"no cluster answers at https://127\.0\.0\.1:9: .*refused"
    ) as caught:
        ask(access, lambda kube: kube.version())
    assert "kubectl --context lab cluster-info" in caught.value.hint


def test_an_unknown_name_of_a_server_is_said(access_to: AccessTo, serve: Serve) -> None:
    access = msgspec.structs.replace(access_to(serve()), server="https://no-such-host.invalid")
    with pytest.raises(NotReached, match="its name is not known"):
        ask(access, lambda kube: kube.version())


def test_a_time_out_means_that_nobody_knows(serve: Serve, access_to: AccessTo) -> None:
    async def silent(asked: Asked) -> None:
        await asyncio.sleep(60)

    server = serve(silent)
    with pytest.raises(Unknown, match=r"no answer came within 0\.3 s, so nobody knows if it was done"):
        ask(access_to(server), lambda kube: kube.proxied("fairway", "http", "POST", "/runs", timeout=0.3))
    assert len(server.asked) == 1


def test_credentials_are_not_printed(access_to: AccessTo, serve: Serve) -> None:
    assert "secret" not in repr(access_to(serve()))

"""Credentials are kept fresh: read again, made again before they expire, and once more when they are refused."""

import asyncio
import datetime
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from scripted import Answer, Asked, ScriptedServer, refusal

from fairway.cluster.client.access import Access, Credentials, Plugin
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.auth import Authentication, certificate_end
from fairway.cluster.client.config import in_cluster, load
from fairway.cluster.client.errors import ClusterConfigError, CredentialsError, Unauthorized
from fairway.cluster.client.plugins import Status

Serve = Callable[..., ScriptedServer]
AccessTo = Callable[..., Access]
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()
PLUGIN = """#!/bin/sh
# Says the next word of the file `words`, and notes that it was run.
cd "$(dirname "$0")"
echo run >> runs
word=$(sed -n "$(wc -l < runs)p" words)
[ -n "$word" ] || { echo "no more words" >&2; exit 1; }
sleep "${PAUSE:-0}"
printf '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": %s}' "$word"
"""


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def status(token: str, seconds: float | None = None) -> dict[str, Any]:
    if seconds is None:
        return {"token": token}
    end = datetime.datetime.fromtimestamp(START + seconds, datetime.UTC)
    return {"token": token, "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


def plugin(folder: Path, *words: dict[str, Any], pause: float = 0) -> Credentials:
    (folder / "words").write_text("".join(json.dumps(word) + "\n" for word in words))
    (folder / "plugin").write_text(PLUGIN)
    (folder / "plugin").chmod(0o755)
    return Credentials(
        plugin=Plugin(
            version="client.authentication.k8s.io/v1",
            command=str(folder / "plugin"),
            environment={"PATH": os.environ["PATH"], "PAUSE": str(pause)},
            mode="Never",
        )
    )


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def authentication(credentials: Credentials, clock: Clock) -> Authentication:
    return Authentication(Access(server="https://x", user="ann", credentials=credentials), clock)


async def token(made: Authentication) -> str:
    return dict((await made.current()).headers).get("Authorization", "").removeprefix("Bearer ")


# Files ----------------------------------------------------------------------------------------------------------------


def test_a_token_file_is_read_again_after_a_minute(tmp_path: Path) -> None:
    async def main() -> None:
        clock, file = Clock(), tmp_path / "token"
        file.write_text("one\n")
        made = authentication(Credentials(token_file=str(file)), clock)
        assert await token(made) == "one"
        file.write_text("two")
        clock.now += 59
        assert await token(made) == "one"
        clock.now += 2
        assert await token(made) == "two"

    asyncio.run(main())


def test_a_token_file_that_is_away_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        clock, file = Clock(), tmp_path / "token"
        made = authentication(Credentials(token_file=str(file)), clock)
        with pytest.raises(CredentialsError, match="cannot be read"):
            await token(made)
        file.write_text("one")
        assert await token(made) == "one"
        file.unlink()
        clock.now += 61
        assert await token(made) == "one"

    asyncio.run(main())


def only(good: str) -> Callable[[Asked], Answer]:
    def handler(asked: Asked) -> Answer:
        if asked.header("authorization") == f"Bearer {good}":
            return Answer({"gitVersion": "v1"})
        return refusal(401, "Unauthorized", "Unauthorized")

    return handler


def test_a_token_file_is_read_again_when_the_token_is_refused(
    serve: Serve, access_to: AccessTo, tmp_path: Path
) -> None:
    async def main() -> None:
        file = tmp_path / "token"
        file.write_text("old")
        async with Kubernetes(access_to(server, token_file=str(file))) as kube:
            with pytest.raises(Unauthorized, match="the token has expired"):
                await kube.version()
            assert len(server.asked) == 1, "the same token is not sent again"
            file.write_text("new")
            assert await kube.version() == "v1"

    server = serve(only("new"))
    asyncio.run(main())
    assert len(server.asked) == 3


def test_a_token_with_strange_characters_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hidden\nlines")
    with pytest.raises(CredentialsError, match="characters that no token has") as caught:
        asyncio.run(token(authentication(Credentials(token_file=str(file)), Clock())))
    assert "hidden" not in str(caught.value)


def test_a_pod_uses_its_own_account(tmp_path: Path) -> None:
    for name, content in (("token", "t"), ("ca.crt", "c"), ("namespace", "team\n")):
        (tmp_path / name).write_text(content)
    access = in_cluster(host="10.96.0.1", port="443", root=tmp_path)
    assert (access.server, access.namespace, access.inside) == ("https://10.96.0.1:443", "team", True)
    assert access.credentials.token_file == str(tmp_path / "token")
    assert in_cluster(host="fd00::1", port="", root=tmp_path).server == "https://[fd00::1]:443"
    (tmp_path / "token").unlink()
    with pytest.raises(ClusterConfigError, match="token is missing"):
        in_cluster(host="10.96.0.1", port="443", root=tmp_path)


def test_no_kubeconfig_is_said_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(ClusterConfigError, match=r"there is no kubeconfig at .*/\.kube/config"):
        load(environment={}, home=tmp_path)
    with pytest.raises(ClusterConfigError, match=r"/nowhere"):
        load(environment={"KUBECONFIG": "/nowhere", "KUBERNETES_SERVICE_HOST": "10.96.0.1"}, home=tmp_path)


# Plugins --------------------------------------------------------------------------------------------------------------


def test_a_credential_of_a_plugin_is_used_until_a_minute_before_its_end(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        made = authentication(plugin(tmp_path, status("one", 900), status("two", 3600)), clock)
        assert await token(made) == "one"
        clock.now += 839
        assert await token(made) == "one"
        clock.now += 2
        assert await token(made) == "two"

    asyncio.run(main())
    assert runs(tmp_path) == 2


def test_a_credential_of_half_a_minute_is_not_made_for_each_request(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        made = authentication(plugin(tmp_path, status("one", 30), status("two", 60)), clock)
        assert [await token(made) for _ in range(3)] == ["one"] * 3
        clock.now += 16
        assert await token(made) == "two"

    asyncio.run(main())
    assert runs(tmp_path) == 2


def test_a_credential_without_an_end_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        made = authentication(plugin(tmp_path, status("one")), clock)
        assert await token(made) == "one"
        clock.now += 1e6
        assert await token(made) == "one"

    asyncio.run(main())


def test_many_requests_at_once_run_the_plugin_once(tmp_path: Path) -> None:
    async def main() -> None:
        made = authentication(plugin(tmp_path, status("one"), status("two"), pause=0.2), Clock())
        assert await asyncio.gather(*(token(made) for _ in range(20))) == ["one"] * 20

    asyncio.run(main())
    assert runs(tmp_path) == 1


def test_a_plugin_that_fails_is_tried_again_while_its_credential_lasts(tmp_path: Path) -> None:
    async def main() -> None:
        clock = Clock()
        made = authentication(plugin(tmp_path, status("one", 900)), clock)
        assert await token(made) == "one"
        clock.now += 850
        assert await token(made) == "one"
        assert await token(made) == "one"
        clock.now += 51
        with pytest.raises(CredentialsError, match=r"failed with code 1: no more words"):
            await token(made)

    asyncio.run(main())
    assert runs(tmp_path) == 4


def test_refused_credentials_of_a_plugin_are_made_anew_once(
    serve: Serve, access_to: AccessTo, tmp_path: Path
) -> None:
    async def main() -> None:
        words = [status(word) for word in ("bad", "good", "good")]
        access = msgspec.structs.replace(access_to(server), credentials=plugin(tmp_path, *words, pause=0.1))
        async with Kubernetes(access) as kube:
            assert await asyncio.gather(*(kube.version() for _ in range(5))) == ["v1"] * 5
            assert runs(tmp_path) == 2, "all refusals are answered by one new credential"
            server.handler = only("never")
            with pytest.raises(
                Unauthorized, match=r"the plugin '.*/plugin' makes credentials that it refuses"
            ):
                await kube.version()
            assert runs(tmp_path) == 3

    server = serve(only("good"))
    asyncio.run(main())


def test_a_new_certificate_of_a_plugin_leaves_open_streams_alone(
    serve: Serve, access_to: AccessTo, tmp_path: Path, authority: trustme.CA
) -> None:
    def certified(name: str) -> dict[str, Any]:
        leaf = authority.issue_cert(f"{name}@x", common_name=name)
        pem, key = leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()
        return {"clientCertificateData": pem.decode(), "clientKeyData": key.decode()}

    async def slow(asked: Asked) -> None:
        await asked.head()
        await asked.stream({"part": 1})
        while not going.is_set():
            await asyncio.sleep(0.01)
        await asked.stream({"part": 2})
        await asked.say("0\r\n\r\n")

    def handler(asked: Asked) -> Any:
        if asked.path.endswith("/log"):
            return slow(asked)
        return Answer({"gitVersion": "v1"}) if asked.subject == "two" else refusal(401, "Unauthorized", "no")

    going = threading.Event()
    server = serve(handler)

    async def main() -> None:
        made = plugin(tmp_path, certified("one"), certified("two"))
        async with Kubernetes(msgspec.structs.replace(access_to(server), credentials=made)) as kube:
            log = asyncio.ensure_future(kube.log("p"))
            while not server.asked:
                await asyncio.sleep(0.01)
            assert await kube.version() == "v1"
            going.set()
            assert await log == b'{"part": 1}\n{"part": 2}\n'

    asyncio.run(main())
    assert [each.subject for each in server.asked] == ["one", "one", "two"]


def test_what_a_plugin_printed_is_not_shown(tmp_path: Path) -> None:
    made = plugin(tmp_path, {"token": 123456})
    with pytest.raises(CredentialsError, match="printed no ExecCredential") as caught:
        asyncio.run(authentication(made, Clock()).current())
    assert "123456" not in str(caught.value)
    assert "123456" not in repr(Status(token="123456"))


def test_an_expired_certificate_is_said_with_its_end(
    serve: Serve, access_to: AccessTo, authority: trustme.CA
) -> None:
    end = datetime.datetime(2020, 5, 17, 8, 30)
    leaf = authority.issue_cert("ann@x", common_name="ann", not_before=end.replace(year=2019), not_after=end)
    assert certificate_end(leaf.cert_chain_pems[0].bytes()) == end.replace(tzinfo=datetime.UTC)
    assert certificate_end(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----") is None

    async def main() -> None:
        certificate = leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()
        access = access_to(server, certificate=certificate[0], key=certificate[1])
        async with Kubernetes(access) as kube:
            with pytest.raises(Unauthorized, match=r"the client certificate expired at 2020-05-17 08:30 UTC"):
                await kube.version()

    server = serve(lambda asked: refusal(401, "Unauthorized", "Unauthorized"), asks=False)
    asyncio.run(main())

"""Tokens and passwords, against a real registry that asks for them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairway.cluster.images.authorizing import Challenge, parse_challenges
from fairway.cluster.images.credentials import Login
from fairway.cluster.images.names import ImageName, Place, Repository
from fairway.cluster.images.refusals import NoSuchImage, RegistryDenied, RegistryError
from fairway.cluster.images.registry import Registry
from fairway.cluster.images.uploading import Blob, push_blob

from .between import Handler, Tokens, answering, relay
from .conftest import Served, blob_of, put_base, serve, soon

ADA = Login(Tokens.user, Tokens.secret, False, "config.json")
HASHED = "$2b$05$BpxxOqf.X1SPyV/X2iDbz..7vm64//N3jMB/2YfGqL7xCkfe/AzES"
"""The password of the user as Apache's files of passwords have it."""

MIB = 2**20


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        (['Bearer realm="https://a/token",service="a.io"'], Challenge("bearer", "https://a/token", "a.io")),
        (
            ['bearer service=a.io, realm="https://a/t?x=1,2"'],
            Challenge("bearer", "https://a/t?x=1,2", "a.io"),
        ),
        (['Basic realm="a \\"b\\" c"'], Challenge("basic", 'a "b" c')),
        (['Basic realm="x", Bearer realm="y"'], Challenge("bearer", "y")),
        (['Basic realm="x"', 'Bearer realm="y"'], Challenge("bearer", "y")),
        (["Negotiate"], None),
        ([], None),
    ],
)
def test_a_challenge_is_read_as_it_is_written(headers: list[str], challenge: Challenge | None) -> None:
    assert parse_challenges(headers) == challenge


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path)


@pytest.fixture
def guarded(tokens: Tokens, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Served]:
    """A registry that wants tokens."""
    with (
        answering(tokens.answer) as place,
        serve(tmp_path / "guarded", free_port(), tokens.configuration(place)) as served,
    ):
        yield served


async def push(place: Place, login: Login, path: str, blob: Blob, source: str = "") -> int:
    async with Registry(place, login) as client:
        neighbour = Repository(place, source) if source else None
        return await push_blob(client, Repository(place, path), blob, source=neighbour)


def test_a_push_with_a_password_gets_a_token(guarded: Served, tokens: Tokens) -> None:
    assert soon(push(guarded.place, ADA, "team/x", blob_of(b"abc"))) == 3
    assert tokens.asked == [["repository:team/x:pull,push"]]


def test_an_identity_token_is_exchanged_for_a_token(guarded: Served) -> None:
    login = Login("<token>", Tokens.secret, True, "config.json")
    assert soon(push(guarded.place, login, "team/x", blob_of(b"abc"))) == 3


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (Login(), "wants a login"),
        (Login("ada", "wrong-secret", False, "config.json"), "does not allow ada, found in config.json"),
        (Login("<token>", "wrong-secret", True, "a helper"), "does not allow the login, found in a helper"),
    ],
)
def test_a_wrong_login_is_explained_without_its_secret(guarded: Served, login: Login, words: str) -> None:
    with pytest.raises(RegistryDenied, match=words) as raised:
        soon(push(guarded.place, login, "team/x", blob_of(b"abc")))
    assert "wrong-secret" not in raised.value.message + raised.value.hint
    assert f"docker login {guarded.host}" in raised.value.hint
    assert "team/x" in raised.value.message


def test_a_right_that_is_missing_is_explained(guarded: Served, tokens: Tokens) -> None:
    tokens.refused = ("team/x",)
    with pytest.raises(RegistryDenied, match=r"does not allow ada.*team/x"):
        soon(push(guarded.place, ADA, "team/x", blob_of(b"abc")))


def test_a_token_that_ends_during_an_upload_is_replaced(guarded: Served, tokens: Tokens) -> None:
    tokens.lives = 2.0
    blob = blob_of(os.urandom(4 * MIB))
    with relay(guarded.place, rate=MIB) as between:
        assert soon(push(between.place, ADA, "team/slow", blob)) == blob.size
    assert len(tokens.asked) > 1


def test_a_token_server_that_fails_for_a_moment_is_asked_again(guarded: Served, tokens: Tokens) -> None:
    tokens.failures = 2
    assert soon(push(guarded.place, ADA, "team/x", blob_of(b"abc"))) == 3
    tokens.failures = 10
    with pytest.raises(RegistryError, match=r"which gives tokens for .* answered 503"):
        soon(push(guarded.place, ADA, "team/x", blob_of(b"abcd")))


def test_a_mount_asks_for_both_repositories(guarded: Served, tokens: Tokens) -> None:
    blob = blob_of(b"mounted")
    soon(push(guarded.place, ADA, "team/x", blob))
    assert soon(push(guarded.place, ADA, "team/y", blob, "team/x")) == 0
    assert ["repository:team/x:pull", "repository:team/y:pull,push"] in tokens.asked


def test_a_mount_that_is_not_allowed_becomes_an_upload(guarded: Served, tokens: Tokens) -> None:
    blob = blob_of(b"not mounted")
    soon(push(guarded.place, ADA, "other/x", blob))
    tokens.refused = ("other/x",)
    assert soon(push(guarded.place, ADA, "team/y", blob, "other/x")) == blob.size


def test_a_base_that_is_denied_or_missing_is_named(guarded: Served, tokens: Tokens, tmp_path: Path) -> None:
    async def read(name: str, login: Login) -> None:
        async with Registry(guarded.place, login) as client:
            await client.manifest(ImageName(guarded.repository(name), "3.11"))

    soon(put_base(guarded.repository("team/python"), tmp_path, login=ADA))
    soon(read("team/python", ADA))
    with pytest.raises(NoSuchImage, match=r"team/pythn:3\.11"):
        soon(read("team/pythn", ADA))
    with pytest.raises(RegistryDenied, match="wants a login"):
        soon(read("team/python", Login()))


def test_a_registry_with_passwords_alone_gets_them(tmp_path: Path, free_port: Callable[[], int]) -> None:
    (tmp_path / "passwords").write_text(f"{ADA.user}:{HASHED}\n")
    more = f"auth: {{htpasswd: {{realm: here, path: {tmp_path}/passwords}}}}"
    with serve(tmp_path / "basic", free_port(), more) as served:
        assert soon(push(served.place, ADA, "team/x", blob_of(b"abc"))) == 3
        with pytest.raises(RegistryDenied, match="wants a login"):
            soon(push(served.place, Login(), "team/x", blob_of(b"abcd")))
        with pytest.raises(RegistryDenied, match="does not allow eve"):
            soon(push(served.place, Login("eve", "x", False, "f"), "team/x", blob_of(b"abcd")))


def test_a_login_goes_to_no_token_server_without_tls_for_a_registry_with_it() -> None:
    def answer(handler: Handler, _: bytes) -> tuple[int, dict[str, str], bytes]:
        return 401, {"WWW-Authenticate": 'Bearer realm="ftp://10.0.0.1/token"'}, b""

    with answering(answer) as place, pytest.raises(RegistryError, match="not safe to ask"):
        soon(push(place, ADA, "team/x", blob_of(b"abc")))


def test_a_location_elsewhere_gets_no_login() -> None:
    """An upload may go to a storage, whose address has all that it needs."""
    seen: list[str | None] = []

    def storage(handler: Handler, _: bytes) -> tuple[int, dict[str, str], bytes]:
        seen.append(handler.headers.get("Authorization"))
        return (202 if handler.command == "PATCH" else 201), {}, b""

    with answering(storage) as elsewhere:

        def registry(handler: Handler, _: bytes) -> tuple[int, dict[str, str], bytes]:
            if handler.headers.get("Authorization") is None:
                return 401, {"WWW-Authenticate": 'Basic realm="here"'}, b""
            if handler.command == "HEAD":
                return 404, {}, b""
            return 202, {"Location": f"{elsewhere.url}/upload?sign=1"}, b""

        with answering(registry) as place:
            assert soon(push(place, ADA, "team/x", blob_of(b"abc"))) == 3
    assert seen == [None, None]


def test_a_registry_without_tls_is_told_from_one_with_it(registry: Served) -> None:
    async def ping(place: Place) -> None:
        async with Registry(place, Login()) as client:
            await client.ping()

    soon(ping(registry.place))
    with pytest.raises(RegistryError, match="speaks plain HTTP") as raised:
        soon(ping(Place(registry.host)))
    assert f"http://{registry.host}" in raised.value.hint


def test_a_host_that_is_no_registry_is_told() -> None:
    async def ping(place: Place) -> None:
        async with Registry(place, Login()) as client:
            await client.ping()

    with (
        answering(lambda *_: (404, {}, b"")) as place,
        pytest.raises(RegistryError, match="is not a registry"),
    ):
        soon(ping(place))

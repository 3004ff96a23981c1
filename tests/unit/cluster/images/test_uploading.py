"""Uploads to a real registry: resumed where they broke, mounted where a neighbour has the content, sent once."""

import os
from pathlib import Path

import pytest

from fairway.cluster.images import uploading
from fairway.cluster.images.credentials import Login
from fairway.cluster.images.documents import digest_of
from fairway.cluster.images.names import Place, Repository
from fairway.cluster.images.refusals import RegistryError, RegistryUnreachable
from fairway.cluster.images.registry import Registry
from fairway.cluster.images.uploading import Blob, push_blob
from fairway.spec.errors import FairwayError

from .between import Handler, answering, relay
from .conftest import Served, blob_of, soon

MIB = 2**20


async def push(place: Place, path: str, blob: Blob, source: str = "") -> int:
    """Pushes a blob over a connection of its own and returns the number of bytes that were sent."""
    async with Registry(place, Login()) as client:
        return await push_blob(
            client, Repository(place, path), blob, source=Repository(place, source) if source else None
        )


async def read(place: Place, path: str, digest: str) -> bytes:
    async with Registry(place, Login()) as client:
        return await client.blob(Repository(place, path), digest, 2**30)


@pytest.mark.parametrize("size", [0, 1, 2, 3 * MIB + 1])
def test_a_blob_arrives_whole_and_is_sent_once(registry: Served, size: int) -> None:
    blob = blob_of(os.urandom(size))
    path = f"whole/{size}"
    assert soon(push(registry.place, path, blob)) == size
    assert soon(push(registry.place, path, blob)) == 0
    assert soon(read(registry.place, path, blob.digest)) == blob.content


def test_a_file_is_sent_as_it_is_on_the_disk(registry: Served, tmp_path: Path) -> None:
    content = os.urandom(2 * MIB)
    (tmp_path / "blob").write_bytes(content)
    blob = Blob(digest_of(content), len(content), tmp_path / "blob")
    assert soon(push(registry.place, "from/file", blob)) == len(content)
    assert soon(read(registry.place, "from/file", blob.digest)) == content


class Resumable:
    """The uploads of a registry that tells how far a broken one got, as the specification has it. Debian's cannot."""

    def __init__(self) -> None:
        self.content = b""
        self.done = False

    def answer(self, handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Carries out a request."""
        where = {"Location": "/v2/x/blobs/uploads/1"}
        if handler.command == "HEAD":
            return 200 if self.done else 404, {}, b""
        if handler.command == "PATCH":
            start = handler.headers.get("Content-Range", "0-").partition("-")[0]
            if int(start) != len(self.content):
                return 416, where, b""
            self.content += body
        if handler.command == "PUT":
            self.done = True
            return 201, {}, b""
        held = {"Range": f"0-{max(len(self.content) - 1, 0)}"}
        return 204 if handler.command == "GET" else 202, where | held, b""


@pytest.mark.parametrize("cuts", [[8 * MIB], [3 * MIB, 2 * MIB, 3 * MIB], [100_000]])
def test_an_upload_goes_on_where_it_broke(cuts: list[int]) -> None:
    blob = blob_of(os.urandom(12 * MIB))
    wanted = len(cuts)
    registry = Resumable()
    with answering(registry.answer) as place, relay(place, cuts) as between:
        soon(push(between.place, "x", blob))
        assert between.made_cuts == wanted
        assert between.sent < 12 * MIB + 20_000
    assert registry.content == blob.content


def test_an_upload_that_the_registry_lost_begins_again(registry: Served) -> None:
    blob = blob_of(os.urandom(10 * MIB))
    with relay(registry.place, [3 * MIB, 2 * MIB, 9 * MIB]) as between:
        soon(push(between.place, "resumed/often", blob))
        assert between.made_cuts >= 2
    assert soon(read(registry.place, "resumed/often", blob.digest)) == blob.content


def test_an_upload_to_nobody_ends_with_a_sentence(registry: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "_LONGEST_WAIT", 0.01)
    with relay(registry.place, [100 * 1024] * 100) as between, pytest.raises(RegistryUnreachable) as raised:
        soon(push(between.place, "cut/always", blob_of(os.urandom(40 * MIB))))
    assert between.made_cuts < 60
    assert between.place.host in raised.value.message


def test_a_neighbours_blob_is_mounted(registry: Served) -> None:
    blob = blob_of(os.urandom(MIB))
    soon(push(registry.place, "mounted/from", blob))
    with relay(registry.place) as between:
        assert soon(push(between.place, "mounted/to", blob, "mounted/from")) == 0
        assert between.sent < 10_000
    assert soon(read(registry.place, "mounted/to", blob.digest)) == blob.content


def test_a_mount_that_is_answered_with_an_upload_goes_on_with_it(registry: Served) -> None:
    blob = blob_of(os.urandom(MIB))
    begun = len(list(registry.content.rglob("_uploads/*")))
    assert soon(push(registry.place, "unmounted/to", blob, "unmounted/from")) == MIB
    assert soon(read(registry.place, "unmounted/to", blob.digest)) == blob.content
    assert len(list(registry.content.rglob("_uploads/*"))) == begun


def test_a_body_that_is_too_large_for_something_in_between_goes_in_parts(registry: Served) -> None:
    blob = blob_of(os.urandom(5 * MIB))
    sizes: list[int] = []
    with narrow(registry, sizes, MIB) as place:
        soon(push(place, "in/parts", blob))
    assert max(size for size in sizes if size <= MIB) > MIB // 4
    assert soon(read(registry.place, "in/parts", blob.digest)) == blob.content


def test_a_limit_that_is_too_small_for_anything_is_explained(registry: Served) -> None:
    with (
        narrow(registry, [], 1000) as place,
        pytest.raises(RegistryError, match="uploads of this size") as raised,
    ):
        soon(push(place, "too/narrow", blob_of(os.urandom(MIB))))
    assert "limit" in raised.value.hint


def narrow(registry: Served, sizes: list[int], most: int):
    """A proxy of HTTP that refuses large bodies, as nginx does."""
    import http.client

    def answer(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        sizes.append(len(body))
        if len(body) > most:
            return 413, {}, b"<html>413 Request Entity Too Large</html>"
        upstream = http.client.HTTPConnection(registry.host)
        upstream.request(
            handler.command, handler.path, body, {k: v for k, v in handler.headers.items() if k != "Host"}
        )
        got = upstream.getresponse()
        content = got.read()
        kept = {
            k: v for k, v in got.getheaders() if k.lower() not in ("content-length", "date", "connection")
        }
        upstream.close()
        return got.status, kept, content

    return answering(answer)


def test_a_registry_that_takes_bytes_and_has_none_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploading, "_LONGEST_WAIT", 0.01)

    def answer(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if handler.command == "HEAD":
            return 404, {}, b""
        if handler.command in ("POST", "PATCH", "GET"):
            return 202 if handler.command != "GET" else 204, {"Location": "/v2/x/u", "Range": "0-0"}, b""
        return 500, {}, b""

    with answering(answer) as place, pytest.raises(FairwayError, match="has none of them"):
        soon(push(place, "x", blob_of(b"abc")))


@pytest.mark.parametrize(
    ("status", "body", "words", "hint"),
    [
        (
            404,
            '{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}',
            "has no repository x",
            "make it",
        ),
        (
            403,
            '{"errors":[{"code":"DENIED","message":"not yours"}]}',
            "wants a login.*not yours",
            "docker login",
        ),
        (500, "oh no", "failed to push", "try again"),
        (400, "Client sent an HTTP request to an HTTPS server.", "wants TLS", "https://"),
        (409, '{"errors":[{"code":"DENIED","message":"quota of 1 GB is used up"}]}', "quota of 1 GB", ""),
    ],
)
def test_a_refusal_is_a_sentence(status: int, body: str, words: str, hint: str) -> None:
    def answer(handler: Handler, _: bytes) -> tuple[int, dict[str, str], bytes]:
        return (404, {}, b"") if handler.command == "HEAD" else (status, {}, body.encode())

    with answering(answer) as place, pytest.raises(FairwayError, match=words) as raised:
        soon(push(place, "x", blob_of(b"abc")))
    assert hint in raised.value.hint
    assert not raised.value.message.endswith(".")


def test_a_registry_of_amazon_and_google_gets_its_own_command() -> None:
    from fairway.cluster.images.refusals import explain, parse_refusal

    unknown = parse_refusal(404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')
    amazon = Repository(Place("1234.dkr.ecr.eu-west-1.amazonaws.com"), "team/fairway")
    google = Repository(Place("europe-west1-docker.pkg.dev"), "project/images/fairway")
    assert (
        "`aws ecr create-repository --repository-name team/fairway`"
        in explain(unknown, amazon, "push", Login()).hint
    )
    assert "`gcloud artifacts repositories create images " in explain(unknown, google, "push", Login()).hint

"""Artifacts in object storage, when the store, the network or the disk does not do as it should."""

import hashlib
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "buckets"))
sys.path.insert(0, str(Path(__file__).parents[2]))

from servers import BUCKET, credentials, without_credentials
from stub import Stub, refusal

from fairway.spec.artifact import Artifact
from fairway.spec.errors import CorruptArtifact, NotFound, StorageError, UsageError
from fairway.spec.objects import parse
from fairway.stores import Layout, log_copies, objects, settling
from fairway.stores.bucket import PIECE, Bucket
from fairway.stores.objects import ObjectArtifacts
from fairway.stores.refusals import BucketGone, StoreUnreachable

OWNER = "0" * 32
LARGE = os.urandom(2**20) * 20


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    for name in set(os.environ) - set(without_credentials()):
        monkeypatch.delenv(name)
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    with Stub() as found:
        yield found


Make = Callable[..., ObjectArtifacts]


@pytest.fixture
def make(stub: Stub, tmp_path: Path) -> Make:
    """Opens the artifacts of a volume, as a control plane does at its start."""

    def opened(volume: str = "volume", limit: int = 2**30, owner: str = OWNER) -> ObjectArtifacts:
        root = tmp_path / volume
        Layout(root).prepare()
        made = ObjectArtifacts(root, parse(f"s3://{BUCKET}/p?endpoint={stub.url}"), owner, limit)
        settling.settle(made, lambda line: None)
        return made

    return opened


def found(digest: str, content: bytes) -> Artifact:
    return Artifact(format="file", digest=digest, size=len(content))


def key(digest: str) -> str:
    return f"p/blobs/{digest[:2]}/{digest}"


def age(stub: Stub, digest: str) -> None:
    """Make an object look as if it was written long ago."""
    stub.objects[key(digest)] = stub.objects[key(digest)][0], 1.0


def test_requests_have_no_header_that_only_some_stores_know(make: Make, stub: Stub) -> None:
    store = make()
    for content in (b"small", LARGE):
        digest = store.put_bytes(content)
        make("another").open(found(digest, content))
    for method, path, headers in stub.asked:
        assert not [name for name in headers if name.startswith("x-amz-checksum")], (method, path)
        assert "aws-chunked" not in headers.get("content-encoding", "")
        assert headers.get("x-amz-content-sha256") != "UNSIGNED-PAYLOAD"
        assert path.startswith(f"/{BUCKET}")


def test_a_store_that_replaces_what_is_to_be_created_is_found_out_and_used_for_blobs(
    make: Make, stub: Stub
) -> None:
    stub.creates = False
    store = make()
    assert not store.bucket.creates
    tried = settling.try_again(store)
    assert [(one.use, one.ok) for one in tried] == [("use", True), ("create", False)]
    digest = store.put_bytes(b"content")
    assert make("another").put_bytes(b"content") == digest
    with pytest.raises(StorageError, match="another installation"):
        make("third", owner="f" * 32)


@pytest.mark.parametrize("racing", [True, False], ids=["several writers at once", "one after the other"])
def test_a_store_that_keeps_its_word_in_part_is_found_out(make: Make, stub: Stub, racing: bool) -> None:
    right = stub.answer

    def answer(
        method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        if "/tries/" in path and path.endswith("-race") == racing:
            headers.pop("if-none-match", None)
        return right(method, path, headers, body)

    stub.answer = answer  # type: ignore[method-assign]
    assert not make().bucket.creates


def test_a_store_that_knows_no_condition_is_used_for_blobs(make: Make, stub: Stub) -> None:
    right = stub.answer

    def answer(
        method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        if "if-none-match" in headers:
            return 501, refusal("NotImplemented"), {}
        return right(method, path, headers, body)

    stub.answer = answer  # type: ignore[method-assign]
    store = make()
    assert not store.bucket.creates
    assert store.open(found(store.put_bytes(b"content"), b"content"))


@pytest.mark.parametrize("size", [10, PIECE + 10])
def test_content_that_was_changed_in_the_bucket_is_never_given_out(make: Make, stub: Stub, size: int) -> None:
    content = os.urandom(size)
    digest = make().put_bytes(content)
    stub.objects[key(digest)] = b"x" * size, stub.objects[key(digest)][1]
    other = make("another")
    with pytest.raises(CorruptArtifact):
        other.open(found(digest, content))
    assert not (other.root / "blobs" / digest[:2] / digest).exists()
    # It is out of the way, so that it can be made again.
    assert other.put_bytes(content) == digest
    assert make("third").exists(digest)
    assert stub.objects[key(digest)][0] == content


def test_content_that_was_changed_on_the_volume_is_never_sent(make: Make, stub: Stub, tmp_path: Path) -> None:
    store = make()
    for content in (b"small", LARGE):
        digest = hashlib.sha256(content).hexdigest()
        path = tmp_path / "changed"
        path.write_bytes(b"x" * len(content))
        with pytest.raises(CorruptArtifact):
            store._objects.put(digest, str(path))
        assert key(digest) not in stub.objects


def test_a_store_that_fails_for_a_moment_is_asked_again(make: Make, stub: Stub) -> None:
    store, failed = make(), list[str]()

    def fail_twice(method: str, path: str) -> tuple[int, bytes] | None:
        if len(failed) < 2:
            failed.append(path)
            return 503, refusal("SlowDown")
        return None

    stub.fault = fail_twice
    content = b"kept at the third try"
    assert make("another").open(found(store.put_bytes(content), content))
    assert len(failed) == 2


@pytest.mark.parametrize(
    ("status", "body", "said", "kind"),
    [
        (404, refusal("NoSuchBucket"), "there is no bucket artifacts", BucketGone),
        (403, refusal("AccessDenied"), "have no right to do this", StorageError),
        (403, refusal("SignatureDoesNotMatch"), "does not accept the credentials", StorageError),
        (400, refusal("ExpiredToken"), "does not accept the credentials", StorageError),
        (403, refusal("RequestTimeTooSkewed"), "the clock of this machine", StoreUnreachable),
        (400, refusal("AuthorizationHeaderMalformed"), "in another region", StorageError),
        (301, refusal("PermanentRedirect"), "in another region", StorageError),
        (400, refusal("SomethingNew"), "refused a request (SomethingNew)", StorageError),
    ],
)
def test_a_refusal_is_a_sentence_with_a_hint(
    stub: Stub, status: int, body: bytes, said: str, kind: type[StorageError]
) -> None:
    bucket = Bucket(parse(f"s3://{BUCKET}/p?endpoint={stub.url}"))
    stub.fault = lambda method, path: (status, body)
    with pytest.raises(kind) as caught:
        bucket.put("a", b"content")
    assert said in caught.value.message
    assert f"s3://{BUCKET}/p" in caught.value.message
    assert caught.value.hint
    assert "words of the server" not in caught.value.message


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://127.0.0.1:9", "does not answer"),
        ("http://no-such-host.invalid:9000", "is not known"),
        ("https://{plain}", "does not answer"),
    ],
)
def test_a_way_that_leads_nowhere_is_said(stub: Stub, endpoint: str, said: str) -> None:
    place = endpoint.format(plain=stub.url.removeprefix("http://"))
    with pytest.raises(StoreUnreachable) as caught:
        Bucket(parse(f"s3://{BUCKET}?endpoint={place}")).find("a")
    assert said in caught.value.message


def test_a_missing_object_in_a_missing_bucket_is_no_missing_object(make: Make, stub: Stub) -> None:
    digest = make().put_bytes(b"content")
    other = make("another")
    stub.fault = lambda method, path: (404, refusal("NoSuchBucket"))
    with pytest.raises(BucketGone):
        other.exists(digest)
    stub.fault = lambda method, path: None
    assert other.exists(digest)


def test_an_emptied_bucket_is_no_store_without_artifacts(make: Make, stub: Stub) -> None:
    digest = make().put_bytes(b"content")
    other = make("another")
    stub.objects.clear()
    other._objects._sure = -1e9
    with pytest.raises(StoreUnreachable, match="does not hold the artifacts"):
        other.open(found(digest, b"content"))


def test_what_was_used_again_outlives_a_sweep(make: Make, stub: Stub) -> None:
    digest = make().put_bytes(b"stored long ago")
    other = make("another")
    age(stub, digest)
    assert other.sweep([], older_than=3600, dry=True).blobs == 1
    assert other.renew(digest, 15)
    age(stub, digest)
    assert other.sweep([], older_than=3600, dry=False).blobs == 0
    assert make("another").exists(digest)


def test_a_sweep_never_takes_what_is_asked_for_meanwhile(make: Make, stub: Stub) -> None:
    digest = make().put_bytes(b"stored long ago")
    age(stub, digest)
    other, waiting, go = make("another"), threading.Event(), threading.Event()

    def hold(method: str, path: str) -> tuple[int, bytes] | None:
        if method == "HEAD" and digest in path:
            waiting.set()
            assert go.wait(30)
        return None

    stub.fault = hold
    asking = threading.Thread(target=other.exists, args=(digest,))
    asking.start()
    assert waiting.wait(30)
    assert other.sweep([], older_than=3600, dry=False).blobs == 0
    go.set()
    asking.join(30)
    assert key(digest) in stub.objects


def test_a_clock_that_is_wrong_here_removes_nothing_that_is_new_there(
    make: Make, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    store.put_bytes(b"just now")
    wrong = types.SimpleNamespace(time=lambda: 4e9, monotonic=time.monotonic)
    monkeypatch.setattr(objects, "time", wrong)
    assert store.sweep([], older_than=3600, dry=True).blobs == 0


def test_a_sweep_of_a_place_that_another_installation_took_is_refused(make: Make, stub: Stub) -> None:
    store = make()
    digest = store.put_bytes(b"content")
    age(stub, digest)
    settling.settle(make_taker(store), lambda line: None, take=True)
    with pytest.raises(StorageError, match="belongs to another installation now"):
        store.sweep([], older_than=3600, dry=False)
    assert key(digest) in stub.objects


def make_taker(store: ObjectArtifacts) -> ObjectArtifacts:
    root = store.root.with_name("taker")
    Layout(root).prepare()
    return ObjectArtifacts(root, store.bucket.place, "f" * 32, 2**30)


def test_a_full_cache_gives_up_what_was_used_longest_ago(make: Make) -> None:
    store = make(limit=1000)
    digests = [store.put_bytes(os.urandom(400)) for _ in range(4)]
    for number, digest in enumerate(digests):
        path = store.root / "blobs" / digest[:2] / digest
        os.utime(path, (1000 + number, 1000 + number))
    store.trim()
    left = [digest for digest in digests if (store.root / "blobs" / digest[:2] / digest).exists()]
    assert left == digests[-1:]
    assert all(store.exists(digest) for digest in digests)


def test_what_is_in_use_stays_in_a_full_cache(make: Make) -> None:
    store = make(limit=100)
    digest = store.put_bytes(os.urandom(400))
    store.trim()
    assert (store.root / "blobs" / digest[:2] / digest).exists()


def test_a_volume_is_bound_to_one_place(make: Make, stub: Stub, tmp_path: Path) -> None:
    make()
    elsewhere = ObjectArtifacts(
        tmp_path / "volume", parse(f"s3://{BUCKET}/other?endpoint={stub.url}"), OWNER, 2**30
    )
    with pytest.raises(UsageError, match="the artifacts of this volume are at s3://artifacts/p"):
        settling.settle(elsewhere, lambda line: None)
    assert not [name for name in stub.objects if name.startswith("other")]


def test_trying_a_store_leaves_nothing(make: Make, stub: Stub) -> None:
    make()
    assert list(stub.objects) == ["p/fairway.json"]


def test_a_missing_artifact_is_not_found(make: Make) -> None:
    with pytest.raises(NotFound):
        make().open(found("0" * 64, b""))


def test_the_copies_that_are_kept_are_bounded() -> None:
    many = [f"202601{day:02}T{hour:02}0000Z-00000000.db.gz" for day in range(1, 31) for hour in range(24)]
    gone = set(log_copies.surplus(many))
    kept = [name for name in many if name not in gone]
    assert kept[-12:] == many[-12:]
    assert len(kept) == 12 + 13
    assert [name[6:8] for name in kept[:13]] == [f"{day:02}" for day in range(17, 30)]
    assert all("T23" in name for name in kept[:13])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models",
        "s3://",
        "s3:///models",
        "http://models",
        "file:///tmp",
        "s3://Models",
        "s3://models/../other",
        "s3://models/a//b",
        "s3://models/a b",
        "s3://models#part",
        "s3://models?endpoint=ftp://host",
        "s3://models?endpoint=https://key:secret@host",
        "s3://models?endpoint=https://host&endpoint=https://other",
        "s3://models?region=",
        "s3://models?account=me",
        "gs://models?region=eu",
        "az://my--container",
        "s3://models/" + "x" * 500,
    ],
)
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.hint


def test_places_have_a_name_without_their_settings() -> None:
    place = parse("s3://models/team/a/?endpoint=http://10.0.0.5:9000&region=eu-west-1")
    assert (place.name, place.plain) == ("s3://models/team/a", True)
    assert parse("gs://models").name == "gs://models"
    assert parse("az://models/x?account=acme").options == {"account": "acme"}

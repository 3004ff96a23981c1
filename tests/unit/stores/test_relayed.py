"""The store of a pod, when the control plane, the network or the disk does not do as it should."""

import hashlib
import http.server
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.spec.artifact import Artifact
from fairway.spec.errors import CorruptArtifact, NotFound, StorageError
from fairway.spec.run import StepResult
from fairway.stores.relayed import RelayedArtifacts, RelayedResults
from fairway.stores.upstream import Upstream

RECORD = StepResult(run="r1", step="s", attempt=1)
Reply = tuple[int, bytes] | Callable[[http.server.BaseHTTPRequestHandler], None]


class Odd:
    """A server whose answers a test plans, and which otherwise keeps what it is sent."""

    def __init__(self) -> None:
        self.planned: list[Reply] = []
        self.kept: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.credentials: list[str] = []
        self.clients: set[tuple[str, int]] = set()
        self.hosts: list[str] = []
        odd = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                odd.asked.append((self.command, self.path))
                odd.credentials.append(self.headers["x-fairway-run"])
                odd.clients.add(self.client_address)
                odd.hosts.append(self.headers["host"])
                if odd.planned:
                    planned = odd.planned.pop(0)
                    if callable(planned):
                        planned(self)
                    else:
                        self.reply(*planned)
                elif self.command == "PUT":
                    created = self.path not in odd.kept
                    odd.kept.setdefault(self.path, body)
                    self.reply(201 if created else 200, b"{}")
                elif self.path.endswith("/missing"):
                    digests = json.loads(body)["digests"]
                    self.reply(
                        200,
                        json.dumps(
                            [d for d in digests if f"/api/v1/store/blobs/{d}" not in odd.kept]
                        ).encode(),
                    )
                else:
                    found = odd.kept.get(self.path.partition("?")[0])
                    self.reply(404 if found is None else 200, found or b"{}")

            do_GET = do_PUT = do_POST = do_HEAD = answer

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else body)

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


def close(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def half(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Answer with half of what the head announces."""
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True


@pytest.fixture
def odd() -> Iterator[Odd]:
    found = Odd()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def credential(tmp_path: Path) -> Path:
    path = tmp_path / "credential"
    path.write_text("secret-one\n")
    return path


@pytest.fixture
def upstream(odd: Odd, credential: Path) -> Upstream:
    return Upstream(odd.url, str(credential), patience=20.0)


@pytest.fixture
def store(upstream: Upstream, tmp_path: Path) -> RelayedArtifacts:
    return RelayedArtifacts(tmp_path / "cache", upstream)


def blobs(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_commit_is_one_request(odd: Odd, upstream: Upstream) -> None:
    assert RelayedResults(upstream).commit(RECORD)
    assert odd.asked == [("PUT", "/api/v1/store/results/r1/s/1")]


def test_a_name_is_looked_up_once_for_all_attempts_of_a_host(
    odd: Odd, credential: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def counted(host: str, *words: Any, **options: Any) -> Any:
        if not host[0].isdigit():
            asked.append(host)
        return real("127.0.0.1", *words, **options)

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    upstream = Upstream(odd.url.replace("127.0.0.1", "localhost"), str(credential))
    for _ in range(3):
        upstream.prepare()
        assert upstream.missing([]) == []
        upstream._idle.clear()  # as in a process that was just forked
    assert asked == ["localhost"]
    assert {host.partition(":")[0] for host in odd.hosts} == {"localhost"}


def test_a_control_plane_that_has_moved_is_looked_up_again(odd: Odd, credential: Path) -> None:
    upstream = Upstream(odd.url.replace("127.0.0.1", "localhost"), str(credential), patience=5)
    upstream.prepare()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        upstream._address = nobody.getsockname()
        assert upstream.missing([]) == []


def test_a_small_value_is_one_request_and_a_large_one_is_asked_for_first(
    odd: Odd, store: RelayedArtifacts
) -> None:
    store.put_bytes(b"small")
    assert [method for method, _ in odd.asked] == ["PUT"]
    large = os.urandom(100_000)
    odd.asked.clear()
    store.put_bytes(large)
    assert [method for method, _ in odd.asked] == ["HEAD", "PUT"]


def test_what_is_known_to_be_there_is_not_asked_for_again(odd: Odd, store: RelayedArtifacts) -> None:
    digest = store.put_bytes(b"small")
    odd.asked.clear()
    assert store.put_bytes(b"small") == digest
    assert store.exists(digest)
    assert store.open(Artifact(format="", digest=digest, size=5)).read_bytes() == b"small"  # type: ignore[union-attr]
    assert odd.asked == []


@pytest.mark.parametrize(
    "trouble", [(503, b"{}"), (502, b"bad gateway"), (500, b""), (429, b"{}"), (507, b"{}"), close]
)
def test_a_request_is_sent_again_while_the_control_plane_is_in_trouble(
    odd: Odd, store: RelayedArtifacts, upstream: Upstream, trouble: Reply
) -> None:
    odd.planned = [trouble, trouble]
    digest = store.put_bytes(b"content")
    odd.planned = [trouble]
    assert RelayedResults(upstream).commit(RECORD)
    assert odd.kept[f"/api/v1/store/blobs/{digest}"] == b"content"


def test_a_record_whose_answer_was_lost_counts_as_created_by_this_attempt(
    odd: Odd, upstream: Upstream
) -> None:
    def keep_and_close(handler: http.server.BaseHTTPRequestHandler) -> None:
        odd.kept["/api/v1/store/results/r1/s/1"] = b'{"run":"r1","step":"s","attempt":1}'
        handler.close_connection = True

    odd.planned = [keep_and_close]
    assert RelayedResults(upstream).commit(RECORD)
    assert not RelayedResults(upstream).commit(RECORD), "a second attempt is not first"


def test_the_record_of_somebody_else_stays_the_first_one(odd: Odd, upstream: Upstream) -> None:
    def other_and_close(handler: http.server.BaseHTTPRequestHandler) -> None:
        odd.kept["/api/v1/store/results/r1/s/1"] = b'{"run":"r1","step":"s","attempt":1,"usage":{"wall":9.0}}'
        handler.close_connection = True

    odd.planned = [other_and_close]
    assert not RelayedResults(upstream).commit(RECORD)


def test_a_new_credential_is_read_when_the_old_one_is_refused(
    odd: Odd, upstream: Upstream, credential: Path
) -> None:
    results = RelayedResults(upstream)
    assert results.commit(RECORD)
    credential.write_text("secret-two")
    odd.planned = [(401, b'{"error": "who is that"}')]
    assert results.read("r1", "s", 1) == RECORD
    assert odd.credentials == ["secret-one", "secret-one", "secret-two"]


def test_a_pod_without_a_credential_waits_for_it(odd: Odd, upstream: Upstream, credential: Path) -> None:
    credential.unlink()
    threading.Timer(0.5, credential.write_text, ["secret-late"]).start()
    assert RelayedResults(upstream).commit(RECORD)
    assert odd.credentials == ["secret-late"]


def test_an_error_names_the_place_and_no_credential(credential: Path, odd: Odd) -> None:
    impatient = RelayedResults(Upstream(odd.url, str(credential), patience=0.0))
    odd.planned = [(503, b'{"error": "busy"}')] * 3
    with pytest.raises(StorageError, match="could not be used for 0 seconds: busy") as caught:
        impatient.commit(RECORD)
    assert "secret" not in str(caught.value) + caught.value.hint
    assert caught.value.hint


def test_a_store_that_takes_nothing_for_long_says_what_to_do(credential: Path, odd: Odd) -> None:
    impatient = RelayedResults(Upstream(odd.url, str(credential), patience=0.0))
    odd.planned = [(507, b'{"error": "no space is left", "hint": "make room"}')] * 3
    with pytest.raises(StorageError, match="no space is left") as caught:
        impatient.commit(RECORD)
    assert caught.value.hint == "make room"


@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_is_final_and_says_what_the_control_plane_said(
    odd: Odd, store: RelayedArtifacts, tmp_path: Path, status: int
) -> None:
    odd.planned = [(status, b'{"error": "no space is left", "hint": "make room"}')]
    with pytest.raises(StorageError, match="no space is left") as caught:
        store.put_bytes(b"content")
    assert caught.value.hint == "make room"
    assert blobs(tmp_path) == [], "what was not taken is not in the cache"


def test_content_is_not_in_the_cache_before_the_control_plane_has_it(
    odd: Odd, store: RelayedArtifacts, tmp_path: Path
) -> None:
    seen: list[list[str]] = []

    def look(handler: http.server.BaseHTTPRequestHandler) -> None:
        seen.append([name for name in blobs(tmp_path) if len(name) == 64])
        handler.reply(201, b"{}")  # type: ignore[attr-defined]

    odd.planned = [look]
    digest = store.put_bytes(b"content")
    assert (seen, digest in blobs(tmp_path)) == ([[]], True)


def test_content_that_breaks_off_is_fetched_again_and_never_kept_in_half(
    odd: Odd, store: RelayedArtifacts
) -> None:
    data = b"x" * 1000
    digest = hashlib.sha256(data).hexdigest()
    odd.kept[f"/api/v1/store/blobs/{digest}"] = data
    odd.planned = [half, half]
    assert store.open(Artifact(format="", digest=digest, size=1000)).read_bytes() == data  # type: ignore[union-attr]


def test_content_that_is_not_what_was_asked_for_is_refused(
    odd: Odd, store: RelayedArtifacts, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"right").hexdigest()
    odd.kept[f"/api/v1/store/blobs/{digest}"] = b"wrong"
    with pytest.raises(CorruptArtifact, match=digest):
        store.open(Artifact(format="", digest=digest, size=5))
    assert blobs(tmp_path) == []
    assert [path.partition("?")[2] for _, path in odd.asked] == ["", "check=1"]


def test_a_damaged_copy_in_the_cache_is_fetched_again(
    odd: Odd, store: RelayedArtifacts, upstream: Upstream, tmp_path: Path
) -> None:
    digest = store.put_bytes(b"content")
    path = tmp_path / "cache" / "blobs" / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    again = RelayedArtifacts(tmp_path / "cache", upstream)
    assert again.open(Artifact(format="", digest=digest, size=7)).read_bytes() == b"content"  # type: ignore[union-attr]


def test_a_sweep_of_the_cache_takes_nothing_from_the_control_plane(store: RelayedArtifacts) -> None:
    digest = store.put_bytes(b"content")
    assert store.sweep([], older_than=-10, dry=False).blobs == 1
    assert store.exists(digest)
    assert store.open(Artifact(format="", digest=digest, size=7)).read_bytes() == b"content"  # type: ignore[union-attr]


def test_what_the_control_plane_lost_is_sent_again_from_the_cache(
    odd: Odd, store: RelayedArtifacts, upstream: Upstream, tmp_path: Path
) -> None:
    digest = store.put_bytes(b"content")
    odd.kept.clear()
    RelayedArtifacts(tmp_path / "cache", upstream).put_bytes(b"content")
    assert odd.kept == {f"/api/v1/store/blobs/{digest}": b"content"}


def test_a_folder_is_whole_only_with_all_its_files(
    odd: Odd, store: RelayedArtifacts, upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x").write_bytes(b"x")
    digest, size = store.put_folder(tmp_path / "f")
    found = Artifact(format="folder", digest=digest, size=size, files=True)
    other = RelayedArtifacts(tmp_path / "other", upstream)
    assert other.holds(found)
    del odd.kept[f"/api/v1/store/blobs/{hashlib.sha256(b'x').hexdigest()}"]
    assert not other.holds(found)
    with pytest.raises(NotFound):
        other.open(found)


def test_a_forked_process_never_uses_the_connection_of_the_one_before(odd: Odd, upstream: Upstream) -> None:
    results = RelayedResults(upstream)
    assert results.commit(RECORD)
    assert results.read("r1", "s", 1) == RECORD
    assert len(odd.clients) == 1, "one process keeps its connection"
    child = os.fork()
    if child == 0:
        os._exit(0 if results.read("r1", "s", 1) == RECORD else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(odd.clients) == 2
    assert results.read("r1", "s", 1) == RECORD
    assert len(odd.clients) == 2


@pytest.mark.parametrize(
    "url", ["https://plane:7700", "plane:7700", "http://", "http://plane/path", "file:///etc"]
)
def test_only_an_address_of_a_control_plane_is_one(url: str) -> None:
    with pytest.raises(StorageError, match="no address of a control plane"):
        Upstream(url, "/credential")

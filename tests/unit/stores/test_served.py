"""The store of a model server in a pod: its image first, then the control plane."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairway.spec.artifact import Artifact
from fairway.spec.errors import NotFound, StorageError
from fairway.spec.host import StorePlace
from fairway.stores import FileArtifacts
from fairway.stores.served import ServedArtifacts, open_artifacts


class Plane:
    """A control plane that has some content, for whoever shows the right token."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.token = "first"
        plane = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                plane.asked.append((self.command, self.path))
                found = plane.content.get(self.path.rpartition("/")[2].partition("?")[0])
                status = 200 if found is not None else 404
                status = status if self.headers["x-fairway-token"] == plane.token else 401
                body = (found or b"") if status == 200 else b"{}"
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *args: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def put(self, data: bytes) -> Artifact:
        """Have content."""
        digest = hashlib.sha256(data).hexdigest()
        self.content[digest] = data
        return Artifact(format="file", digest=digest, size=len(data))


class Server:
    """The store of a server, the folder in its image, and the file of its token."""

    def __init__(self, folder: Path, plane: Plane) -> None:
        self.image = folder / "image"
        self.cache = folder / "cache"
        self.token = folder / "token"
        self.token.write_text(plane.token)
        address = f"served:{plane.url}|{self.cache}|{self.token}|{self.image}"
        store = open_artifacts(StorePlace(address))
        assert isinstance(store, ServedArtifacts)
        self.store = store

    def bake(self, data: bytes, name: str = "") -> Artifact:
        """Have content in the image, under its digest or under another one."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.image / "blobs" / (name or digest)[:2] / (name or digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o444)
        return Artifact(format="file", digest=name or digest, size=len(data))


@pytest.fixture
def plane() -> Iterator[Plane]:
    made = Plane()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def server(tmp_path: Path, plane: Plane) -> Server:
    return Server(tmp_path, plane)


def test_one_file_of_the_image_is_used_in_place_and_nobody_is_asked(server: Server, plane: Plane) -> None:
    artifact = server.bake(b"weights")
    path = server.store.open(artifact)
    assert path == server.image / "blobs" / artifact.digest[:2] / artifact.digest
    assert server.store.exists(artifact.digest)
    assert server.store.holds(artifact)
    assert plane.asked == []


def test_a_folder_of_the_image_is_laid_out_beside_it(server: Server, plane: Plane, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "inner").mkdir(parents=True)
    (project / "inner" / "a.py").write_text("A = 1\n")
    digest, size = FileArtifacts(server.image).put_folder(project)
    path = server.store.open(Artifact(format="folder", digest=digest, size=size, files=True))
    assert isinstance(path, Path)
    assert server.cache in path.parents
    assert (path / "inner" / "a.py").read_text() == "A = 1\n"
    assert plane.asked == []


def test_what_the_image_lacks_is_fetched_once_with_the_token_of_the_server(
    server: Server, plane: Plane
) -> None:
    artifact = plane.put(b"more")
    for _ in range(2):
        path = server.store.open(artifact)
        assert isinstance(path, Path)
        assert path.read_bytes() == b"more"
    assert plane.asked == [("GET", f"/api/v1/store/blobs/{artifact.digest}")]


def test_damaged_content_of_the_image_is_fetched_instead(server: Server, plane: Plane) -> None:
    artifact = plane.put(b"weights")
    server.bake(b"waights", artifact.digest)
    path = server.store.open(artifact)
    assert isinstance(path, Path)
    assert path.read_bytes() == b"weights"
    assert server.cache in path.parents


def test_a_link_in_the_image_is_not_followed(server: Server, plane: Plane, tmp_path: Path) -> None:
    artifact = plane.put(b"weights")
    (tmp_path / "elsewhere").write_bytes(b"weights")
    place = server.image / "blobs" / artifact.digest[:2]
    place.mkdir(parents=True)
    (place / artifact.digest).symlink_to(tmp_path / "elsewhere")
    path = server.store.open(artifact)
    assert isinstance(path, Path)
    assert server.cache in path.parents


def test_a_token_that_was_renewed_is_read_again(server: Server, plane: Plane) -> None:
    server.store.open(plane.put(b"one"))
    plane.token = "second"
    server.token.write_text("second")
    artifact = plane.put(b"two")
    assert server.store.exists(artifact.digest)
    path = server.store.open(artifact)
    assert isinstance(path, Path)
    assert path.read_bytes() == b"two"


def test_what_neither_has_is_not_found(server: Server) -> None:
    with pytest.raises(NotFound):
        server.store.open(Artifact(format="file", digest="0" * 64, size=1))


@pytest.mark.parametrize("address", ["served:", "served:http://x|/a|/b", "served:http://x|a|/b|/c"])
def test_a_place_that_lacks_a_part_is_refused(address: str) -> None:
    with pytest.raises(StorageError, match="no place of a store"):
        open_artifacts(StorePlace(address))

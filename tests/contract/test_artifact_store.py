"""What every artifact store promises, whatever it keeps its content in."""

import hashlib
import itertools
import os
import secrets

import pytest
import servers

from fairway.spec import objects
from fairway.spec.artifact import Artifact
from fairway.spec.errors import CorruptArtifact, NotFound, StorageError
from fairway.stores import FileArtifacts, Layout, settling
from fairway.stores.objects import ObjectArtifacts
from fairway.stores.opening import open_store, relayed_place

ADAPTERS = ("files", "relayed", "versitygw")
LIMIT = 2**30


@pytest.fixture(params=ADAPTERS)
def make(request, tmp_path, monkeypatch):
    """Opens the same store again at each call, as another process would. A relayed one is opened as in another pod.

    One in object storage is opened with an empty cache.
    """
    if request.param == "files":
        return _files(tmp_path)
    if request.param == "versitygw":
        return _objects(request, tmp_path, monkeypatch)
    plane = request.getfixturevalue("shared_plane")
    pods = itertools.count()
    credential = plane.credential("r1")
    return lambda: (
        open_store(relayed_place(plane.url, str(tmp_path / f"pod-{next(pods)}"), credential)).artifacts
    )


@pytest.fixture(params=[name for name in ADAPTERS if name != "relayed"])
def owner(request, tmp_path, monkeypatch):
    """Opens a store that owns its content, as `make` does. A relayed one removes content from its cache alone."""
    if request.param == "files":
        return _files(tmp_path)
    return _objects(request, tmp_path, monkeypatch, volume="the-same")


def _objects(request, tmp_path, monkeypatch, volume=""):
    for name, value in servers.credentials().items():
        monkeypatch.setenv(name, value)
    url = request.getfixturevalue("gateway").url
    place = objects.parse(f"s3://{servers.BUCKET}/{secrets.token_hex(8)}?endpoint={url}")
    caches = itertools.count()

    def opened():
        root = tmp_path / (volume or f"volume-{next(caches)}")
        Layout(root).prepare()
        store = ObjectArtifacts(root, place, "0" * 32, LIMIT)
        settling.settle(store, lambda line: None)
        return store

    return opened


def _files(tmp_path):
    Layout(tmp_path / "store").prepare()
    return lambda: FileArtifacts(tmp_path / "store")


@pytest.fixture
def store(make):
    return make()


def artifact(digest, size, *, files=False):
    return Artifact(format="json", digest=digest, size=size, files=files)


def content(opened):
    return opened if isinstance(opened, bytes) else opened.read_bytes()


def listing(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("data", [b"", b"x", b"0123456789" * 1_000_000], ids=["empty", "one", "10MB"])
def test_bytes_come_back(store, make, data):
    digest = store.put_bytes(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert store.exists(digest)
    assert content(make().open(artifact(digest, len(data)))) == data


def test_same_bytes_are_kept_once(store):
    assert store.put_bytes(b"same") == store.put_bytes(b"same")
    assert store.sweep([], older_than=-10, dry=True).blobs == 1


def test_inline_content_needs_no_store(store):
    data = b"[1, 2]"
    inline = Artifact(format="json", digest=hashlib.sha256(data).hexdigest(), size=len(data), inline=data)
    assert store.open(inline) == data


def test_inline_content_is_checked_unless_verified(store):
    wrong = Artifact(format="json", digest="0" * 64, size=2, inline=b"{}")
    with pytest.raises(CorruptArtifact):
        store.open(wrong)
    assert store.open(wrong, verified=True) == b"{}"


def test_writer_takes_pieces_of_any_size(store, make):
    pieces = [b"a" * size for size in (0, 1, 70_000, 300_000, 2_000_000, 5)]
    with store.writer() as file:
        for piece in pieces:
            assert file.write(piece) == len(piece)
        assert file.tell() == sum(map(len, pieces))
        file.flush()
    whole = b"".join(pieces)
    assert file.digest == hashlib.sha256(whole).hexdigest()
    assert file.size == len(whole)
    assert content(make().open(artifact(file.digest, file.size))) == whole


def test_writer_takes_whatever_has_a_buffer(store):
    numbers = memoryview(bytes(range(16))).cast("i")
    with store.writer() as file:
        assert file.write(numbers) == 16
    assert content(store.open(artifact(file.digest, 16))) == bytes(range(16))


def test_writer_leaves_nothing_after_an_error(store):
    def fail():
        with store.writer() as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.sweep([], older_than=-10, dry=True).blobs == 0


def test_writer_takes_nothing_after_its_block(store):
    with store.writer() as file:
        file.write(b"all")
    with pytest.raises(ValueError, match="complete"):
        file.write(b"more")


def test_file_is_copied(store, make, tmp_path):
    source = tmp_path / "model.bin"
    source.write_bytes(b"weights" * 1000)
    digest, size = store.put_file(source)
    source.write_bytes(b"changed")
    assert size == 7000
    assert content(make().open(artifact(digest, size))) == b"weights" * 1000


def test_folder_comes_back(store, make, tmp_path):
    source = tmp_path / "folder"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"a")
    (source / "deep" / "er" / "b.bin").write_bytes(b"b" * 5000)
    (source / "deep" / "copy-of-a").write_bytes(b"a")
    (source / "übung 1.txt").write_bytes(b"")
    script = source / "run.sh"
    script.write_bytes(b"#!/bin/sh\n")
    script.chmod(0o755)
    digest, size = store.put_folder(source)
    assert size == 1 + 5000 + 1 + 0 + 10
    opened = make().open(artifact(digest, size, files=True))
    assert listing(opened) == listing(source)
    assert os.access(opened / "run.sh", os.X_OK)
    assert not os.stat(opened / "a.txt").st_mode & 0o333


def test_folder_digest_depends_on_content_only(store, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("x", "y") if name == "one" else ("y", "x"):
            (tmp_path / name / file).write_bytes(file.encode())
    assert store.put_folder(tmp_path / "one") == store.put_folder(tmp_path / "two")


def test_empty_folder(store, make, tmp_path):
    (tmp_path / "empty").mkdir()
    digest, size = store.put_folder(tmp_path / "empty")
    assert size == 0
    assert list(make().open(artifact(digest, 0, files=True)).iterdir()) == []


def test_folder_opens_at_one_place(owner, tmp_path):
    store = owner()
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "x").write_bytes(b"x")
    found = artifact(*store.put_folder(tmp_path / "f"), files=True)
    first = store.open(found)
    assert store.open(found) == owner().open(found) == owner().open(found, verified=True) == first


@pytest.mark.parametrize("kind", ["link", "pipe", "folder link"])
def test_folder_refuses_what_is_no_file(store, tmp_path, kind):
    source = tmp_path / "folder"
    source.mkdir()
    (tmp_path / "secret").mkdir()
    if kind == "pipe":
        os.mkfifo(source / "odd")
    else:
        (source / "odd").symlink_to("/etc/passwd" if kind == "link" else tmp_path / "secret")
    with pytest.raises(StorageError, match=r"odd is a (symbolic link|pipe)") as caught:
        store.put_folder(source)
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_file_refuses_what_is_no_file(store, tmp_path, kind):
    path = tmp_path / "odd"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(StorageError, match="odd"):
        store.put_file(path)


@pytest.mark.parametrize("digest", ["0" * 64, "", "../../etc/passwd", "A" * 64, "0" * 63])
def test_unknown_digest(store, digest):
    assert not store.exists(digest)
    with pytest.raises(NotFound) as caught:
        store.open(artifact(digest, 1))
    assert caught.value.hint


def test_wrong_size_is_damage(store):
    digest = store.put_bytes(b"four")
    with pytest.raises(CorruptArtifact, match=digest):
        store.open(artifact(digest, 5), verified=True)


def test_sweep_keeps_what_it_is_told_to(owner, tmp_path):
    store = owner()
    kept, gone = store.put_bytes(b"kept"), store.put_bytes(b"gone!")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "inside").write_bytes(b"inside")
    folder = artifact(*store.put_folder(tmp_path / "f"), files=True)
    store.open(folder)
    found = store.sweep([kept, folder.digest], older_than=-10, dry=True)
    assert (found.blobs, found.size) == (1, 5)
    assert store.exists(gone)
    found = store.sweep(iter([kept, folder.digest]), older_than=-10, dry=False)
    assert (found.blobs, found.size) == (1, 5)
    assert store.exists(kept)
    assert not store.exists(gone)
    assert listing(owner().open(folder)) == {"inside": b"inside"}


def test_what_is_renewed_counts_as_new(store):
    if isinstance(store, ObjectArtifacts):
        pytest.skip("nobody can change the time of an object; tests/unit/stores/test_objects.py shows it")
    digest = store.put_bytes(b"kept longer")
    path = store.root / "blobs" / digest[:2] / digest
    os.utime(path, (1, 1))
    assert store.sweep([], older_than=3600, dry=True).blobs == 1
    assert store.renew(digest, 11)
    assert store.sweep([], older_than=3600, dry=True).blobs == 0


def test_what_is_not_here_as_a_whole_is_not_renewed(store):
    digest = store.put_bytes(b"content")
    assert not store.renew(digest, 8)
    assert not store.renew("0" * 64, 7)


def test_a_manifest_says_which_files_it_names(store, tmp_path):
    (tmp_path / "f" / "deep").mkdir(parents=True)
    (tmp_path / "f" / "deep" / "one").write_bytes(b"1")
    digest, _ = store.put_folder(tmp_path / "f")
    assert [(file.path, file.size) for file in store.files(digest)] == [("deep/one", 1)]
    with pytest.raises(CorruptArtifact):
        store.files(store.put_bytes(b"no manifest"))
    with pytest.raises(NotFound):
        store.files("0" * 64)


def test_sweep_leaves_what_is_new(store):
    digest = store.put_bytes(b"new")
    assert store.sweep([], older_than=3600, dry=False).blobs == 0
    assert store.exists(digest)


def test_what_was_swept_can_be_stored_again(owner):
    store = owner()
    digest = store.put_bytes(b"again")
    store.sweep([], older_than=-10, dry=False)
    with pytest.raises(NotFound):
        store.open(artifact(digest, 5))
    assert store.put_bytes(b"again") == digest
    assert content(store.open(artifact(digest, 5))) == b"again"


def test_sweep_takes_whole_folders(owner, tmp_path):
    store = owner()
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "inside").write_bytes(b"inside")
    folder = artifact(*store.put_folder(tmp_path / "f"), files=True)
    opened = store.open(folder)
    assert store.sweep([], older_than=-10, dry=False).blobs == 2
    assert not opened.exists()
    with pytest.raises(NotFound):
        store.open(folder)

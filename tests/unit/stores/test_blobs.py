"""Artifacts as files: whatever kills the process or fails below it, content is whole or not there."""

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairway.spec.artifact import Artifact, FileEntry, Manifest
from fairway.spec.errors import CorruptArtifact, NotFound, StorageError
from fairway.stores import FileArtifacts, Layout, folders
from fairway.stores.faults import DiskFailed

BIG = bytes(range(256)) * 12_000


def artifact(digest, size, *, files=False):
    return Artifact(format="npy", digest=digest, size=size, files=files)


def blobs(root):
    """Every blob, after making sure that each is what its name says."""
    found = {path.name: path.read_bytes() for path in root.glob("blobs/??/*")}
    for digest, data in found.items():
        assert hashlib.sha256(data).hexdigest() == digest
    return found


def temporaries(root):
    return list((root / "blobs" / "tmp").iterdir())


def age(root, seconds):
    then = time.time() - seconds
    for path in root.glob("blobs/*/*"):
        os.utime(path, (then, then))


def put_writer(store):
    with store.writer() as file:
        file.write(BIG)
        file.write(b"end")


def put_all(store, folder):
    store.put_bytes(b"small")
    put_writer(store)
    digest, size = store.put_folder(folder)
    return store.open(artifact(digest, size, files=True))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    (made / "sub").mkdir(parents=True)
    for name in ("a", "sub/b", "sub/script"):
        (made / name).write_bytes(name.encode() * 100)
    (made / "sub" / "script").chmod(0o755)
    return made


def test_killed_at_every_call(root, folder, faulty):
    def work():
        put_all(FileArtifacts(root), folder)

    number = 1
    while faulty.killed_at(number, work):
        blobs(root)
        for tree in (root / "blobs" / "tree").iterdir():
            assert sorted(path.name for path in tree.rglob("*") if path.is_file()) == ["a", "b", "script"]
        if number % 5 == 0:
            FileArtifacts(root).sweep([], older_than=-10, dry=False)
            assert blobs(root) == {}
        number += 1
    assert number > 60
    assert len(blobs(root)) == 2 + 4
    age(root, 2 * 86400)
    FileArtifacts(root).sweep([], older_than=86400, dry=False)
    assert blobs(root) == {}
    assert temporaries(root) == list((root / "blobs" / "tree").iterdir()) == []


def test_killed_at_any_time(root):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from fairway.stores import FileArtifacts\n"
        "root, kills = Path(sys.argv[1]), int(sys.argv[2])\n"
        "import random, signal, time\n"
        "begun = time.monotonic()\n"
        "for number in range(5):\n"
        "    FileArtifacts(root).put_bytes(random.Random(-number).randbytes(300_000))\n"
        "one = (time.monotonic() - begun) / 5\n"
        "for kill in range(kills):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        store = FileArtifacts(root)\n"
        "        rng = random.Random(kill)\n"
        "        while True:\n"
        "            digest = store.put_bytes(rng.randbytes(rng.choice([10, 5000, 900_000])))\n"
        "            os.write(1, digest.encode() + b'\\n')\n"
        "    time.sleep(random.Random(kill).uniform(0.1, 8.0) * one)\n"
        "    os.kill(pid, signal.SIGKILL)\n"
        "    os.waitpid(pid, 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, root, "50"], capture_output=True, text=True, check=True
    )
    confirmed = set(done.stdout.split())
    assert len(confirmed) > 10
    assert confirmed <= blobs(root).keys()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_every_call_can_fail(root, folder, faulty, code):
    expected = DiskFailed if code == errno.EIO else StorageError
    changing = ("open", "write", "fsync", "rename", "link", "mkdir", "fchmod")
    number, error = 1, StorageError("")
    while error is not None:
        with faulty.at_call(number, faulty.failing_with(code), changing) as calls:
            error = faulty.refusal(lambda: put_all(FileArtifacts(root), folder))
        assert error is None or (isinstance(error, expected) and error.hint)
        blobs(root)
        assert temporaries(root) == [], calls[-1]
        FileArtifacts(root).sweep([], older_than=-10, dry=False)
        number += 1
    assert number > 30


def test_a_full_disk(small_disk, faulty):
    root = small_disk("3m") / "store"
    Layout(root).prepare()
    store = FileArtifacts(root)
    kept = store.put_bytes(b"kept")
    number, error = 0, None
    while error is None:
        number += 1
        data = random.Random(number).randbytes(500_000)
        error = faulty.refusal(lambda data=data: store.put_bytes(data))
    assert "disk full" in error.message
    with pytest.raises(StorageError, match="disk full"), store.writer() as file:
        file.write(bytes(5_000_000))
    assert temporaries(root) == []
    blobs(root)
    store.sweep([kept], older_than=-10, dry=False)
    assert store.put_bytes(data) == hashlib.sha256(data).hexdigest()
    assert set(blobs(root)) == {kept, hashlib.sha256(data).hexdigest()}


def test_the_source_of_a_copy_can_fail(root, tmp_path, faulty):
    (tmp_path / "x").write_bytes(b"x")
    with (
        faulty.at_call(1, faulty.failing_with(errno.EIO), ("read",)),
        pytest.raises(StorageError),
    ):
        FileArtifacts(root).put_file(tmp_path / "x")
    assert temporaries(root) == []


def test_one_flipped_bit(root, tmp_path):
    digest = FileArtifacts(root).put_bytes(BIG)
    path = root / "blobs" / digest[:2] / digest
    path.chmod(0o600)
    data = bytearray(BIG)
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert FileArtifacts(root).open(artifact(digest, len(BIG)), verified=True) == path
    store = FileArtifacts(root)
    with pytest.raises(CorruptArtifact, match=digest) as caught:
        store.open(artifact(digest, len(BIG)))
    assert "fairway doctor" in caught.value.hint
    with pytest.raises(NotFound):
        store.open(artifact(digest, len(BIG)))
    assert FileArtifacts(root).put_bytes(BIG) == digest
    assert FileArtifacts(root).open(artifact(digest, len(BIG))) == path
    assert [kept.name.partition(".")[0] for kept in (root / "blobs" / "damaged").iterdir()] == [digest]


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_storing_again_heals(root, damage):
    digest = FileArtifacts(root).put_bytes(b"content")
    path = root / "blobs" / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(b"cONtent" if damage == "flip" else b"con")
    assert FileArtifacts(root).put_bytes(b"content") == digest
    assert path.read_bytes() == b"content"


def test_a_flipped_bit_in_a_folder(root, folder):
    store = FileArtifacts(root)
    digest, size = store.put_folder(folder)
    opened = store.open(artifact(digest, size, files=True))
    linked = opened / "a"
    linked.chmod(0o600)
    linked.write_bytes(b"A" * 100)
    with pytest.raises(CorruptArtifact):
        FileArtifacts(root).open(artifact(digest, size, files=True))
    FileArtifacts(root).put_folder(folder)
    again = FileArtifacts(root).open(artifact(digest, size, files=True))
    assert (again / "a").read_bytes() == b"a" * 100


def test_a_changed_copy_in_a_folder_is_made_anew(root, folder):
    store = FileArtifacts(root)
    digest, size = store.put_folder(folder)
    script = store.open(artifact(digest, size, files=True)) / "sub" / "script"
    good = script.read_bytes()
    script.chmod(0o700)
    script.write_bytes(good.upper())
    again = FileArtifacts(root).open(artifact(digest, size, files=True)) / "sub" / "script"
    assert again.read_bytes() == good
    assert os.access(again, os.X_OK)
    assert temporaries(root) == []


def test_a_damaged_manifest(root, folder):
    digest, size = FileArtifacts(root).put_folder(folder)
    path = root / "blobs" / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"sub", b"bus"))
    with pytest.raises(CorruptArtifact, match=digest):
        FileArtifacts(root).open(artifact(digest, size, files=True))


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a//b", ".", "a\0b"])
def test_a_manifest_cannot_leave_its_folder(root, path, tmp_path):
    store = FileArtifacts(root)
    inner = store.put_bytes(b"evil")
    evil = Manifest(files=(FileEntry(path=path, digest=inner, size=4),))
    digest = store.put_bytes(folders.encode(evil))
    with pytest.raises(CorruptArtifact, match="outside"):
        store.open(artifact(digest, 4, files=True))
    assert not (tmp_path / "x").exists()


def test_a_file_is_no_folder(root):
    store = FileArtifacts(root)
    with pytest.raises(CorruptArtifact, match="not a folder"):
        store.open(artifact(store.put_bytes(b"[]"), 2, files=True))


def test_content_is_checked_once_per_process(root, monkeypatch):
    digest = FileArtifacts(root).put_bytes(b"content")
    hashed = []
    monkeypatch.setattr(folders, "hash_of", lambda path: hashed.append(path) or digest)
    store = FileArtifacts(root)
    store.open(artifact(digest, 7), verified=True)
    assert hashed == []
    for _ in range(3):
        store.open(artifact(digest, 7))
    assert len(hashed) == 1


def test_what_is_stored_cannot_be_written_by_accident(root):
    digest = FileArtifacts(root).put_bytes(b"content")
    assert not os.stat(root / "blobs" / digest[:2] / digest).st_mode & 0o222


def test_a_file_name_that_is_not_utf8(root, tmp_path):
    (tmp_path / "f").mkdir()
    with open(os.fsencode(tmp_path / "f") + b"/\xff", "wb"):
        pass
    with pytest.raises(StorageError, match="UTF-8"):
        FileArtifacts(root).put_folder(tmp_path / "f")


def test_what_is_stored_again_during_a_sweep_survives(root, monkeypatch):
    store = FileArtifacts(root)
    digest = store.put_bytes(b"wanted again")
    age(root, 1000)
    rename = os.rename

    def stored_meanwhile(source, target, **places):
        if source == digest:
            FileArtifacts(root).put_bytes(b"wanted again")
            monkeypatch.setattr(os, "rename", rename)
        return rename(source, target, **places)

    monkeypatch.setattr(os, "rename", stored_meanwhile)
    assert store.sweep([], older_than=500, dry=False).blobs == 0
    assert store.exists(digest)
    assert temporaries(root) == []


def test_storing_again_makes_new(root):
    store = FileArtifacts(root)
    digest = store.put_bytes(b"old")
    age(root, 1000)
    store.put_bytes(b"old")
    store.sweep([], older_than=500, dry=False)
    assert store.exists(digest)


def test_temporary_files_go_after_a_day(root):
    old, new = root / "blobs" / "tmp" / "1-0-aa", root / "blobs" / "tmp" / "1-1-bb"
    old.mkdir()
    (old / "file").write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    FileArtifacts(root).sweep([], older_than=0, dry=True)
    assert old.exists()
    FileArtifacts(root).sweep([], older_than=0, dry=False)
    assert temporaries(root) == [new]


def test_sweeping_knows_many_digests_in_little_memory(root):
    import tracemalloc

    store = FileArtifacts(root)
    kept = [store.put_bytes(b"%d" % number) for number in range(100)]
    gone = store.put_bytes(b"gone")
    many = (hashlib.sha256(b"x%d" % number).hexdigest() for number in range(50_000))
    tracemalloc.start()
    store.sweep((digest for group in (many, kept) for digest in group), older_than=-10, dry=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000 * 40
    assert all(store.exists(digest) for digest in kept)
    assert not store.exists(gone)


@pytest.mark.parametrize(
    "text",
    ["\0" * 64, "/" * 64, "../../key", "z" * 64, "a" * 63 + "\n", ""],
    ids=["nulls", "slashes", "path", "letters", "line", "nothing"],
)
def test_sweeping_passes_over_texts_that_are_no_digests(root, text):
    store = FileArtifacts(root)
    kept, gone = store.put_bytes(b"kept"), store.put_bytes(b"gone")
    strange = [root / "blobs" / kept[:2] / ("z" * 64), root / "blobs" / "zz" / "file"]
    for path in strange:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert store.sweep([text, kept], older_than=-10, dry=False).blobs == 1
    assert store.exists(kept)
    assert not store.exists(gone)
    assert all(path.exists() for path in strange)


def test_a_store_is_used_across_a_fork(root):
    store = FileArtifacts(root)
    store.put_bytes(b"before")
    children = []
    for child in range(4):
        pid = os.fork()
        if not pid:
            for number in range(20):
                store.put_bytes(b"same %d" % number)
                store.put_bytes(b"own %d %d" % (child, number))
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    assert len(blobs(root)) == 1 + 20 + 80
    assert temporaries(root) == []


def test_signals_do_not_cut_a_file_short(root):
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        digest = FileArtifacts(root).put_bytes(BIG * 5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert blobs(root).keys() == {digest}


def test_content_is_opened_under_the_name_asked_for(root: Path, tmp_path: Path) -> None:
    store = FileArtifacts(root)
    source = tmp_path / "rows.csv"
    source.write_bytes(b"a,b")
    digest, size = store.put_file(source)
    artifact = Artifact(format="file", digest=digest, size=size)
    for name in ("rows.csv", "other.txt", "rows.csv"):
        opened = store.open(artifact, name=name)
        assert isinstance(opened, Path)
        assert (opened.name, opened.read_bytes()) == (name, b"a,b")
    for odd in ("../up", ".", "..", "a/b", "\0"):
        opened = store.open(artifact, name=odd)
        assert isinstance(opened, Path)
        assert opened.name == digest
    store.sweep([], older_than=-60, dry=False)
    assert list((root / "blobs" / "tree").iterdir()) == []


@pytest.mark.parametrize("size", [999, 1000, 1001, 2999, 12_345])
def test_large_pieces_are_hashed_beside_being_written(tmp_path, monkeypatch, size):
    monkeypatch.setattr("fairway.stores.durable._LARGE", 1000)
    monkeypatch.setattr("fairway.stores.durable._PIECE", 300)
    store = FileArtifacts(tmp_path)
    content = bytes(number % 251 for number in range(size))
    with store.writer() as file:
        file.write(b"small")
        file.write(memoryview(content))
        file.write(b"end")
    whole = b"small" + content + b"end"
    assert (file.digest, file.size) == (hashlib.sha256(whole).hexdigest(), len(whole))
    found = store.open(Artifact(format="file", digest=file.digest, size=len(whole)))
    assert found.read_bytes() == whole


def test_a_large_piece_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("fairway.stores.durable._LARGE", 1000)

    def full(fd, data):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("fairway.stores.durable.write_all", full)
    store = FileArtifacts(tmp_path)
    with pytest.raises(StorageError, match="disk full"), store.writer() as file:
        file.write(bytes(5000))
    assert list((tmp_path / "blobs" / "tmp").iterdir()) == []

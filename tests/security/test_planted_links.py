"""A link, or a file or folder of another user, at any place of a store: nothing behind it is read, changed, made or removed."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from stranger import UID, given_away, needs_one

from fairway import confined
from fairway.cli.printing import print_logs
from fairway.local import listening, platforms, workers
from fairway.local.leases import FileLeases
from fairway.spec.artifact import Artifact, FileEntry
from fairway.spec.errors import FairwayError, StorageError
from fairway.stores import FileArtifacts, Layout, folders

SECRET = b"the thesis of another folder"
DIGEST = hashlib.sha256(SECRET).hexdigest()
BUCKET = f"blobs/{DIGEST[:2]}"
MANIFEST = folders.encode(
    folders.Manifest(files=(FileEntry(path="sub/file", digest=DIGEST, size=len(SECRET)),))
)
TREE = hashlib.sha256(MANIFEST).hexdigest()
FILE = Artifact(format="file", digest=DIGEST, size=len(SECRET))
FOLDER = Artifact(format="folder", digest=TREE, size=len(SECRET), files=1)


class Place:
    """A store with a blob and a folder of it, and outside the store a folder with files of the same names."""

    def __init__(self, folder: Path) -> None:
        self.root, self.outside = folder / "store", folder / "outside"
        Layout(self.root).prepare()
        self.artifacts = FileArtifacts(self.root)
        for name in (
            DIGEST,
            "file",
            "sub/file",
            "name",
            "lock",
            "w1.log",
            "w1.json",
            "token",
            "platform.json",
            "old",
        ):
            path = self.outside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(SECRET)
            os.utime(path, (1, 1))
        shutil.copytree(self.outside, self.outside / "r1")
        shutil.copytree(self.outside / "r1", self.outside / "churn" / "r1")
        self.before = self.seen()
        self.planted: Path | None = None

    def seen(self) -> dict[str, tuple[int, int, int, bytes]]:
        """Everything outside the store: kinds and modes, times, sizes and content."""
        found: dict[str, tuple[int, int, int, bytes]] = {}
        for path in [self.outside, *self.outside.rglob("*")]:
            info = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (info.st_mode, info.st_mtime_ns, info.st_nlink, content)
        return found

    def fill(self) -> None:
        """Store the blob and the folder, and lay the folder out under a name."""
        self.artifacts.put_bytes(SECRET)
        self.artifacts.put_bytes(MANIFEST)
        self.artifacts.open(FOLDER, name="name")
        self.artifacts.open(FILE, name="name")

    def plant(self, name: str, kind: str, target: Path | None = None) -> None:
        """Put a link, or a copy that belongs to another user, in a place of the store, whatever is there."""
        path, target = self.root / name, target or self.outside
        if path.is_dir() and not path.is_symlink():
            for below in (path, *path.rglob("*")):
                if below.is_dir():
                    below.chmod(0o700)
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kind == "a link":
            path.symlink_to(target)
            return
        if target.is_dir():
            shutil.copytree(target, path, ignore=shutil.ignore_patterns("name.named"))
        elif target.exists():
            shutil.copy2(target, path)
        given_away(path)
        self.planted = path

    def unchanged(self) -> bool:
        """Tell whether all outside is as before, and no file of this user has come into a folder of another one."""
        theirs = [self.planted, *self.planted.rglob("*")] if self.planted is not None else []
        kept = [path for path in theirs if path.exists() and self.planted.lstat().st_uid == UID]
        assert [path for path in kept if path.lstat().st_uid != UID] == []
        return self.seen() == self.before


KINDS = ["a link", pytest.param("another user's", marks=needs_one)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def put(place: Place) -> None:
    FileArtifacts(place.root).put_bytes(SECRET)


def stream(place: Place) -> None:
    with FileArtifacts(place.root).writer() as file:
        file.write(SECRET)


def put_folder(place: Place) -> None:
    (place.root.parent / "made").mkdir()
    (place.root.parent / "made" / "file").write_bytes(SECRET)
    FileArtifacts(place.root).put_folder(place.root.parent / "made")


def renew(place: Place) -> None:
    assert not FileArtifacts(place.root).renew(DIGEST, len(SECRET))


def look(place: Place) -> None:
    assert not FileArtifacts(place.root).exists(DIGEST)


def check(place: Place) -> None:
    assert DIGEST not in dict(FileArtifacts(place.root).damaged())


def open_file(place: Place) -> None:
    FileArtifacts(place.root).open(FILE)
    raise AssertionError("it was opened")


def open_damaged(place: Place) -> None:
    path = place.root / BUCKET / DIGEST
    path.chmod(0o600)
    path.write_bytes(SECRET[::-1])
    FileArtifacts(place.root).open(FILE)


def sweep(place: Place) -> None:
    FileArtifacts(place.root).sweep((TREE,), older_than=-10, dry=False)


ARTIFACTS = [
    (BUCKET, put), (BUCKET, stream), (BUCKET, put_folder), (BUCKET, renew), (BUCKET, look), (BUCKET, check),
    (BUCKET, open_file), (BUCKET, sweep), (f"{BUCKET}/{DIGEST}", put), (f"{BUCKET}/{DIGEST}", renew),
    (f"{BUCKET}/{DIGEST}", look), (f"{BUCKET}/{DIGEST}", check), (f"{BUCKET}/{DIGEST}", open_file), ("blobs/tmp", put),
    ("blobs/tmp", stream), ("blobs/tmp", put_folder), ("blobs/tmp", sweep), ("blobs/tree", sweep),
    (f"blobs/tree/{TREE}", sweep), ("blobs/damaged", open_damaged), ("blobs", put), ("blobs", look), ("blobs", renew),
    ("blobs", check), ("blobs", open_file), ("blobs", sweep),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "use"), ARTIFACTS, ids=[f"{use.__name__}-{name}" for name, use in ARTIFACTS]
)
def test_no_use_of_artifacts_reaches_behind_a_link(
    place: Place, kind: str, name: str, use: Callable[[Place], None]
) -> None:
    (place.outside / DIGEST[:2]).mkdir()
    shutil.copy2(place.outside / DIGEST, place.outside / DIGEST[:2])
    place.before = place.seen()
    place.fill()
    place.plant(name, kind, place.outside / DIGEST if name.endswith(f"/{DIGEST}") else None)
    with suppress(StorageError):
        use(place)
    assert place.unchanged()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize(
    "name",
    ["blobs/tree", f"blobs/tree/{TREE}", f"blobs/tree/{TREE}/sub", f"blobs/tree/{TREE}/sub/file"],
    ids=["trees", "tree", "folder in it", "file in it"],
)
def test_a_folder_is_never_given_from_behind_a_link(
    place: Place, kind: str, name: str, verified: bool
) -> None:
    place.fill()
    for inside in (f"blobs/tree/{TREE}", f"blobs/tree/{TREE}/sub"):
        (place.root / inside).chmod(0o700)
    (place.outside / TREE).mkdir()
    shutil.copytree(place.outside / "sub", place.outside / TREE / "sub")
    place.before = place.seen()
    place.plant(
        name,
        kind,
        {"sub": place.outside / "sub", "file": place.outside / "file"}.get(name.rpartition("/")[2]),
    )
    with suppress(StorageError):
        given = FileArtifacts(place.root).open(FOLDER, verified=verified)
        assert isinstance(given, Path)
        # Without a check, nothing looks into the folder.
        if not verified or name.endswith(("tree", TREE)):
            assert (given / "sub" / "file").stat().st_uid == os.geteuid()
            assert (given / "sub" / "file").resolve().is_relative_to(place.root)
    assert place.unchanged()


def test_a_folder_with_a_file_that_its_manifest_lacks_is_made_again(place: Place) -> None:
    place.fill()
    tree = place.root / "blobs" / "tree" / TREE
    (tree / "sub").chmod(0o700)
    (tree / "sub" / "sitecustomize.py").write_text("planted")
    given = FileArtifacts(place.root).open(FOLDER)
    assert given == tree
    assert [path.name for path in (tree / "sub").iterdir()] == ["file"]
    assert [path.name for path in (place.root / "blobs" / "tmp").iterdir()] == []


@pytest.mark.parametrize("artifact", [FILE, FOLDER], ids=["file", "folder"])
@pytest.mark.parametrize("what", ["link", "folder"])
def test_content_under_a_name_is_the_content_and_no_planted_link(
    place: Place, artifact: Artifact, what: str
) -> None:
    place.fill()
    named = f"blobs/tree/{artifact.digest}.named"
    if what == "link":
        place.plant(f"{named}/name", "a link", place.outside / "name")
    else:
        place.plant(named, "a link")
    with suppress(StorageError):
        given = place.artifacts.open(artifact, name="name")
        assert isinstance(given, Path)
        assert given.resolve().is_relative_to(place.root)
        assert given.name == "name"
    assert place.unchanged()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["runs", "runs/r1", "runs/r1/lock"])
def test_no_lease_is_taken_or_asked_for_behind_a_link(place: Place, kind: str, name: str) -> None:
    (place.root / "runs" / "r1").mkdir(parents=True)
    place.plant(name, kind, place.outside / "lock" if name.endswith("lock") else None)
    (place.outside / "r1" / "lock").write_text(str(os.getpid()))
    place.before = place.seen()
    leases = FileLeases(place.root, Layout(place.root).run)
    with pytest.raises(StorageError, match=kind), leases.take("r1"):
        pass
    with open(place.outside / "r1" / "lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert leases.holder("r1") == ""
        assert not leases.ask_to_stop("r1")
    assert place.unchanged()


def lock(place: Place) -> None:
    with platforms.PlatformLock(place.root) as held:
        held.announce(1, 1.0)


def token(place: Place) -> None:
    assert SECRET.decode() not in platforms.token(place.root, lambda begin: begin[::-1])


def find(place: Place) -> None:
    assert platforms.running(place.root) is None


def start(place: Place) -> None:
    platforms.start(place.root)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["platform", "platform/token", "platform/platform.json", "platform/lock", "platform/log"]
)
@pytest.mark.parametrize("use", [lock, token, find, start])
def test_no_file_of_the_platform_is_behind_a_link(
    place: Place, kind: str, name: str, use: Callable[[Place], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise FairwayError("a process would start")

    monkeypatch.setattr(platforms.subprocess, "Popen", started)
    place.plant(name, kind, place.outside / "platform.json" if "/" in name else None)
    with suppress(FairwayError):
        use(place)
    assert place.unchanged()


SPEC = {"revision": {"endpoint": "churn", "number": 1}, "store": "x", "metrics": "x", "control": "x"}


def worker(place: Place) -> Path:
    return place.root / "endpoints" / "churn" / "r1" / "w1.json"


def read_spec(place: Place) -> None:
    assert workers.read_spec(worker(place)) is None
    assert place.planted is not None or worker(place) not in listening.worker_files(place.root)


def write_spec(place: Place) -> None:
    confined.write_below(str(place.root), str(worker(place)), b"{}")


def read_words(place: Place) -> None:
    assert workers.last_words(place.root, worker(place).with_suffix(".log")) == ""


def read_traceback(place: Place) -> None:
    assert workers.last_traceback(worker(place).with_suffix(".log")) == ""


def print_output(place: Place) -> None:
    lines: list[str] = []
    with suppress(StorageError):
        print_logs(place.root / "endpoints" / "churn", lambda _, line: lines.append(line), follow=False)
    assert lines == []


def forget(place: Place) -> None:
    workers.forget_beside(worker(place), log=True)


def clear(place: Place) -> None:
    listening.clear(place.root, "churn")


def clear_revision(place: Place) -> None:
    listening.clear(place.root, "churn", 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["endpoints", "endpoints/churn", "endpoints/churn/r1", "endpoints/churn/r1/w1.json",
                                  "endpoints/churn/r1/w1.log"])  # fmt: skip
@pytest.mark.parametrize(
    "use", [read_spec, write_spec, read_words, read_traceback, print_output, forget, clear, clear_revision]
)
def test_no_file_of_a_worker_is_behind_a_link(
    place: Place, kind: str, name: str, use: Callable[[Place], None]
) -> None:
    spec, log = json.dumps(SPEC), "Traceback (most recent call last):\nthesis\nerror: thesis\n"
    for path in place.outside.rglob("w1.*"):
        path.write_text(spec if path.suffix == ".json" else log)
    place.before = place.seen()
    assert msgspec.json.decode(spec)
    place.plant(name, kind, place.outside / name.rpartition("/")[2] if "w1" in name else None)
    if use is read_spec or not name.endswith(".json"):
        with suppress(StorageError):
            use(place)
    assert place.unchanged()

"""Stores that somebody else made: looked at as data, never used, until a person trusts them."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from forging import forge, pickled
from projects import Project

from fairway.formats import look
from fairway.spec.artifact import Artifact
from fairway.spec.errors import SerializationError, StorageError
from fairway.spec.run import StepResult
from fairway.stores import FileArtifacts, FileResults, Layout, copying
from fairway.stores.metadata import SqliteMetadata
from fairway.stores.ownership import ForeignStore

LOOKING = (
    ("runs",),
    ("show", "aaaa"),
    ("logs", "aaaa"),
    ("compare", "aaaa", "bbbb"),
    ("models",),
    ("models", "show", "churn:1"),
    ("endpoints",),
    ("gc",),
    ("trust", "--show"),
    (),
)
USING = (
    ("run", "project.py"),
    ("plan", "project.py"),
    ("resume", "cccc"),
    ("cancel", "cccc"),
    ("deploy", "churn"),
    ("up",),
    ("models", "alias", "churn", "champion", "1"),
    ("gc", "--delete"),
    ("backup", "copy"),
    ("doctor", "--rebuild"),
)
ONE = """
@fw.task
def one() -> int:
    return 1

@fw.pipeline
def main():
    return one()
"""


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """Where something leaves a file when it runs."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture
def shipped(project: Project, marks: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that came with a store which another user made, with modes as a private one has."""
    (project.folder / "evil.py").write_text(f"open({str(marks / 'import')!r}, 'w').close()\n")
    with monkeypatch.context() as other:
        other.setenv("XDG_STATE_HOME", str(project.folder / "of-another"))
        forge(project.folder / ".fairway", marks, str(project.folder / "evil.py"))
    project.write(ONE)
    return project


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_looking_at_a_foreign_store_says_so_and_runs_nothing(
    shipped: Project, marks: Path, words: tuple[str, ...]
) -> None:
    done = shipped.fairway(*words)
    assert "was sealed with another key" in done.stderr
    assert os.listdir(marks) == []


@pytest.mark.parametrize("words", USING, ids=" ".join)
def test_nothing_in_a_foreign_store_is_used(shipped: Project, marks: Path, words: tuple[str, ...]) -> None:
    before = sorted(path for path in (shipped.folder / ".fairway").rglob("*") if "-shm" not in path.name)
    done = shipped.fairway(*words, expect=1)
    assert "is not yours to use" in done.stderr
    assert "hint: `fairway trust`" in done.stderr
    assert os.listdir(marks) == []
    after = sorted(path for path in (shipped.folder / ".fairway").rglob("*") if "-shm" not in path.name)
    assert [path for path in after if path not in before and path.suffix != ".db-wal"] == []


def test_doctor_says_that_a_store_is_foreign(shipped: Project) -> None:
    found = json.loads(shipped.fairway("doctor", "--json", expect=1).stdout)
    owner = next(check for check in found if check["check"] == "owner")
    assert not owner["ok"]
    assert "fairway trust" in owner["hint"]


def test_trust_says_what_is_in_a_store_and_makes_it_ones_own(shipped: Project, marks: Path) -> None:
    found = json.loads(shipped.fairway("trust", "--json").stdout)
    assert found["trusted"]
    assert found["holds"]["code"] == ["churn:1"]
    assert found["holds"]["endpoints"] == ["churn"]
    assert found["holds"]["projects"] == [str(shipped.folder / "evil.py")]
    assert os.listdir(marks) == []
    shipped.fairway("run", "project.py")
    assert "yours" in shipped.fairway("trust").stderr
    assert shipped.fairway("doctor").returncode == 0


def test_looking_runs_nothing_in_ones_own_store_either(project: Project, marks: Path, tmp_path: Path) -> None:
    environment = project.environment
    os.makedirs(environment["HOME"])
    project.write(
        f"""
class Picture:
    def __reduce__(self):
        return exec, ("open({str(marks / "picture")!r}, 'w').close()",)

class Evaluation(Picture):
    pass

@fw.task
def judge() -> Evaluation:
    fw.show(Picture(), title="pic")
    return Evaluation()

@fw.pipeline
def main():
    judge()
"""
    )
    project.fairway("run", "project.py")
    project.fairway("run", "project.py")
    for path in marks.iterdir():
        path.unlink()
    runs = [run["name"] for run in json.loads(project.fairway("runs", "--json").stdout)]
    said = project.fairway("show", runs[0], "--save", str(tmp_path / "saved")).stderr
    assert "not shown: can run code" in said
    project.fairway("compare", *runs)
    assert os.listdir(marks) == []


def test_a_clone_of_ones_own_store_is_not_taken_for_it(project: Project) -> None:
    project.write(ONE)
    project.fairway("run", "project.py")
    for path in (project.folder / ".fairway").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.copytree(project.folder / ".fairway", project.folder / "clone")
    project.environment["FAIRWAY_HOME"] = str(project.folder / "clone")
    assert "came through a repository" in project.fairway("run", "project.py", expect=1).stderr


def test_a_private_copy_of_ones_own_store_goes_on(project: Project) -> None:
    project.write(ONE)
    project.fairway("run", "project.py")
    shutil.copytree(project.folder / ".fairway", project.folder / "copy")
    project.environment["FAIRWAY_HOME"] = str(project.folder / "copy")
    project.fairway("run", "project.py")
    assert len(json.loads(project.fairway("runs", "--json").stdout)) == 2


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A store of this user's, with forged content that this user's own key has sealed."""
    (tmp_path / "marks").mkdir()
    forge(tmp_path / "store", tmp_path / "marks", "/x/project.py")
    return tmp_path / "store"


CHANGES = (
    "UPDATE event SET body = replace(body, 'churn', 'other') WHERE seq = 3",
    "UPDATE event SET body = replace(body, 'cccc', 'dddd') WHERE seq = (SELECT max(seq) FROM event)",
    "DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)",
    "INSERT INTO event SELECT seq + 1, run, step, kind, time, who, body, hash FROM event ORDER BY seq DESC LIMIT 1",
    "DELETE FROM seal",
    "UPDATE seal SET mark = 'x'",
    "UPDATE seal SET seq = 'x', file = NULL",
    "CREATE TRIGGER later AFTER INSERT ON event BEGIN DELETE FROM event; END",
    "CREATE VIEW more AS SELECT 1",
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_that_was_changed_is_not_used(own: Path, tmp_path: Path, change: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(own, copy)
    with sqlite3.connect(copy / "fairway.db") as database:
        database.execute(change)
    database.close()
    with SqliteMetadata(Layout(copy)) as metadata:
        assert metadata.why_foreign()
        with pytest.raises(ForeignStore):
            metadata.append([])


def test_a_record_of_an_attempt_that_this_user_did_not_make_does_not_count(own: Path, tmp_path: Path) -> None:
    result = StepResult(run="cccc", step="train", attempt=1)
    elsewhere = FileResults(tmp_path / "nowhere")
    elsewhere.commit(result)
    path = "runs/cccc/results/train.1.json"
    (own / path).parent.mkdir(parents=True)
    shutil.copy(tmp_path / "nowhere" / path, own / path)
    assert elsewhere.read("cccc", "train", 1) == result
    assert FileResults(own).read("cccc", "train", 1) is None
    assert FileResults(own).commit(result)
    assert FileResults(own).read("cccc", "train", 1) == result


def test_a_folder_that_somebody_filled_is_no_place_for_a_store(tmp_path: Path) -> None:
    (tmp_path / ".fairway" / "platform").mkdir(parents=True)
    (tmp_path / ".fairway" / "platform" / "token").write_text("known")
    with pytest.raises(StorageError, match=r"holds platform but no store\.json"):
        Layout(tmp_path / ".fairway").prepare()


@pytest.mark.parametrize(
    "name", ["fairway.db", "fairway.db-wal", "commit.lock", "blobs", "blobs/tmp", "runs", "platform"]
)
def test_a_link_in_a_store_is_refused_and_not_followed(own: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    place = own / name
    if place.is_dir():
        shutil.rmtree(place)
        outside.mkdir()
        (outside / "kept").write_text("kept")
    else:
        place.unlink(missing_ok=True)
        outside.write_text("kept")
    place.symlink_to(outside)
    with pytest.raises(StorageError, match="a link"), SqliteMetadata(Layout(own)) as metadata:
        metadata.append([])
    assert (outside / "kept" if outside.is_dir() else outside).read_text() == "kept"


def test_sweeping_removes_nothing_behind_a_link(own: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "docs" / "thesis"
    thesis.parent.mkdir()
    thesis.write_text("thesis")
    os.utime(thesis, (1, 1))
    shutil.rmtree(own / "blobs" / "tmp")
    (own / "blobs" / "tmp").symlink_to(thesis.parent)
    with pytest.raises(StorageError, match="a link"):
        FileArtifacts(own).sweep((), older_than=0, dry=False)
    assert thesis.read_text() == "thesis"


def test_a_blob_that_is_a_link_is_not_read(own: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    artifacts = FileArtifacts(own)
    digest = artifacts.put_bytes(b"secret")
    path = own / "blobs" / digest[:2] / digest
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(StorageError, match="a link"):
        artifacts.open(Artifact(format="file", digest=digest, size=6))


@pytest.mark.parametrize(
    "part", ["../outside", "runs/../../outside", "platform/token", "blobs/tmp/x", "/etc/passwd"]
)
def test_a_backup_that_names_other_parts_is_refused(own: Path, tmp_path: Path, part: str) -> None:
    with SqliteMetadata(Layout(own)) as metadata:
        copying.backup(Layout(own), metadata, tmp_path / "backup")
    listed = json.loads((tmp_path / "backup" / "backup.json").read_text())
    listed["files"][part] = "0" * 64
    (tmp_path / "backup" / "backup.json").write_text(json.dumps(listed))
    with pytest.raises(StorageError, match="which no backup holds"):
        copying.restore(tmp_path / "backup", Layout(tmp_path / "restored"))
    assert not (tmp_path / "restored").exists()
    assert not (tmp_path / "outside").exists()


def test_a_backup_is_restored_by_digest_and_leaves_nothing_behind_when_it_is_damaged(
    own: Path, tmp_path: Path
) -> None:
    digest = FileArtifacts(own).put_bytes(b"content")
    with SqliteMetadata(Layout(own)) as metadata:
        copying.backup(Layout(own), metadata, tmp_path / "backup")
    (tmp_path / "backup" / "platform").mkdir()
    (tmp_path / "backup" / "platform" / "token").write_text("known")
    copying.restore(tmp_path / "backup", Layout(tmp_path / "restored"))
    assert not (tmp_path / "restored" / "platform" / "token").exists()
    with SqliteMetadata(Layout(tmp_path / "restored")) as metadata:
        assert metadata.why_foreign() == ""
        metadata.append([])
    blob = tmp_path / "backup" / "blobs" / digest[:2] / digest
    blob.chmod(0o600)
    blob.write_bytes(b"changed")
    with pytest.raises(StorageError, match="does not match its digest"):
        copying.restore(tmp_path / "backup", Layout(tmp_path / "again"))
    assert [path.name for path in (tmp_path / "again").iterdir()] == []


def test_resume_imports_no_file_outside_the_project(project: Project, marks: Path) -> None:
    evil = project.folder / "elsewhere" / "evil.py"
    evil.parent.mkdir()
    evil.write_text(f"open({str(marks / 'import')!r}, 'w').close()\n")
    inner = Project(project.folder / "inner")
    inner.folder.mkdir()
    inner.environment = {**project.environment, "XDG_STATE_HOME": os.environ.get("XDG_STATE_HOME", "")}
    inner.environment["HOME"] = os.environ["HOME"]
    forge(inner.folder / ".fairway", marks, str(evil))
    assert "lies outside the project" in inner.fairway("resume", "cccc", expect=2).stderr
    assert os.listdir(marks) == []


def test_a_picture_of_a_class_with_a_drawing_is_stored_as_the_drawing(
    project: Project, tmp_path: Path
) -> None:
    project.write(
        """
class Drawn:
    def _repr_svg_(self):
        return "<svg xmlns='http://www.w3.org/2000/svg'></svg>"

@fw.task
def draw() -> None:
    fw.show(Drawn(), title="pic")

@fw.pipeline
def main():
    draw()
"""
    )
    project.fairway("run", "project.py")
    project.fairway("show", "--save", str(tmp_path / "saved"))
    assert [path.suffix for path in (tmp_path / "saved").iterdir()] == [".svg"]


def test_a_forged_picture_is_refused_by_its_format(tmp_path: Path) -> None:

    artifact = pickled(tmp_path, "ran", "Figure")
    assert artifact.inline is not None
    with pytest.raises(SerializationError, match="can run code"):
        look(artifact.format, artifact.inline, artifact.kind)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE loose AS SELECT * FROM run; DROP TABLE run; ALTER TABLE loose RENAME TO run; UPDATE run SET started = 'x'",
        "CREATE TABLE loose AS SELECT * FROM event; DROP TABLE event; ALTER TABLE loose RENAME TO event; "
        "UPDATE event SET body = 7 WHERE seq = 2",
        "UPDATE event SET body = CAST(body AS TEXT) WHERE seq = 2",
    ],
    ids=["time", "body", "text"],
)
def test_a_foreign_log_with_other_kinds_of_values_is_refused_in_a_sentence(
    shipped: Project, change: str
) -> None:
    with sqlite3.connect(shipped.folder / ".fairway" / "fairway.db") as database:
        database.executescript(change)
    database.close()
    for words in (("show", "aaaa"), ("compare", "aaaa", "bbbb"), ("trust", "--show"), ("logs", "aaaa")):
        done = shipped.fairway(*words, expect=1)
        assert "holds what no Fairway writes" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text", [b"\xff", b'{"format":1,"id":"\xff"}', b"[" * 100_000], ids=["byte", "name", "deep"]
)
def test_a_record_of_a_store_that_is_no_json_is_refused_in_a_sentence(own: Path, text: bytes) -> None:
    (own / "store.json").write_bytes(text)
    with pytest.raises(StorageError, match="is damaged"):
        Layout(own).check()

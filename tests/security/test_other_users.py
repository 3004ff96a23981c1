"""What a second user of the machine can read, plant or block."""

import json
import os
import stat
from pathlib import Path

import pytest
from projects import Project
from stranger import UID, as_stranger, given_away, needs_one, readable

from fairway.spec.errors import StorageError
from fairway.stores import FileArtifacts, FileLogs, Layout, copying, ownkey, trusting
from fairway.stores.metadata import SqliteMetadata

ONE = """
@fw.task
def one() -> list[int]:
    print("one")
    return list(range(10000))

@fw.pipeline
def main():
    return one()
"""


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_every_file_of_a_run_is_the_users_alone_under_any_mask(project: Project, mask: int) -> None:
    project.write(ONE)
    root = project.folder / "given"
    root.mkdir(mode=0o755)
    project.environment["FAIRWAY_HOME"] = str(root)
    before = os.umask(mask)
    try:
        project.fairway("run", "project.py")
        project.fairway("backup", "copy")
        project.environment["FAIRWAY_HOME"] = str(project.folder / "again")
        project.fairway("restore", "copy")
    finally:
        os.umask(before)
    for place in (root, project.folder / "copy", project.folder / "again"):
        assert (place / "fairway.db").exists()
        assert readable(place) == []


def test_doctor_mends_modes(project: Project) -> None:
    project.write(ONE)
    project.fairway("run", "project.py")
    root = project.folder / ".fairway"
    (root / "fairway.db").chmod(0o644)
    (root / "runs").chmod(0o755)
    assert "fixed: others are kept out" in project.fairway("doctor").stdout
    assert readable(root) == []
    assert "only you can read it" in project.fairway("doctor").stdout


@needs_one
def test_another_user_reads_nothing_of_a_store_in_an_open_folder(open_place: Path) -> None:
    root = open_place / "store"
    root.mkdir(mode=0o755)
    layout = Layout(root)
    layout.prepare()
    with SqliteMetadata(layout) as metadata:
        metadata.append([])
    digest = FileArtifacts(root).put_bytes(b"content" * 100)
    FileLogs(root).append("r1", "s", 1, 1.0, b"line\n")
    for path in ("fairway.db", f"blobs/{digest[:2]}/{digest}", "runs/r1/logs/s.1.log", "store.json"):
        done = as_stranger("cat", str(root / path), home=open_place, folder=open_place)
        assert "Permission denied" in done.stderr


@needs_one
def test_a_store_of_another_user_is_refused_as_git_refuses_repositories(
    open_place: Path, project: Project
) -> None:
    made = as_stranger("sh", "-c", "mkdir .fairway && echo '{\"format\":1}' > .fairway/store.json && mkdir in",
                       home=open_place, folder=open_place)  # fmt: skip
    assert made.returncode == 0, made.stderr
    (open_place / "mine").mkdir()
    project.folder = open_place / "mine"
    project.write(ONE)
    for words in (("runs",), ("run", "project.py"), ("up",), ("trust",), ()):
        done = project.fairway(*words, expect=1)
        assert f"belongs to another user (id {UID})" in done.stderr
        assert "hint:" in done.stderr
    assert sorted(path.name for path in (open_place / ".fairway").iterdir()) == ["store.json"]


@needs_one
def test_a_taken_name_of_the_sockets_folder_keeps_nobody_from_serving(open_place: Path, monkeypatch) -> None:
    from fairway.local import listening

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(open_place))
    root = open_place / "store"
    root.mkdir(mode=0o700)
    taken = listening.sockets_folder(root)
    taken.rmdir()
    assert as_stranger("mkdir", str(taken), home=open_place, folder=open_place).returncode == 0
    found = listening.sockets_folder(root)
    assert found != taken
    assert found == listening.sockets_folder(root)
    assert found.stat().st_uid == os.geteuid()
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


@needs_one
def test_a_planted_cache_is_not_used(open_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairway.local import environments

    assert (
        as_stranger("mkdir", "-p", "fairway/environments", home=open_place, folder=open_place).returncode == 0
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(open_place))
    assert environments.cache_folder(Path("/x/.fairway")) == Path("/x/.fairway/cache")


@needs_one
@pytest.mark.parametrize("what", ["owner", "mode", "content"])
def test_a_planted_environment_is_not_complete(tmp_path: Path, what: str) -> None:
    from fairway.local import environments

    folder = tmp_path / "environment"
    (folder / "bin").mkdir(parents=True)
    for name in ("pyvenv.cfg", "requirements.txt", "needs.txt", "bin/python"):
        (folder / name).write_text(name)
    (folder / "complete").write_text(environments._digest(folder))  # pyright: ignore[reportPrivateUsage]
    folder.chmod(0o700)
    assert environments._complete(folder)  # pyright: ignore[reportPrivateUsage]
    if what == "owner":
        given_away(folder)
    elif what == "mode":
        folder.chmod(0o777)
    else:
        (folder / "requirements.txt").write_text("other")
    assert not environments._complete(folder)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("what", ["readable", "short", "link", "open folder"])
def test_a_key_that_is_not_this_users_alone_is_refused(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "state" / "fairway"
    key = ownkey.make(str(folder))
    assert len(key) == 32
    assert ownkey.make(str(folder)) == ownkey.read(str(folder)) == key
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    if what == "readable":
        (folder / "key").chmod(0o640)
    elif what == "short":
        (folder / "key").write_bytes(b"x")
    elif what == "link":
        (folder / "key").rename(tmp_path / "elsewhere")
        (folder / "key").symlink_to(tmp_path / "elsewhere")
    else:
        folder.chmod(0o777)
    with pytest.raises(StorageError, match="cannot be used"):
        ownkey.read(str(folder))


def test_a_backup_with_open_modes_is_restored_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store")
    layout.prepare()
    FileArtifacts(layout.root).put_bytes(b"content")
    with SqliteMetadata(layout) as metadata:
        metadata.append([])
        copying.backup(layout, metadata, tmp_path / "backup")
    for path in (tmp_path / "backup").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    copying.restore(tmp_path / "backup", Layout(tmp_path / "restored"))
    assert readable(tmp_path / "restored") == []
    assert list(trusting.open_to_others(str(tmp_path / "restored"))) == []
    assert json.loads((tmp_path / "restored" / "store.json").read_text())["format"] == 1

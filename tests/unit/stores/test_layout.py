"""Where things lie, and which directories are refused."""

import json
import os
import stat
import subprocess

import pytest

from fairway.spec.errors import StorageError, UsageError
from fairway.stores import Layout, layout
from fairway.stores.layout import filesystem, original_name, safe_name


def test_prepare_makes_everything(tmp_path):
    made = Layout(tmp_path / "deep" / ".fairway")
    made.prepare()
    made.prepare()
    assert (made.root / ".gitignore").read_text() == "*\n"
    assert json.loads((made.root / "store.json").read_text())["format"] == 1
    assert "Signature: 8a477f597d28d172789f06886806bc55" in (made.platform / "CACHEDIR.TAG").read_text()
    for folder in (
        made.root,
        made.blobs,
        made.temporary,
        made.trees,
        made.endpoints,
        made.platform,
        made.root / "runs",
    ):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(made.temporary.iterdir()) == []


def test_a_relative_root_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Layout(os.path.relpath(tmp_path / "store"))
    monkeypatch.chdir("/")
    assert made.root == tmp_path / "store"


def test_a_newer_format_is_refused(root):
    (root / "store.json").write_text('{"format": 2}')
    with pytest.raises(StorageError, match="newer Fairway") as caught:
        Layout(root).prepare()
    assert "`pip install" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": null}', '{"format": "x"}', "\0\0\0"])
def test_a_damaged_format_is_refused(root, text):
    (root / "store.json").write_text(text)
    with pytest.raises(StorageError, match="damaged") as caught:
        Layout(root).check()
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"])
def test_network_file_systems_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(layout, "filesystem", lambda path: kind)
    with pytest.raises(StorageError, match=f"network file system \\({kind}\\)"):
        Layout(tmp_path / "store").prepare()
    assert not (tmp_path / "store").exists()


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path, small_disk):
    disk = small_disk("1m")
    assert filesystem(disk / "not" / "there") == "tmpfs"
    (tmp_path / "link").symlink_to(disk)
    assert filesystem(tmp_path / "link" / "x") == "tmpfs"
    assert filesystem(tmp_path) != ""


def test_a_read_only_disk(small_disk):
    disk = small_disk("1m")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(StorageError, match="read-only file system") as caught:
        Layout(disk / ".fairway").prepare()
    assert "FAIRWAY_HOME" in caught.value.hint


def test_a_full_disk(small_disk):
    disk = small_disk("64k")
    with pytest.raises(OSError, match="space"):
        (disk / "filler").write_bytes(bytes(200_000))
    with pytest.raises(StorageError, match="disk full"):
        Layout(disk / ".fairway").prepare()
    (disk / "filler").unlink()
    Layout(disk / ".fairway").prepare()
    assert Layout(disk / ".fairway").check()


def test_no_permission(tmp_path, monkeypatch, faulty):
    """The user of a test may be root, to whom everything is permitted, so the refusal is made."""
    with (
        faulty.at_call(1, faulty.failing_with(13), names=("mkdir",)),
        pytest.raises(StorageError, match="no permission") as caught,
    ):
        Layout(tmp_path / "store").prepare()
    assert "ls -ld" in caught.value.hint


def test_a_file_in_the_place_of_the_store(tmp_path):
    (tmp_path / "store").write_text("")
    with pytest.raises(StorageError):
        Layout(tmp_path / "store").prepare()


@pytest.mark.parametrize(
    "name", ["train-2", "a.b", "..", ".", "a/b", "\\", "50%2F", "ünï 1", "a\nb", "x~1", "-"]
)
def test_names_come_back_and_stay_inside(name):
    safe = safe_name(name)
    assert os.path.basename(os.path.normpath(f"/x/{safe}")) == safe
    assert original_name(safe) == name


def test_names_do_not_collide():
    names = ["a/b", "a%2Fb", "a%252Fb", ".a", "%2Ea", "a~", "a"]
    assert len({safe_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["", "x" * 300, "ü" * 120])
def test_names_that_cannot_be(name):
    with pytest.raises(UsageError):
        safe_name(name)


def test_killed_while_preparing(tmp_path, faulty):
    number = 1
    while faulty.killed_at(number, Layout(tmp_path / f"s{number}").prepare):
        Layout(tmp_path / f"s{number}").prepare()
        assert Layout(tmp_path / f"s{number}").check()
        number += 1
    assert number > 10

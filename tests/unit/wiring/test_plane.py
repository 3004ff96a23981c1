"""The volume of a control plane: who owns what lies on it, and which volume is refused."""

import os
from pathlib import Path

import pytest

from fairway.spec.errors import StorageError
from fairway.stores import layout
from fairway.wiring import plane
from fairway.wiring.machine import LocalStores


@pytest.fixture(autouse=True)
def no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/nonexistent")


def modes(*paths: Path) -> list[str]:
    return [f"{path.lstat().st_mode & 0o777:o}" for path in paths]


def test_the_key_of_the_store_lies_beside_it_and_is_for_this_user_alone(tmp_path: Path) -> None:
    root = plane.prepare_volume(tmp_path)
    LocalStores(root).prepare().close()
    key = tmp_path / "state" / "fairway" / "key"
    assert root == tmp_path / "store"
    assert modes(root, key.parent, key) == ["700", "700", "600"]


def test_the_store_opens_again_after_the_volume_was_mounted_for_a_group(tmp_path: Path) -> None:
    LocalStores(plane.prepare_volume(tmp_path)).prepare().close()
    for folder, _, files in os.walk(tmp_path):
        os.chmod(folder, 0o2770)
        for file in files:
            path = Path(folder, file)
            path.chmod(path.stat().st_mode | 0o060)
    LocalStores(plane.prepare_volume(tmp_path)).prepare().close()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.s3fs", "fuse", "9p", "lustre", "ceph", "virtiofs"])
def test_a_volume_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(layout, "filesystem", lambda path: kind)
    with pytest.raises(StorageError, match=kind.replace(".", r"\.")) as caught:
        plane.prepare_volume(tmp_path)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", ""])
def test_a_volume_on_a_disk_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(layout, "filesystem", lambda path: kind)
    assert plane.prepare_volume(tmp_path).is_dir()


def test_a_volume_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plane.prepare_volume(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(StorageError, match="this process runs as 12345") as caught:
        plane.prepare_volume(tmp_path)
    assert "runAsUser" in caught.value.hint

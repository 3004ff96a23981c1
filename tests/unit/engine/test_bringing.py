"""Copies of stored content: by the kernel where it can, and by reading and writing where it cannot."""

import hashlib
import os
from pathlib import Path

import pytest

from fairway.engine import bringing
from fairway.spec.errors import CorruptArtifact, UsageError

SIZE = 3 * 2**20 + 17


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file whose pieces differ."""
    path = tmp_path / "source"
    path.write_bytes(os.urandom(SIZE))
    return path


def refuse(*_: object) -> int:
    raise OSError("this file system does not copy")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("refused", [(), ("copy_file_range",), ("copy_file_range", "sendfile")])
@pytest.mark.parametrize("pieces", [SIZE + 1, 1000, 2**20])
def test_each_way_of_copying_brings_every_byte(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...], pieces: int
) -> None:
    for name in refused:
        monkeypatch.setattr(os, name, refuse)
    for name in ("_PIECE", "_IN_KERNEL"):
        monkeypatch.setattr(bringing, name, pieces)
    bringing.copy(source, digest(source), tmp_path / "copy", check=True)
    assert digest(tmp_path / "copy") == digest(source)


def test_the_way_may_change_in_the_middle_of_a_file(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def a_piece(read: int, write: int, most: int) -> int:
        monkeypatch.setattr(os, "copy_file_range", refuse)
        data = os.read(read, 12345)
        return os.write(write, data)

    monkeypatch.setattr(os, "copy_file_range", a_piece)
    monkeypatch.setattr(bringing, "_IN_KERNEL", 100_000)
    bringing.copy(source, digest(source), tmp_path / "copy", check=True)
    assert digest(tmp_path / "copy") == digest(source)


@pytest.mark.parametrize("size", [0, 1, 4096])
def test_a_small_file_is_copied_as_a_large_one(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    bringing.copy(source, digest(source), tmp_path / "copy", check=True)
    assert digest(tmp_path / "copy") == digest(source)


@pytest.mark.skipif(
    not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev,
    reason="there is one file system",
)
def test_a_copy_between_two_file_systems_is_made_by_the_kernel(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Path("/dev/shm") / f"fairway-{os.getpid()}-{os.urandom(4).hex()}"
    monkeypatch.setattr(bringing, "_copied_here", refuse)
    try:
        bringing.copy(source, digest(source), target, check=True)
        assert digest(target) == digest(source)
    finally:
        target.unlink(missing_ok=True)


@pytest.mark.parametrize("refused", [(), ("copy_file_range", "sendfile")])
def test_content_that_becomes_shorter_leaves_no_copy(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...]
) -> None:
    for name in refused:
        monkeypatch.setattr(os, name, refuse)

    def shortened(read: int, write: int, most: int) -> int:
        os.truncate(source, 1000)
        return kernel(read, write, most)

    kernel = bringing._copied_in_kernel
    monkeypatch.setattr(bringing, "_copied_in_kernel", shortened)
    with pytest.raises(UsageError, match="shorter"):
        bringing.copy(source, digest(source), tmp_path / "copy", check=False)
    assert not (tmp_path / "copy").exists()


def test_content_that_does_not_match_its_digest_leaves_no_copy(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifact):
        bringing.copy(source, "0" * 64, tmp_path / "copy", check=True)
    assert not (tmp_path / "copy").exists()

"""What every platform promises about the upkeep of its store: in the same process, and over HTTP."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from grounds import Ground, Play

from fairway.ports.platform import Platform
from fairway.spec.errors import CorruptArtifact, FairwayError, NotFound, StorageError, UsageError
from fairway.spec.upkeep import DATABASE, Cleaning, Part, Snapshot
from fairway.wiring.backups import fetch


def ignored(here: int, whole: int) -> None: ...


async def finished(ground: Ground) -> str:
    """Carry out a run, and return its name."""
    run = await ground.platform.submit(ground.asked())
    async for _ in ground.platform.follow(run):
        pass
    return run


def test_content_that_nothing_refers_to_is_counted_and_then_removed(play: Play) -> None:
    async def work(ground: Ground) -> None:
        await finished(ground)
        lost = ground.stores.artifacts.put_bytes(b"nothing refers to this")
        path = ground.stores.root / "blobs" / lost[:2] / lost
        os.utime(path, (1, 1))
        counted = await ground.platform.clean(Cleaning(hours=1))
        assert (counted.blobs, counted.size, counted.deleted) == (1, 22, False)
        assert path.exists()
        removed = await ground.platform.clean(Cleaning(hours=1, delete=True))
        assert (removed.blobs, removed.deleted) == (1, True)
        assert not path.exists()

    play(work)


def test_content_stays_while_the_run_that_stored_it_is_at_work(play: Play, tmp_path: Path) -> None:
    async def work(ground: Ground) -> None:
        run = await ground.platform.submit(ground.asked("held", until=str(tmp_path / "go")))
        lost = ground.stores.artifacts.put_bytes(b"stored by the run")
        assert (await ground.platform.clean(Cleaning(hours=0, delete=True))).blobs == 0
        assert ground.stores.artifacts.exists(lost)
        (tmp_path / "go").touch()
        async for _ in ground.platform.follow(run):
            pass

    play(work)


def test_a_copy_of_a_store_is_restored_whole(
    play: Play, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, project = tmp_path / "copy", tmp_path_factory.mktemp("elsewhere")

    async def work(ground: Ground) -> None:
        run = await finished(ground)
        ground.stores.artifacts.put_bytes(b"nothing refers to this")
        size = await fetch(ground.platform, folder, ignored)
        assert size == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) - (
            (folder / "backup.json").stat().st_size
        )
        told = {}
        for words in (
            ("restore", str(folder)),
            ("show", run),
            ("logs", run),
            ("doctor", "--content"),
        ):
            environment = {key: value for key, value in os.environ.items() if not key.startswith("FAIRWAY_")}
            done = subprocess.run(
                [sys.executable, "-m", "fairway", *words],
                cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
            assert done.returncode == 0, (words, done.stdout + done.stderr)
            told[words[0]] = done.stdout
        assert "count" in told["show"]
        assert "line 2" in told["logs"]

    play(work)


def test_a_copy_holds_what_is_referred_to_and_nothing_else(play: Play, tmp_path: Path) -> None:
    async def work(ground: Ground) -> None:
        await finished(ground)
        lost = ground.stores.artifacts.put_bytes(b"nothing refers to this")
        snapshot = await ground.platform.snapshot()
        paths = [part.path for part in snapshot.parts]
        assert paths[0] == DATABASE
        assert f"blobs/{lost[:2]}/{lost}" not in paths
        assert any(path.startswith("blobs/") for path in paths)
        assert not [path for path in paths if "token" in path or "commit.lock" in path or "platform" in path]

    play(work)


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "runs/../../secret", "platform/token", "blobs/../../secret", ""]
)
def test_a_copy_gives_out_no_other_file(play: Play, path: str) -> None:
    async def work(ground: Ground) -> None:
        await finished(ground)
        snapshot = await ground.platform.snapshot()
        with pytest.raises(NotFound):
            await ground.platform.snapshot_piece(snapshot.name, path, 0)
        with pytest.raises(NotFound):
            await ground.platform.snapshot_piece("../../x", DATABASE, 0)

    play(work)


class Sender:
    """A platform that sends what a test says."""

    def __init__(self, parts: list[Part], content: bytes) -> None:
        self._parts, self._content = parts, content

    async def snapshot(self) -> Snapshot:
        return Snapshot(name="0" * 16, parts=self._parts)

    async def snapshot_piece(self, name: str, path: str, offset: int) -> bytes:
        return self._content[offset:]


@pytest.mark.parametrize(
    ("parts", "content", "error"),
    [
        ([Part(DATABASE, 3), Part("../planted", 3)], b"abc", StorageError),
        ([Part(DATABASE, 3), Part("/tmp/planted", 3)], b"abc", StorageError),
        ([Part("runs/r/results/x", 3)], b"abc", StorageError),
        ([Part(DATABASE, 3), Part(f"blobs/00/00{'0' * 62}", 3)], b"abc", CorruptArtifact),
        ([Part(DATABASE, 4)], b"abc", StorageError),
        ([], b"", StorageError),
    ],
    ids=["a path above", "an absolute path", "no log", "another digest", "too short", "nothing"],
)
def test_a_sender_that_lies_leaves_nothing(
    parts: list[Part], content: bytes, error: type[FairwayError], tmp_path: Path
) -> None:
    async def ask() -> None:
        platform: Platform = Sender(parts, content)  # type: ignore[assignment]
        await fetch(platform, tmp_path / "copy", ignored)

    with pytest.raises(error):
        asyncio.run(ask())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(UsageError, match="exists already"):
        asyncio.run(fetch(Sender([], b""), tmp_path, ignored))  # type: ignore[arg-type]
    assert (tmp_path / "mine").read_text() == "kept"

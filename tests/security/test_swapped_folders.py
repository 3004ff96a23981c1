"""Somebody swaps a folder of a store for a link and back while it is used: nothing outside is read, written or removed."""

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fairway.spec.errors import StorageError
from fairway.spec.run import StepResult
from fairway.stores import FileArtifacts, FileLogs, FileResults, Layout

ROUNDS = 300
OLD = time.time() - 10 * 86400


class Place:
    """A store, and a folder outside with files of the names that the store uses."""

    def __init__(self, folder: Path) -> None:
        self.root, self.outside = folder / "store", folder / "outside"
        Layout(self.root).prepare()
        self.outside.mkdir()

    def put_outside(self, name: str) -> None:
        (self.outside / name).write_text("1.0 thesis\n")
        os.utime(self.outside / name, (OLD, OLD))

    def seen(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.outside.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def swapping() -> Iterator[Callable[[Path, Path], None]]:
    """Swaps a folder for a link to another, and back, without pause, until the test ends."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def swap(folder: Path, outside: Path) -> None:
        aside, link = folder.with_name("aside"), folder.with_name("link")
        link.symlink_to(outside)
        made = itertools.count()

        def put(what: Path) -> None:
            """What was made in its place meanwhile goes to another name."""
            while True:
                try:
                    os.rename(what, folder)
                except OSError:
                    with contextlib.suppress(FileNotFoundError):
                        os.rename(folder, folder.with_name(f"made{next(made)}"))
                else:
                    return

        while not ended.is_set():
            os.rename(folder, aside)
            put(link)
            os.rename(folder, link)
            put(aside)

    def begin(folder: Path, outside: Path) -> None:
        threads.append(threading.Thread(target=swap, args=(folder, outside)))
        threads[-1].start()

    yield begin
    ended.set()
    for thread in threads:
        thread.join()


def test_no_record_of_a_step_goes_elsewhere(place: Place, swapping: Callable[[Path, Path], None]) -> None:
    FileResults(place.root).commit(StepResult(run="r1", step="first", attempt=1))
    swapping(place.root / "runs" / "r1" / "results", place.outside)
    for number in range(ROUNDS):
        with suppress(StorageError):
            FileResults(place.root).commit(StepResult(run="r1", step=f"s{number}", attempt=1))
    assert place.seen() == {}


def test_no_output_is_read_from_or_written_to_elsewhere(
    place: Place, swapping: Callable[[Path, Path], None]
) -> None:
    FileLogs(place.root).append("r1", "first", 1, 1.0, b"line\n")
    place.put_outside("first.1.log")
    before = place.seen()
    swapping(place.root / "runs" / "r1" / "logs", place.outside)
    for number in range(ROUNDS):
        with suppress(StorageError):
            logs = FileLogs(place.root)
            assert "thesis" not in str(logs.read("r1", "first", 1))
            logs.append("r1", f"s{number % 20}", 1, 1.0, b"line\n")
            logs.close("r1", f"s{number % 20}", 1)
    assert place.seen() == before


@pytest.mark.parametrize("folder", ["tmp", "ab"])
def test_a_sweep_removes_nothing_elsewhere(
    place: Place, swapping: Callable[[Path, Path], None], folder: str
) -> None:
    (place.root / "blobs" / "ab").mkdir(mode=0o700)
    for number in range(20):
        place.put_outside(f"ab{number:062x}")
    before = place.seen()
    swapping(place.root / "blobs" / folder, place.outside)
    for _ in range(ROUNDS):
        with suppress(StorageError):
            FileArtifacts(place.root).sweep([], older_than=0, dry=False)
    assert place.seen() == before


@pytest.mark.parametrize("folder", ["tmp", "ab"])
def test_a_sweep_stays_in_the_folder_that_it_has_looked_at(
    place: Place, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (place.root / "blobs" / "ab").mkdir(mode=0o700)
    place.put_outside(f"ab{0:062x}")
    before, target, listdir = place.seen(), place.root / "blobs" / folder, os.listdir

    def swapped_first(what: str | int) -> list[str]:
        if what == str(target) or (
            isinstance(what, int) and os.fstat(what).st_ino == os.lstat(target).st_ino
        ):
            os.rename(target, target.with_name("aside"))
            target.symlink_to(place.outside)
        return listdir(what)

    monkeypatch.setattr(os, "listdir", swapped_first)
    with suppress(StorageError):
        FileArtifacts(place.root).sweep([], older_than=0, dry=False)
    assert target.is_symlink()
    assert place.seen() == before

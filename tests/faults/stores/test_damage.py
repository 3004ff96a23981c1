"""Bits flipped, files cut short or gone: noticed, or without effect; and a backup brings everything back."""

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from diary import KINDS, Reader, acknowledged
from tracing import diary

from fairway.spec.errors import StorageError
from fairway.stores import FileArtifacts, Layout
from fairway.stores.metadata import SqliteMetadata

ALL = ",".join(KINDS)
LAST = 16
WRONG = ("other content", "is not as it was written", "was never written")
"""What is complained of when content came back that is not what was stored."""


class Store:
    """A store whose writer was killed after it had acknowledged some numbers: the log is still in two files."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / ".fairway"
        folder.mkdir()
        first = subprocess.run(diary(self.root, ALL, 1, 8), capture_output=True, text=True, check=True)
        child = subprocess.Popen(diary(self.root, ALL, 9, 10_000), stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        said = ""
        while f"event {LAST}\n" not in said:
            said += child.stdout.readline()
        child.kill()
        child.wait()
        self.known = acknowledged(first.stdout + said)

    def copy(self, folder: Path) -> Path:
        """The same, to be spoilt."""
        folder.mkdir()
        shutil.copytree(self.root, folder / ".fairway")
        return folder / ".fairway"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("damage") / "store")
    assert Reader(made.root).complaints(made.known) == []
    assert (made.root / "fairway.db-wal").stat().st_size > 0
    return made


def noticed(root: Path) -> list[str]:
    """What the checks of a store say, as `fairway doctor --content` does."""
    try:
        with SqliteMetadata(Layout(root)) as metadata:
            found = list(metadata.verify().problems)
    except StorageError as error:
        found = [error.message]
    return found + [digest for digest, damaged in FileArtifacts(root).damaged() if damaged]


def outcome(root: Path, known: list[tuple[str, int]]) -> str:
    """What came of a damage: noticed by a check, by whoever reads, without effect, or silent."""
    checked = noticed(root)
    try:
        complaints = Reader(root).complaints(known)
    except StorageError as error:
        return "noticed" if error.message else "silent"
    if checked:
        return "noticed"
    if any(word in why for why in complaints for word in WRONG):
        return "silent"
    lost = [why for why in complaints if why.startswith("event")]
    return "silent" if lost else "noticed when read" if complaints else "harmless"


def bits(root: Path, count: int, seed: int) -> Iterator[tuple[Path, int, int]]:
    """File, byte and bit, half of them in the database's files."""
    rng = random.Random(seed)
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    log = [path for path in files if path.name in ("fairway.db", "fairway.db-wal")]
    for number in range(count):
        path = rng.choice(log if number % 2 else files)
        yield path.relative_to(root), rng.randrange(path.stat().st_size), rng.randrange(8)


def flipped(store: Store, place: Path, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Flip one bit at a time."""
    seen: Counter[str] = Counter()
    silent: list[str] = []
    for number, (name, byte, bit) in enumerate(bits(store.root, count, seed)):
        root = store.copy(place / str(number))
        with open(root / name, "r+b") as file:
            os.fchmod(file.fileno(), 0o600)
            file.seek(byte)
            old = file.read(1)[0]
            file.seek(byte)
            file.write(bytes([old ^ 1 << bit]))
        came = outcome(root, store.known)
        seen[came] += 1
        if came == "silent":
            silent.append(f"seed {seed}: bit {bit} of byte {byte} of {name}")
        shutil.rmtree(root.parent)
    return seen, silent


def test_a_flipped_bit_is_noticed_or_harmless(store: Store, tmp_path: Path, full: bool, measured) -> None:
    count, seed = (300, 15) if full else (24, random.SystemRandom().randrange(10**6))
    seen, silent = flipped(store, tmp_path, count, seed)
    assert silent == []
    assert seen["noticed"] + seen["noticed when read"] > count // 4
    measured(
        "T15",
        "One bit flipped anywhere in a store, half of them in the log",
        goal="noticed, or without any effect",
        bits=count, noticed=seen["noticed"], noticed_when_read=seen["noticed when read"],
        harmless=seen["harmless"], silent=len(silent),
    )  # fmt: skip


def test_a_store_that_does_not_compare_is_found(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fairway.stores.folders.hash_of", lambda fd: Path(f"/proc/self/fd/{fd}").resolve().name
    )
    seen, silent = flipped(store, tmp_path, 80, 4)
    assert any("blobs" in one for one in silent), seen


def cut(store: Store, place: Path, count: int, seed: int) -> Counter[str]:
    """Cut one of the database's files short, at the front, in the middle or near the end; what came of it."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    for number in range(count):
        root = store.copy(place / f"cut{number}")
        path = root / ("fairway.db-wal" if number % 2 else "fairway.db")
        os.truncate(path, int(path.stat().st_size * (rng.random() if number > 1 else 0)))
        seen[outcome(root, store.known)] += 1
        shutil.rmtree(root.parent)
    return seen


def test_a_log_cut_short_is_noticed(store: Store, tmp_path: Path, full: bool, measured) -> None:
    count, seed = (100, 15) if full else (8, random.SystemRandom().randrange(10**6))
    seen = cut(store, tmp_path, count, seed)
    assert seen["silent"] == 0, f"seed {seed}: {seen}"
    assert seen["noticed"] + seen["noticed when read"] > count // 2
    measured(
        "T15-logs",
        "A file of the event log cut short anywhere, or its index (-shm) lost",
        goal="noticed, or nothing lost",
        cuts=count, noticed=seen["noticed"], noticed_when_read=seen["noticed when read"],
        harmless=seen["harmless"], silent=seen["silent"],
    )  # fmt: skip


def test_a_store_that_does_not_note_how_far_its_log_went_is_found(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairway.stores.chain.reaches", lambda connection, noted: "")
    assert cut(store, tmp_path, 8, 2)["silent"]


def test_a_lost_index_of_the_log_is_made_anew(store: Store, tmp_path: Path) -> None:
    root = store.copy(tmp_path / "lost")
    (root / "fairway.db-shm").unlink()
    assert outcome(root, store.known) == "harmless"


def test_tables_that_lie_are_noticed_and_made_anew(store: Store, tmp_path: Path) -> None:
    import sqlite3

    root = store.copy(tmp_path / "lies")
    with sqlite3.connect(root / "fairway.db") as database:
        database.execute("UPDATE run SET phase = 'Succeeded' WHERE name = 'r3'")
    assert noticed(root) == ["the table run does not agree with the log"]
    with SqliteMetadata(Layout(root)) as metadata:
        metadata.rebuild()
    assert noticed(root) == []


def restored(store: Store, place: Path, *, planted: bool = False) -> list[str]:
    """Back a store up while somebody writes to it, lose it, and restore it; what there is to complain of then.

    The planted mistake is the copy that a person makes who knows of one file only.
    """
    root = store.copy(place / "kept")

    def fairway(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            capture_output=True, text=True, check=False, timeout=240, cwd=place,
            env={**os.environ, "FAIRWAY_HOME": str(root)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    going_on = subprocess.Popen(diary(root, ALL, 100, 100_000), stdout=subprocess.DEVNULL)
    if planted:
        shutil.copytree(
            root, place / "backup", ignore=lambda _, names: {n for n in names if n[-4:] in ("-wal", "-shm")}
        )
    else:
        fairway("backup", str(place / "backup"))
    going_on.kill()
    going_on.wait()
    shutil.rmtree(root)
    fairway("restore", str(place / "backup"))
    said = [] if "log and tables agree" in fairway("doctor", "--content") else ["doctor does not agree"]
    return [*Reader(root).complaints(store.known), *noticed(root), *said]


def test_a_backup_made_meanwhile_brings_everything_back(
    store: Store, tmp_path: Path, full: bool, measured
) -> None:
    rounds = 20 if full else 1
    lost: list[str] = []
    for number in range(rounds):
        (tmp_path / str(number)).mkdir()
        lost += restored(store, tmp_path / str(number))
    assert lost == []
    measured(
        "T15-backup",
        "`fairway backup` while somebody writes, the store lost, `fairway restore`",
        goal="all that was acknowledged before the backup is there, log and tables agree",
        restored=rounds, lost=len(lost),
    )  # fmt: skip


def test_a_backup_that_leaves_out_a_file_is_found(store: Store, tmp_path: Path) -> None:
    try:
        found = restored(store, tmp_path, planted=True)
    except AssertionError as refused:
        found = [str(refused)]
    assert found

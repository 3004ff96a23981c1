"""Stores of a stranger, mutated at random: whatever a command meets in one, nothing runs, goes, or is opened outside."""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from forging import forge
from projects import Project

from fairway.cli.main import main

COMMANDS = (
    ("runs",),
    ("show", "aaaa", "--save", "saved"),
    ("logs", "aaaa"),
    ("compare", "aaaa", "bbbb"),
    ("models", "show", "churn:1"),
    ("endpoints",),
    ("trust", "--show"),
    ("doctor",),
    ("gc", "--delete", "--older-than", "0"),
    ("resume", "cccc"),
    ("deploy", "churn"),
    ("backup", "copied"),
)
TOUCHED = ("fairway.db", "store.json", "commit.lock", "runs/aaaa/logs/order", "runs/aaaa/logs/evaluate.1.log")
LINKED = (
    "fairway.db", "fairway.db-wal", "fairway.db-shm", "commit.lock", "store.json", "blobs", "blobs/tmp", "blobs/tree", "runs",
    "runs/aaaa", "runs/aaaa/lock", "runs/aaaa/logs", "runs/aaaa/logs/order", "endpoints", "endpoints/churn",
    "endpoints/churn/r1/w1.json", "platform", "platform/token", "platform/log", "platform/platform.json",
)  # fmt: skip
LOOSE = (
    "CREATE TABLE loose AS SELECT * FROM {table}; DROP TABLE {table}; ALTER TABLE loose RENAME TO {table};"
)
"""Takes away what the columns of a table are bound to hold."""

SQL = (
    "UPDATE event SET body = CAST(replace(body, 'pickle', '{word}') AS BLOB)",
    "UPDATE event SET body = CAST(replace(body, '{word}', 'pickle') AS BLOB)",
    "UPDATE event SET body = substr(body, 1, {number})",
    "UPDATE event SET body = CAST(body AS TEXT) WHERE seq % 4 = {number} % 4",
    LOOSE.replace("{table}", "event") + "UPDATE event SET body = {number} WHERE seq = {number} % 30",
    LOOSE.replace("{table}", "event") + "UPDATE event SET body = NULL WHERE seq = {number} % 30",
    LOOSE.replace("{table}", "event")
    + "UPDATE event SET run = {number}, step = NULL WHERE seq = {number} % 30",
    LOOSE.replace("{table}", "event")
    + "UPDATE event SET time = '{word}', who = {number} WHERE seq = {number} % 30",
    LOOSE.replace("{table}", "run") + "UPDATE run SET name = x'00', pipeline = {number}, started = '{word}'",
    LOOSE.replace("{table}", "step") + "UPDATE step SET name = NULL, task = {number}",
    "UPDATE event SET run = '../../outside', step = '../x'",
    "UPDATE event SET time = {number}e300, seq = seq + {number}",
    "UPDATE event SET kind = x'ff', who = x'00'",
    "UPDATE run SET name = '../../outside' WHERE name = 'aaaa'",
    "DELETE FROM model_version",
    "UPDATE model_version SET seq = {number} % 20",
    "CREATE TRIGGER t{number} AFTER DELETE ON event BEGIN DELETE FROM run; END",
    "CREATE TABLE IF NOT EXISTS seal(one, seq, file, mark)",
    "INSERT INTO seal VALUES(1, {number}, {number}, '{word}')",
    "PRAGMA user_version = {number}",
)


class Place:
    """A store of a stranger, and beside it what must stay as it is."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.marks, self.outside = folder, folder / "marks", folder / "outside"
        self.marks.mkdir()
        self.outside.mkdir()
        (self.outside / "thesis").write_text("thesis")
        os.utime(self.outside / "thesis", (1, 1))
        (self.outside / "evil.py").write_text(f"open({str(self.marks / 'import')!r}, 'w').close()\n")
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "other"))
        forge(folder / "pristine", self.marks, str(self.outside / "evil.py"))
        for name, text in (("order", "evaluate.1\n"), ("evaluate.1.log", "1.0 line\n")):
            path = folder / "pristine" / "runs" / "aaaa" / "logs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (folder / "pristine" / "endpoints" / "churn" / "r1").mkdir(parents=True)
        control = json.dumps({"revision": {"endpoint": "churn", "number": 1}, "store": "x", "metrics": "x",
                              "control": str(self.outside / "thesis")})  # fmt: skip
        (folder / "pristine" / "endpoints" / "churn" / "r1" / "w1.json").write_text(control)
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "mine"))
        monkeypatch.setenv("HOME", str(folder / "home"))
        self.store = folder / "work" / ".fairway"
        self.store.parent.mkdir()
        monkeypatch.chdir(self.store.parent)
        self.before = self.seen()

    def seen(self) -> dict[str, tuple[int, str]]:
        """Everything outside the store."""
        return {
            path.name: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in self.outside.iterdir()
        }

    def mutated(self, dice: random.Random) -> None:
        """The store anew, with some changes."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.folder / "pristine", self.store)
        for _ in range(dice.randint(1, 3)):
            with suppress(OSError, sqlite3.Error, UnicodeError):
                dice.choice(CHANGES)(self, dice)

    def inside(self, name: str, *, itself: bool = False) -> Path:
        """A place in the store. Raises OSError for one that an earlier change leads outside, or made into a pipe.

        Args:
            itself: whether it is to be replaced, so that it may be a link.
        """
        path = self.store / name
        for place in (*([] if itself else [path]), *path.parents):
            if place == self.store:
                break
            if place.is_symlink():
                raise OSError(f"{place} is a link")
        if not itself and path.exists() and not path.is_file():
            raise OSError(f"{path} is no file")
        return path

    def bytes_changed(self, dice: random.Random) -> None:
        path = self.inside(dice.choice(TOUCHED))
        data = bytearray(path.read_bytes())
        for _ in range(dice.choice((1, 4, 64))):
            if data:
                data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(bytes(data[: dice.choice((len(data), dice.randrange(len(data) + 1)))]))

    def linked(self, dice: random.Random) -> None:
        path = self.inside(dice.choice(LINKED), itself=True)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = dice.randrange(4)
        if kind == 0:
            os.mkfifo(path)
        elif kind == 1:
            path.symlink_to(self.outside / "thesis")
        else:
            path.symlink_to(self.outside)

    def told_otherwise(self, dice: random.Random) -> None:
        with sqlite3.connect(self.inside("fairway.db")) as database:
            word = dice.choice(("json", "skops", "keras", "torchscript", "bundle", "arrow", "npy", "folder"))
            database.executescript(dice.choice(SQL).format(number=dice.randrange(400), word=word))
        database.close()

    def described_otherwise(self, dice: random.Random) -> None:
        text = dice.choice(
            ('{"format":1}', "\udcff", '{"format":1,"id":"\udcff"}', "[" * 100_000,
             '{"format":1,"id":"x","adopted":true,"seal":"y"}', '{"format":9}', "[]", "\0")
        )  # fmt: skip
        self.inside("store.json").write_bytes(text.encode("utf-8", "surrogateescape"))


CHANGES: tuple[Callable[[Place, random.Random], None], ...] = (
    Place.bytes_changed, Place.linked, Place.linked, Place.told_otherwise, Place.told_otherwise, Place.described_otherwise,
)  # fmt: skip


def test_no_mutated_store_runs_removes_or_opens_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, monkeypatch)
    opened: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open" and str(arguments[0]).startswith(str(place.outside)):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    crashed: dict[str, str] = {}
    for seed in range(10_000 if full else 150):
        watching = False
        place.mutated(random.Random(seed))
        watching = True
        for words in COMMANDS:
            try:
                assert main(list(words)) in (0, 1, 2, 3, 4, 5)
            except Exception as error:
                crashed[f"{words[0]}: {type(error).__name__}"] = f"{seed}: {error}"
        watching = False
        capfd.readouterr()
        assert opened == [], f"store {seed}"
        assert os.listdir(place.marks) == [], f"store {seed}"
        assert place.seen() == place.before, f"store {seed}"
        shutil.rmtree(place.store.parent / "copied", ignore_errors=True)
    assert not crashed, "\n".join(f"{where} in {what}" for where, what in crashed.items())


def test_tables_that_disagree_with_their_indexes_are_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An index gave NULL for the name of a model, which no table holds."""
    place = Place(tmp_path, monkeypatch)
    place.mutated(random.Random(1008))
    assert main(["deploy", "churn"]) == 1
    assert "error: " in capfd.readouterr().err


def test_fresh_processes_find_the_same(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "place", monkeypatch) if (tmp_path / "place").mkdir() is None else None
    assert place is not None
    project.folder = place.store.parent
    for seed in (1, 2, 3):
        place.mutated(random.Random(seed))
        for words in (("runs",), ("compare", "aaaa", "bbbb"), ("up",)):
            project.fairway(*words, expect=None)
        assert os.listdir(place.marks) == []
        assert place.seen() == place.before

"""Stores that earlier versions wrote: each is opened whole, gone on with, and a newer one is refused unharmed."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recording import RECORDED

from fairway import formats
from fairway.spec.event import Event, RunStarted, StepEnded
from fairway.spec.run import Phase, RunSpec
from fairway.stores import FileArtifacts, FileLogs, Layout, chain, schema, trusting
from fairway.stores.metadata import SqliteMetadata
from fairway.stores.schema import VERSION

STORES = sorted(RECORDED.glob("fairway-*.tar.xz"))


@pytest.fixture(params=STORES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project folder as that version left it."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "example"


Fairway = Callable[..., str]


@pytest.fixture
def fairway(example: Path) -> Fairway:
    """The real command line there."""

    def run(*words: str, code: int = 0) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FAIRWAY_")}
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            cwd=example, env=environment, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def content_of(root: Path) -> dict[str, str]:
    """Digest of every file."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_there_is_a_recording() -> None:
    assert STORES, "make one: python tests/faults/stores/recording.py"


def test_every_event_and_every_artifact_of_it_is_read(example: Path) -> None:
    root = example / ".fairway"
    artifacts, logs = FileArtifacts(root), FileLogs(root)
    with SqliteMetadata(Layout(root)) as metadata:
        assert metadata.verify().problems == ()
        events = list(metadata.events())
        assert len(events) == metadata.verify().events > 50
        outputs = [
            artifact
            for event in events
            if isinstance(event.body, StepEnded)
            for artifact in event.body.outputs
        ]
        values = [
            formats.decode(artifact.format, artifacts.open(artifact), artifact.kind)
            for artifact in outputs
            if artifact.format != "folder" and "project" not in artifact.kind
        ]
        assert len(values) > 10
        phases = [run.phase for run in metadata.runs()]
        assert sorted(phases) == [Phase.FAILED, Phase.SUCCEEDED, Phase.SUCCEEDED]
        newest = metadata.run_names()[-1]
        assert {where[0] for where in logs.attempts(newest)} >= {"arrays", "pipeline"}
        assert [version.version for version in metadata.versions("line")] == [1, 2]
        assert metadata.aliases("line") == {"line@champion": 2, "line@first": 1}
        assert [status.name for status in metadata.endpoints()] == ["double", "line"]
        assert [digest for digest, damaged in artifacts.damaged() if damaged] == []


def test_an_event_that_this_version_cannot_read_is_found(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of a recording, against a version that has forgotten a kind of event."""
    root = example / ".fairway"
    monkeypatch.setattr("fairway.stores.schema.decode", lambda data: None)
    with SqliteMetadata(Layout(root)) as metadata:
        assert len(list(metadata.events())) < metadata.verify().events


def test_its_tables_are_what_this_version_derives(example: Path, measured) -> None:
    root = example / ".fairway"
    trusting.trust(Layout(root))
    with SqliteMetadata(Layout(root)) as metadata:
        before = (metadata.runs(), metadata.models(), metadata.endpoints(), metadata.aliases())
        metadata.rebuild()
        assert (metadata.runs(), metadata.models(), metadata.endpoints(), metadata.aliases()) == before
        events = metadata.verify().events
    measured(
        "T34",
        "A store recorded by a released version, opened by this one",
        goal="every event and artifact read, equal tables, runs go on, a newer one refused unharmed",
        events=events, recordings=len(STORES),
    )  # fmt: skip


def test_commands_show_it_and_runs_go_on_from_its_cache(example: Path, fairway: Fairway) -> None:
    pytest.importorskip("sklearn")
    # An unpacked archive is not known as a store that was made here, so a person trusts it first.
    assert "has no seal" in fairway("run", "project.py:whole", code=1)
    assert "it is yours now" in fairway("trust")
    runs: list[dict[str, Any]] = json.loads(fairway("runs", "--json"))
    assert len(runs) == 3
    for run in runs:
        assert run["pipeline"] in fairway("show", run["name"])
        fairway("logs", run["name"])
    assert "line" in fairway("models")
    assert "onnx" in fairway("models", "show", "line")
    said = fairway("run", "project.py:whole", "--explain")
    # Keys of that version do not say which packages the code can reach, so its cached steps run once more.
    assert "ran: the packages that its code can reach are known now" in said, "it does not say why it ran"
    assert "line version 3" in said
    failed = next(run["name"] for run in runs if run["phase"] == "Failed")
    assert "as wanted" in fairway("resume", failed, code=1)
    assert "log and tables agree" in fairway("doctor", "--content")


def test_a_store_that_an_earlier_version_made_here_goes_on_by_itself(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files were born with its first event, before this user had a key."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    store = tmp_path / "mine"
    store.mkdir(mode=0o700)
    fd = os.open(store / "store.json", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, b'{"format":1}')
    os.close(fd)
    event = Event(
        body=RunStarted(RunSpec(name="aaaa", pipeline="p", project="/x.py")), run="aaaa", time=time.time()
    )
    with sqlite3.connect(store / "fairway.db") as database:
        for statement in schema.LOG.split(";"):
            database.execute(statement)
        chain.rebuild(database)
        chain.append(database, [event])
        database.execute(f"PRAGMA user_version = {VERSION}")
    database.close()
    with SqliteMetadata(Layout(store)) as metadata:
        assert metadata.why_foreign() == ""
    shutil.copytree(store, tmp_path / "later")
    with sqlite3.connect(tmp_path / "later" / "fairway.db") as database:
        database.execute("UPDATE event SET time = time - 3600")
    database.close()
    with SqliteMetadata(Layout(tmp_path / "later")) as metadata:
        assert "has no seal" in metadata.why_foreign()
    with SqliteMetadata(Layout(store)) as metadata:
        metadata.append([])
    assert json.loads((store / "store.json").read_text())["adopted"]
    # The key is older than the file that was replaced when the store was taken over: clocks tick while that happens.
    again = store / "again.json"
    again.write_bytes((store / "store.json").read_bytes())
    again.chmod(0o600)
    wait_for_the_clock(again)
    again.replace(store / "store.json")
    with SqliteMetadata(Layout(store)) as metadata:
        assert metadata.why_foreign() == ""


def wait_for_the_clock(path: Path) -> None:
    """Write a file anew until the clock of files has moved on."""
    before, content = path.stat().st_mtime_ns, path.read_bytes()
    while path.stat().st_mtime_ns == before:
        path.unlink()
        path.write_bytes(content)
        path.chmod(0o600)


def test_a_store_of_a_newer_version_is_refused_and_left_alone(example: Path, fairway: Fairway) -> None:
    with sqlite3.connect(example / ".fairway" / "fairway.db") as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    database.close()
    before = content_of(example / ".fairway")
    for words in (
        ("runs",),
        ("run", "project.py:whole"),
        ("models",),
        ("doctor", "--rebuild"),
        ("gc", "--delete"),
    ):
        said = fairway(*words, code=1)
        assert "newer" in said
        assert "hint:" in said
    after = content_of(example / ".fairway")
    assert {name: after.get(name) for name in before if "-shm" not in name} == {
        name: digest for name, digest in before.items() if "-shm" not in name
    }

"""Several processes have one database open: what one of them was told is kept is there for all others, whoever closes first."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fairway import confined
from fairway.spec.event import Event, RunStarted
from fairway.spec.run import RunSpec
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata

OTHER = """
import sys
from pathlib import Path
from fairway.spec.event import Event, RunStarted
from fairway.spec.run import RunSpec
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata

metadata = SqliteMetadata(Layout(Path(sys.argv[1])))
metadata.append([Event(body=RunStarted(RunSpec(name=sys.argv[2], pipeline="p", project="/p.py")), run=sys.argv[2])])
print(*metadata.run_names())
metadata.close()
"""


def other(root: Path, run: str) -> set[str]:
    """Have another process record a run and close the database; returns the runs that it saw."""
    done = subprocess.run(
        [sys.executable, "-c", OTHER, root, run], capture_output=True, text=True, timeout=240, check=True
    )
    return set(done.stdout.split())


def start(run: str) -> Event:
    return Event(body=RunStarted(RunSpec(name=run, pipeline="p", project="/p.py")), run=run)


def test_a_process_that_reads_and_then_writes_keeps_one_log_with_all_others(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store")
    layout.prepare()
    other(layout.root, "r1")
    with SqliteMetadata(layout) as metadata:
        assert metadata.run_names() == ["r1"]
        metadata.append([start("r2")])
        assert other(layout.root, "r3") == {"r1", "r2", "r3"}
        metadata.append([start("r4")])
        assert set(metadata.run_names()) == {"r1", "r2", "r3", "r4"}
        assert other(layout.root, "r5") == {"r1", "r2", "r3", "r4", "r5"}
        metadata.append([start("r6")])
    assert other(layout.root, "r7") == {f"r{number}" for number in range(1, 8)}


@pytest.fixture
def together(tmp_path: Path) -> tuple[SqliteMetadata, SqliteMetadata]:
    """One store, opened twice, as by two processes."""
    layout = Layout(tmp_path / "store")
    layout.prepare()
    return SqliteMetadata(layout), SqliteMetadata(layout)


@pytest.mark.parametrize("begun", [False, True])
def test_a_log_that_is_made_while_somebody_looks_for_it_is_not_taken_for_lost(
    together: tuple[SqliteMetadata, SqliteMetadata],
    tmp_path: Path,
    begun: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = together
    if begun:
        (tmp_path / "store" / "fairway.db").touch(0o600)
    read, written = confined.read, list[int]()

    def read_later(path: str) -> bytes:
        if path.endswith("commit.lock") and not written:
            written.append(1)
            writer.append([start("r1")])
        return read(path)

    # The other one has made the log by the time at which this one, which saw none, asks how far it goes.
    monkeypatch.setattr(confined, "read", read_later)
    assert reader.run_names() == ["r1"]
    assert reader.why_foreign() == ""
    for one in together:
        one.close()


def test_a_log_that_grows_while_its_seal_is_checked_is_still_ones_own(
    together: tuple[SqliteMetadata, SqliteMetadata],
) -> None:
    reader, writer = together
    writer.append([start("r0")])
    questions = 0

    def write_before(question: str) -> None:
        nonlocal questions
        if question.startswith("SELECT"):
            questions += 1
            writer.append([start(f"r{questions}")])

    with reader._readers.reading() as connection:
        assert connection is not None
        connection.set_trace_callback(write_before)
    assert reader.why_foreign() == ""
    assert questions >= 3
    for one in together:
        one.close()


def record_a_run(root: Path, run: str, pause: float) -> None:
    """Do what a command does that starts a run: make the store, see whose it is, record the run."""
    time.sleep(pause)
    layout = Layout(root)
    layout.prepare()
    with SqliteMetadata(layout) as metadata:
        metadata.require_own()
        metadata.submit([])
        metadata.run_names()
        metadata.append([start(run)])
        metadata.require_own()


def in_a_process(work: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    return pid


def test_many_that_begin_in_a_new_place_at_once_all_leave_their_record(
    tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random()
    for number in range(400 if full else 25):
        root = tmp_path / f"place{number}" / ".fairway"
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / f"keys{number}"))
        runs = [f"r{place}" for place in range(6)]
        begun = [in_a_process(partial(record_a_run, root, run, rng.random() * 0.012)) for run in runs]
        assert [os.waitpid(pid, 0)[1] for pid in begun] == [0] * len(runs)
        with SqliteMetadata(Layout(root)) as metadata:
            assert sorted(metadata.run_names()) == runs
            assert metadata.verify().problems == ()

"""The event log in SQLite: what was confirmed is there, what is derived follows, and damage is seen."""

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from life import a_life, blob, called, started, tables

from fairway.spec.errors import GateRefused, StorageError
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    Event,
    RunEnded,
    StepEnded,
)
from fairway.spec.model import Candidate, Lineage
from fairway.spec.run import Phase, StepResult
from fairway.stores import Layout, schema
from fairway.stores.connections import explain_sqlite
from fairway.stores.faults import DiskFailed, DiskFull
from fairway.stores.metadata import SqliteMetadata

KILLED = """
import sys
from pathlib import Path
from fairway.spec.event import Event, MetricsLogged
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata
store = SqliteMetadata(Layout(Path(sys.argv[1])))
number = 0
while True:
    number += 1
    names = [f"{sys.argv[2]}-{number}-{n}" for n in range(3)]
    futures = [store.submit([Event(body=MetricsLogged(()), step=name)]) for name in names]
    print(futures[-1].result(), futures[0].result(), flush=True)
"""


@pytest.fixture
def store(root):
    with SqliteMetadata(Layout(root)) as opened:
        yield opened


@pytest.mark.parametrize("seed", range(3))
def test_replaying_the_log_gives_the_same_tables(root, store, seed):
    a_life(store, seed)
    before = tables(root)
    assert all(before.values())
    assert store.rebuild() > 200
    assert tables(root) == before
    store.append([called("later", f"{seed}-0")])
    assert store.verify().problems == ()


def test_tables_lost_or_damaged_are_made_anew(root, store):
    a_life(store, 1)
    before = tables(root)
    with sqlite3.connect(Layout(root).database) as db:
        db.execute("DELETE FROM step")
        db.execute("DROP TABLE cache")
        db.execute("UPDATE alias SET version = 99")
    store.rebuild()
    assert tables(root) == before


def test_an_older_schema_is_brought_up_to_date(root):
    with SqliteMetadata(Layout(root)) as store:
        a_life(store, 1)
    before = tables(root)
    with sqlite3.connect(Layout(root).database) as db:
        for table in schema.TABLES:
            db.execute(f"DROP TABLE {table}")
        db.execute("CREATE TABLE run(other TEXT)")
        db.execute("PRAGMA user_version = 0")
    with SqliteMetadata(Layout(root)) as store:
        assert store.runs() == []
        store.append([])
        assert tables(root) == before
        assert len(store.runs()) == 4


def test_a_newer_schema_is_refused(root):
    with SqliteMetadata(Layout(root)) as store:
        store.append([started()])
    with sqlite3.connect(Layout(root).database) as db:
        db.execute("PRAGMA user_version = 99")
    with SqliteMetadata(Layout(root)) as store:
        for ask in (store.runs, lambda: store.append([called("a")])):
            with pytest.raises(StorageError, match="newer Fairway"):
                ask()


def test_events_of_a_newer_fairway_are_kept_and_passed_over(root, store):
    store.append([started()])
    with sqlite3.connect(Layout(root).database) as db:
        db.execute("UPDATE event SET body = ?, kind = 'run.praised'", (b'{"type":"run.praised"}',))
    store.append([started("r2")])
    assert [event.seq for event in store.events()] == [2]
    store.rebuild()
    assert [found.name for found in store.runs()] == ["r2"]


@pytest.mark.parametrize("column", ["seq", "run", "step", "kind", "time", "who", "body", "hash"])
def test_a_changed_event_is_seen(root, store, column):
    store.append([called(f"s{number}") for number in range(10)])
    assert store.verify().problems == ()
    value = {"seq": 50, "time": 2.0, "body": b"{}", "hash": bytes(32)}.get(column, "other")
    with sqlite3.connect(Layout(root).database) as db:
        db.execute(f"UPDATE event SET {column} = ? WHERE seq = 5", (value,))
    found = store.verify()
    assert found.problems
    assert "event" in found.problems[0]


def test_a_removed_event_is_seen(root, store):
    store.append([called(f"s{number}") for number in range(10)])
    with sqlite3.connect(Layout(root).database) as db:
        db.execute("DELETE FROM event WHERE seq = 5")
    assert "events 5 to 5 are missing" in store.verify().problems


def test_random_damage_is_seen_or_harmless(root, faulty):
    with SqliteMetadata(Layout(root)) as store:
        a_life(store, 1)
        log, runs = list(store.events()), store.runs()
    path = Layout(root).database
    good = path.read_bytes()
    seen = 0
    for seed in range(60):
        rng = random.Random(seed)
        damaged = bytearray(good)
        damaged[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with SqliteMetadata(Layout(root)) as store:
            problems = []
            error = faulty.refusal(
                lambda store=store, problems=problems: problems.extend(store.verify().problems)
            )
            if error is None and not problems:
                assert list(store.events()) == log
            else:
                seen += 1
                assert error is None or error.hint
    path.write_bytes(good)
    assert seen > 10
    with SqliteMetadata(Layout(root)) as store:
        assert store.runs() == runs


@pytest.mark.parametrize("content", [b"this is no database" * 500, bytes(5000)])
def test_a_foreign_file_in_its_place(root, content):
    Layout(root).database.write_bytes(content)
    with SqliteMetadata(Layout(root)) as store:
        for ask in (store.runs, lambda: store.append([started()])):
            with pytest.raises(StorageError) as caught:
                ask()
            assert "fairway doctor" in caught.value.hint


def test_what_was_confirmed_survives_a_kill(root):
    confirmed = 0
    for kill in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, root, str(kill)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(random.Random(kill).randrange(1, 30))]
            child.kill()
            lines += child.stdout.read().splitlines(keepends=True)
            confirmed = max([confirmed, *(int(line.split()[0]) for line in lines if line.endswith("\n"))])
        store = SqliteMetadata(Layout(root))
        events = list(store.events())
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert len(events) >= confirmed
        assert store.verify().problems == ()
        store.close()
    assert confirmed > 12


def test_two_processes_and_kills_keep_one_chain(root):
    children = [
        subprocess.Popen([sys.executable, "-c", KILLED, root, name], stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    lines = []
    for child in children:
        assert child.stdout is not None
        lines += [child.stdout.readline() for _ in range(40)]
    children[0].kill()
    assert children[1].stdout is not None
    lines += [children[1].stdout.readline() for _ in range(40)]
    children[1].kill()
    for child in children:
        child.communicate()
    with SqliteMetadata(Layout(root)) as store:
        by_seq = {event.seq: event for event in store.events()}
        assert sorted(by_seq) == list(range(1, len(by_seq) + 1))
        assert all(int(seq) in by_seq for line in lines for seq in line.split())
        for name in "ab":
            own = [event.step for event in by_seq.values() if event.step.startswith(f"{name}-")]
            assert own == sorted(own, key=lambda step: [int(part) for part in step.split("-")[1:]])
        assert store.verify().problems == ()


def test_a_full_disk_is_said_and_passes(small_disk, faulty):
    root = small_disk("4m") / "store"
    Layout(root).prepare()
    with SqliteMetadata(Layout(root)) as store:
        confirmed, refused = store.append([started()]), 0
        for amount in range(50):
            filler = root / "filler"
            _fill(filler, leave=amount * 3000)
            futures = [store.submit([called(f"s-{amount}-{number}")]) for number in range(30)]
            errors = [faulty.refusal(future.result) for future in futures]
            refused += sum(error is not None for error in errors)
            assert all(isinstance(error, DiskFull) for error in errors if error is not None)
            confirmed += sum(error is None for error in errors)
            assert [event.seq for event in store.events()] == list(range(1, confirmed + 1))
            filler.unlink()
            confirmed += 1
            assert store.append([called(f"t-{amount}")]) == confirmed
        assert refused > 10
        assert store.verify().problems == ()
        assert store.verify().events == confirmed


def _fill(path: Path, *, leave: int) -> None:
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() - leave))


def test_a_full_disk_from_the_first_event(small_disk):
    root = small_disk("256k") / "store"
    Layout(root).prepare()
    _fill(root / "filler", leave=0)
    with SqliteMetadata(Layout(root)) as store:
        for _ in range(2):
            with pytest.raises(StorageError, match="disk full"):
                store.append([started()])
        assert store.runs() == []
        (root / "filler").unlink()
        assert store.append([started()]) == 1


def test_a_read_only_store_can_be_read(small_disk):
    disk = small_disk("4m")
    with SqliteMetadata(Layout(disk / "store")) as store:
        store.append([started()])
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with SqliteMetadata(Layout(disk / "store")) as store:
        with pytest.raises(StorageError) as caught:
            store.append([called("a")])
        assert caught.value.hint
        assert [found.name for found in store.runs()] == ["r1"]


def failure(code, name):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


def test_a_failing_disk_ends_it(store):
    """After an error of the disk itself nothing more is taken, and reading goes on."""
    store.append([started()])

    def fail(db):
        raise failure(sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC")

    with pytest.raises(DiskFailed, match="SQLITE_IOERR_FSYNC"):
        store._writer.submit(fail).result()
    with pytest.raises(DiskFailed):
        store.append([called("a")])
    assert len(store.runs()) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "disk full"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_BUSY, "locked"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_READONLY, "cannot be opened or written"),
        (sqlite3.SQLITE_MISUSE, "refused"),
    ],
)
def test_errors_of_the_database_are_explained(tmp_path, code, words):
    found = explain_sqlite(failure(code, "X"), tmp_path / "fairway.db")
    assert words in found.message
    assert "`" in found.hint
    assert not found.message.endswith(".")


def test_the_writer_starts_with_the_first_event(root):
    with SqliteMetadata(Layout(root)) as store:
        store.runs()
        assert store._writer._thread is None
        assert not Layout(root).database.exists()
    assert not Layout(root).database.exists()


def test_a_refused_model_does_not_disturb_its_neighbours(root, store):
    def refuse(rival):
        raise GateRefused("no")

    candidate = Candidate(name="m", artifact=blob(1))
    first = store.submit([started()])
    with pytest.raises(GateRefused):
        store.register(candidate, Lineage(run="r1", step="a"), refuse, ("x",))
    second = store.submit([called("a")])
    assert (first.result(), second.result()) == (1, 2)
    assert tables(root)["model_version"] == tables(root)["alias"] == []


def test_whoever_stops_waiting_does_not_undo(store):
    future = store.submit([started()])
    assert not future.cancel()
    assert future.result() == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_the_writer_outlives_what_it_runs(store, error):
    def fail(db):
        raise error

    for alone in (False, True):
        before = store.submit([])
        with pytest.raises(error):
            store._writer.submit(fail, alone=alone).result()
        before.result()
    assert store.append([started()]) == 1


def test_the_write_ahead_log_stays_small(root, store):
    for number in range(3000):
        store.submit([called(f"s-{number}")])
        if number % 20 == 0:
            store.append([])
    assert Path(f"{Layout(root).database}-wal").stat().st_size < 16 << 20


def test_an_open_reader_does_not_stop_the_writer(store):
    store.append([called(f"s{number}") for number in range(3000)])
    reading = store.events()
    assert next(reading).seq == 1
    for number in range(50):
        store.append([called(f"t{number}-{n}") for n in range(20)])
    assert sum(1 for _ in reading) == 2999 + 1000


def test_the_size_of_a_step_does_not_grow_with_their_number(root):
    sizes = []
    for steps in (1000, 4000):
        with SqliteMetadata(Layout(root / str(steps))) as store:
            store.append([started()])
            for number in range(steps):
                store.submit([called(f"s-{number}"), *_ended(f"s-{number}")])
        sizes.append((root / str(steps) / "fairway.db").stat().st_size / steps)
    assert sizes[1] < sizes[0] * 1.2
    assert sizes[1] < 5000


def _ended(step):
    result = StepResult(run="r1", step=step, attempt=1, outputs=(blob(1),))
    for body in (AttemptStarted(1), AttemptEnded(1, result), StepEnded(Phase.SUCCEEDED, (blob(1),))):
        yield Event(body=body, run="r1", step=step)


def test_backup_and_restore(root, store, tmp_path):
    with pytest.raises(StorageError, match="nothing to back up"):
        store.backup(tmp_path / "none.db")
    a_life(store, 1)
    log, before = list(store.events()), tables(root)
    store.backup(tmp_path / "backup.db")
    a_life(store, 2)
    assert store.restore(tmp_path / "backup.db") == len(log)
    assert list(store.events()) == log
    assert tables(root) == before
    assert store.append([called("after", "1-0")]) == len(log) + 1
    with SqliteMetadata(Layout(root / "elsewhere")) as other:
        other.restore(tmp_path / "backup.db")
        assert list(other.events()) == log
        assert other.verify().problems == ()


def test_a_damaged_backup_changes_nothing(root, store, tmp_path):
    a_life(store, 1)
    store.backup(tmp_path / "backup.db")
    with sqlite3.connect(tmp_path / "backup.db") as db:
        db.execute("UPDATE event SET who = 'x' WHERE seq = 7")
    before = tables(root)
    for source in (tmp_path / "backup.db", tmp_path / "none.db", tmp_path):
        with pytest.raises(StorageError) as caught:
            store.restore(source)
        assert caught.value.hint
    assert tables(root) == before
    assert list(tmp_path.glob("*.part")) == []


def test_who_is_noted(root):
    with SqliteMetadata(Layout(root), who=lambda: "ada with fairway run") as store:
        store.append([started(), Event(body=RunEnded(Phase.SUCCEEDED), run="r1", who="bob")])
        assert [event.who for event in store.events()] == ["ada with fairway run", "bob"]

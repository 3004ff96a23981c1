"""Records of attempts: the first is the truth, and a damaged one is none."""

import errno
import os

import pytest

from fairway.spec.artifact import Artifact
from fairway.spec.errors import StorageError, UsageError
from fairway.spec.run import Failure, Reason, StepResult, Usage
from fairway.stores import FileResults, Layout
from fairway.stores.faults import DiskFailed


def record(note="", step="train-2", attempt=1):
    inline = Artifact(format="json", digest="0" * 64, size=3, inline=b'"\n\xff', note=note)
    return StepResult(
        run="r1",
        step=step,
        attempt=attempt,
        outputs=(inline,),
        failure=Failure(reason=Reason.OOM, message="nö\nsha256 x", details="Traceback"),
        usage=Usage(wall=1.5),
        shown={"title": inline},
    )


def path_of(root, step="train-2", attempt=1):
    return root / "runs" / "r1" / "results" / f"{step}.{attempt}.json"


def everything(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_it_needs_no_prepared_store(tmp_path):
    assert FileResults(tmp_path / "new").commit(record())
    assert FileResults(tmp_path / "new").read("r1", "train-2", 1) == record()


def test_nothing_else_is_left(root):
    before = everything(root)
    FileResults(root).commit(record())
    FileResults(root).commit(record())
    assert everything(root) == sorted([*before, "runs/r1/results/train-2.1.json"])


def test_a_record_cut_at_any_byte_is_none(root):
    results = FileResults(root)
    results.commit(record("first"))
    whole = path_of(root).read_bytes()
    for size in range(len(whole)):
        path_of(root).write_bytes(whole[:size])
        assert results.read("r1", "train-2", 1) is None, size
    for extra in (b"\n", b"\0" * 100):
        path_of(root).write_bytes(whole + extra)
        assert results.read("r1", "train-2", 1) is None


def test_a_flipped_bit_is_none(root):
    results = FileResults(root)
    results.commit(record("first"))
    whole = path_of(root).read_bytes()
    for at in range(0, len(whole), 7):
        path_of(root).write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        assert results.read("r1", "train-2", 1) is None, at


def test_a_damaged_record_gives_way_to_one(root):
    results = FileResults(root)
    results.commit(record("first"))
    for generation in range(3):
        for path in path_of(root).parent.iterdir():
            path.write_bytes(b"")
        assert results.read("r1", "train-2", 1) is None
        assert results.commit(record(f"again {generation}"))
        assert not results.commit(record("late"))
        assert results.read("r1", "train-2", 1) == record(f"again {generation}")


def test_one_of_many_wins(root):
    """Eight processes commit at once; exactly one is told that it was first, and it is the one on record."""
    children = []
    for child in range(8):
        pid = os.fork()
        if not pid:
            won = sum(FileResults(root).commit(record(str(child), attempt=n)) << n for n in range(8))
            os._exit(won)
        children.append(pid)
    won = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    for attempt in range(8):
        winners = [child for child in range(8) if won[child] >> attempt & 1]
        assert len(winners) == 1
        found = FileResults(root).read("r1", "train-2", attempt)
        assert found is not None
        assert found.outputs[0].note == str(winners[0])


def test_killed_at_every_call(root, faulty):
    number = 1
    while faulty.killed_at(number, lambda n=number: FileResults(root).commit(record("x", attempt=n))):
        found = FileResults(root).read("r1", "train-2", number)
        assert found in (None, record("x", attempt=number))
        first = FileResults(root).commit(record("y", attempt=number))
        assert first == (found is None)
        number += 1
    assert number > 5


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_every_call_can_fail(root, faulty, code):
    number, error, before = 0, StorageError(""), everything(root)
    while error is not None:
        number += 1
        attempt = record(attempt=number)
        with faulty.at_call(number, faulty.failing_with(code), ("open", "write", "link", "fsync", "mkdir")):
            error = faulty.refusal(lambda attempt=attempt: FileResults(root).commit(attempt))
        if error is not None:
            assert code != errno.EIO or isinstance(error, DiskFailed)
            assert everything(root) == before
            assert FileResults(root).commit(attempt)
        assert FileResults(root).read("r1", "train-2", number) == attempt
        path_of(root, attempt=number).unlink()
    assert number > 4


def test_a_full_disk(small_disk, faulty):
    root = small_disk("256k") / "store"
    Layout(root).prepare()
    results = FileResults(root)
    attempt, error = 0, None
    while error is None:
        attempt += 1
        error = faulty.refusal(lambda n=attempt: results.commit(record("x" * 5000, attempt=n)))
    assert "disk full" in error.message
    assert results.read("r1", "train-2", attempt) is None
    path_of(root, attempt=1).unlink()
    path_of(root, attempt=2).unlink()
    assert results.commit(record("x" * 5000, attempt=attempt))


def test_a_step_without_a_name(root):
    with pytest.raises(UsageError):
        FileResults(root).commit(record(step=""))


def test_a_folder_that_becomes_a_link_meanwhile_leads_nothing_away(root, tmp_path):
    results = FileResults(root)
    results.prepare("r1")
    folder = path_of(root).parent
    folder.rename(tmp_path / "aside")
    (tmp_path / "outside").mkdir()
    folder.symlink_to(tmp_path / "outside")
    assert results.commit(record())
    assert list((tmp_path / "outside").iterdir()) == []
    assert (tmp_path / "aside" / "train-2.1.json").exists()
    with pytest.raises(StorageError, match="a link"):
        FileResults(root).commit(record(attempt=2))
    with pytest.raises(StorageError, match="a link"):
        FileResults(root).read("r1", "train-2", 1)


def test_folders_that_were_removed_meanwhile_are_made_again(root):
    results = FileResults(root)
    results.prepare("r1")
    path_of(root).parent.rmdir()
    assert results.commit(record())
    assert results.read("r1", "train-2", 1) == record()


def test_folders_are_entered_once_for_all_steps_of_a_run(root, monkeypatch):
    results = FileResults(root)
    results.prepare("r1")
    monkeypatch.setattr("fairway.confined.enter", None)
    assert results.commit(record())
    assert results.commit(record(attempt=2))

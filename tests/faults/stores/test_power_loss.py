"""Disks as they may be after the power was lost at any moment: what was acknowledged is there, and nothing half."""

import random
import shutil
from pathlib import Path

import pytest
from diary import KINDS, Reader, acknowledged
from powerloss import SYNCS, Call, Disk, traced
from tracing import diary, needs_strace

from fairway.spec.errors import StorageError

LAST = 12
PLANTED = 300
"""Disks of a program that leaves out a sync."""


def complaints(store: Path, known: list[tuple[str, int]]) -> list[str]:
    """Of one disk."""
    if not store.is_dir():
        return ["nothing is there"] if known else []
    try:
        return Reader(store).complaints(known)
    except StorageError as error:
        return [error.message]


def images(calls: list[Call], root: Path, count: int, seed: int, folder: Path) -> list[str]:
    """Lay out that many disks, spread over the whole life of the program; what there is to complain of."""
    rng = random.Random(seed)
    moments = sorted(rng.randrange(len(calls) + 1) for _ in range(count))
    disk = Disk(root)
    said: list[str] = []
    found: list[str] = []
    place = 0
    for number, moment in enumerate(moments):
        for call in calls[place:moment]:
            disk.take(call)
            if call.name == "writev" and call.numbers[0] == 1:
                said.append(b"".join(call.texts).decode())
        place = max(place, moment)
        here = folder / str(number)
        disk.image(here, rng)
        store = here / root.name
        why = complaints(store, acknowledged("".join(said)))
        found += [f"seed {seed}, after call {moment}: {one}" for one in why]
        shutil.rmtree(here, ignore_errors=True)
    return found


def life(tmp_path: Path, kinds: str, planted: str = "") -> tuple[list[Call], Path]:
    """The calls of a program that writes everything some times."""
    root = tmp_path / "life" / ".fairway"
    root.parent.mkdir()
    calls = traced(diary(root, kinds, 1, LAST, planted), tmp_path / "log")
    assert sum(call.name in SYNCS for call in calls) >= (0 if planted else LAST)
    return calls, root


def test_the_model_of_the_disk_knows_what_processes_see(tmp_path: Path) -> None:
    """Without a loss, it holds byte for byte what is really there."""
    needs_strace()
    calls, root = life(tmp_path, ",".join(KINDS))
    disk = Disk(root)
    for call in calls:
        disk.take(call)
    seen = {name: bytes(file.whole()) for name, file in disk.names.items() if file is not None}
    real = {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert {name for name in seen if not name.endswith("-shm")} == {
        name for name in real if not name.endswith("-shm")
    }
    assert [name for name in real if not name.endswith("-shm") and real[name] != seen[name]] == []


def test_after_a_power_loss_all_that_was_acknowledged_is_there(tmp_path: Path, full: bool, measured) -> None:
    needs_strace()
    calls, root = life(tmp_path, ",".join(KINDS))
    count, seed = (3000, 12) if full else (100, random.SystemRandom().randrange(10**6))
    assert images(calls, root, count, seed, tmp_path / "images") == []
    (tmp_path / "normal").mkdir()
    calls_of_normal, normal = life(tmp_path / "normal", "event", "database not synced")
    # Few of these disks show a loss: of ten, often none does.
    losing = images(calls_of_normal, normal, PLANTED, seed, tmp_path / "images of normal")
    assert losing, "with synchronous=NORMAL it lost nothing"
    measured(
        "T12",
        "Disks after a power loss: artifacts, records, event log with its checkpoints; writes lost, torn, names late",
        goal="0 acknowledged lost, 0 corrupt; some lost with synchronous=NORMAL",
        images=count, seed=seed, calls=len(calls), lost=0, images_with_synchronous_normal=PLANTED,
        lost_with_synchronous_normal=len(losing),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "planted"),
    [
        ("event", "database not synced"),
        ("blob,stream,folder", "no sync of files"),
        ("blob,stream,folder", "no sync of folders"),
        ("record", "early acknowledgement"),
    ],
)
def test_a_store_that_leaves_out_a_sync_is_found(tmp_path: Path, kinds: str, planted: str) -> None:
    needs_strace()
    calls, root = life(tmp_path, kinds, planted)
    found = images(calls, root, PLANTED, 1, tmp_path / "images")
    assert found, "it lost nothing"

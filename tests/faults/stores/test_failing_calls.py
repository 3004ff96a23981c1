"""Every n-th write, sync, rename or open of a store fails: it is said, nothing acknowledged is lost, a restart is clean."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from diary import KINDS, Reader, acknowledged
from tracing import diary, needs_strace, play, window

ALL = ",".join(KINDS)
CALLS = {
    "write": ("EIO", "ENOSPC"),
    "pwrite64": ("EIO", "ENOSPC"),
    "fsync": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO", "ENOSPC"),
    "rename": ("EIO", "ENOSPC"),
    "renameat": ("EIO", "ENOSPC"),
    "link": ("EIO", "ENOSPC"),
    "linkat": ("EIO", "ENOSPC"),
    "openat": ("EIO", "ENOSPC", "EMFILE"),
    "mkdir": ("EIO", "ENOSPC"),
    "mkdirat": ("EIO", "ENOSPC"),
}
NUMBERS = 3


def failing(
    tmp_path: Path, points: Iterable[tuple[str, int, str]], planted: str = ""
) -> tuple[dict[str, int], list[str]]:
    """What happened to the program, and what there was to complain of."""
    seen = {"failed": 0, "went_on": 0}
    found: list[str] = []
    for number, (call, count, error) in enumerate(points):
        what = f"{call} {count} {error}"
        root = tmp_path / f"s{number}" / ".fairway"
        root.parent.mkdir()
        rule = f"inject={call}:error={error}:when={count}"
        done = play(
            diary(root, ALL, 1, NUMBERS, planted), "-e", f"trace={call}", "-e", rule, "-o", "/dev/null"
        )
        seen["failed" if done.returncode else "went_on"] += 1
        if done.returncode not in (0, 3):
            found.append(f"{what}: ended with {done.returncode}: {done.stderr[-300:]}")
        if done.returncode == 3 and ("error: " not in done.stderr or "Traceback" in done.stderr):
            found.append(f"{what}: says {done.stderr[-300:]}")
        known = acknowledged(done.stdout)
        if done.returncode == 0 and len(known) < len(KINDS) * NUMBERS:
            found.append(f"{what}: silent")
        found += [f"{what}: {why}" for why in Reader(root).complaints(known)]
        again = play(diary(root, ALL, NUMBERS + 1, NUMBERS + 1))
        if again.returncode != 0:
            found.append(f"{what}: the next one fails: {again.stderr[-300:]}")
        found += [
            f"{what}, then: {why}" for why in Reader(root).complaints(known + acknowledged(again.stdout))
        ]
    return seen, found


def chosen(tmp_path: Path, count: int | None) -> list[tuple[str, int, str]]:
    """That many of all points, the same ones each time, of every kind of call and error; all without a number."""
    (tmp_path / "w").mkdir()
    points = window(diary(tmp_path / "w" / ".fairway", ALL, 1, NUMBERS), tmp_path / "log")
    rng = random.Random(14)
    groups = [
        [(call, number, error) for name, number in points if name == call]
        for call, errors in CALLS.items()
        for error in errors
    ]
    for group in groups:
        rng.shuffle(group)
    found: list[tuple[str, int, str]] = []
    while (count is None or len(found) < count) and any(groups):
        found += [group.pop() for group in groups if group]
    return found[:count]


def test_a_failing_call_is_said_and_nothing_acknowledged_is_lost(
    tmp_path: Path, full: bool, measured
) -> None:
    needs_strace()
    points = chosen(tmp_path, None if full else 15)
    seen, found = failing(tmp_path, points)
    assert found == []
    assert seen["failed"] >= len(points) // 2
    measured(
        "T14",
        "EIO, ENOSPC and EMFILE from each n-th write, sync, rename, link and open",
        goal="said, 0 acknowledged lost, 0 half there, the next process goes on",
        points=len(points), ended_with_an_error=seen["failed"], went_on_unharmed=seen["went_on"], lost=len(found),
    )  # fmt: skip


def test_a_program_that_swallows_errors_is_found(tmp_path: Path) -> None:
    needs_strace()
    # Some of these calls prepare the store and are said by other code, so a few are not enough.
    points = [point for point in chosen(tmp_path, 60) if point[0].startswith(("rename", "link"))][:8]
    _, found = failing(tmp_path, points, "errors are swallowed")
    assert any("is not in the store" in why or "lost" in why for why in found), found


@pytest.mark.parametrize("error", ["EIO"])
def test_a_sync_that_is_not_made_is_not_noticed_by_this_harness_but_by_that_of_power_loss(
    tmp_path: Path, error: str
) -> None:
    """What a harness cannot see is worth knowing: without power loss, a missing sync changes nothing."""
    needs_strace()
    _, found = failing(tmp_path, [("fsync", 10_000, error)], "no sync of files")
    assert found == []

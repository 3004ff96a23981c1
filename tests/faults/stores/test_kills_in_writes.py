"""A writer killed at every system call: what was acknowledged is there, nothing is half there, nothing is left over."""

from pathlib import Path

import pytest
from diary import KINDS, Reader, acknowledged
from tracing import diary, needs_strace, play, window


def killed(
    tmp_path: Path, kinds: str, points: list[tuple[str, int]], planted: str = ""
) -> tuple[int, list[str]]:
    """How many of the kills struck, and what there was to complain of."""
    struck, found = 0, []
    for number, (call, count) in enumerate(points):
        root = tmp_path / f"s{number}" / ".fairway"
        root.parent.mkdir()
        rule = f"inject={call}:signal=KILL:when={count}"
        done = play(diary(root, kinds, 1, 2, planted), "-e", f"trace={call}", "-e", rule, "-o", "/dev/null")
        struck += "end" not in done.stdout
        reader = Reader(root)
        known = acknowledged(done.stdout)
        found += [f"{call} {count}: {why}" for why in reader.complaints(known)]
        first = 3 if kinds == "event" else 1
        again = play(diary(root, kinds, first, first + 1))
        assert again.returncode == 0, again.stderr
        known += acknowledged(again.stdout)
        found += [f"{call} {count}, then again: {why}" for why in Reader(root).complaints(known)]
        found += [f"{call} {count}: left over {name}" for name in reader.leftovers()]
    return struck, found


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_system_call_of_a_write_loses_and_halves_nothing(
    tmp_path: Path, full: bool, measured, kind: str
) -> None:
    needs_strace()
    (tmp_path / "w").mkdir()
    points = window(diary(tmp_path / "w" / ".fairway", kind, 1, 2), tmp_path / "log")
    assert len(points) > 4
    chosen = points if full else points[:: max(1, len(points) // 4)]
    struck, found = killed(tmp_path, kind, chosen)
    torn = [why for why in found if "is torn" in why]
    assert found == []
    assert struck >= len(chosen) * 0.8, f"{struck} of {len(chosen)} kills struck"
    measured(
        f"T11-{kind}",
        f"Kill at every system call of a write of kind {kind}",
        goal="0 half writes visible, 0 acknowledged lost, 0 left over after a sweep",
        calls=len(chosen), struck=struck, lost=len(found) - len(torn), torn=len(torn),
    )  # fmt: skip


def test_a_name_given_too_early_is_found(tmp_path: Path) -> None:
    needs_strace()
    mistake = "no atomic name"
    points = window(diary(tmp_path / "w" / ".fairway", "blob", 1, 2, mistake), tmp_path / "log")
    writes = [point for point in points if point[0] == "write"]
    _, found = killed(tmp_path, "blob", writes, mistake)
    assert any("is torn" in why for why in found)


def test_an_acknowledgement_given_too_early_is_found(tmp_path: Path) -> None:
    needs_strace()
    mistake = "early acknowledgement"
    points = window(diary(tmp_path / "w" / ".fairway", "record", 1, 2, mistake), tmp_path / "log")
    _, found = killed(tmp_path, "record", [point for point in points if point[0] == "linkat"], mistake)
    assert any("lost" in why for why in found)

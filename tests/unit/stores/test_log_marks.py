"""Output that a pod sends again after its control plane was killed is in the log once."""

from pathlib import Path

import pytest

from fairway.spec.wire import Sent
from fairway.stores import FileLogs

PIECES = [b"one\ntwo", b" and a half\n", "th\u00e9".encode(), b"\nfour\n", b"\xc3", b"\xa9\nsix\n"]
WHOLE = ["one", "two and a half", "th\u00e9", "four", "\u00e9", "six"]


def send(logs: FileLogs, first: int = 0, last: int = len(PIECES), origin: str = "pod") -> None:
    """Append pieces with their positions."""
    for number in range(first, last):
        sent = Sent(origin, sum(map(len, PIECES[:number])))
        logs.append("r", "s", 1, float(number), PIECES[number], sent)


def lines(logs: FileLogs) -> list[str]:
    return [text for _, text in logs.read("r", "s", 1)[0]]


@pytest.mark.parametrize("written", range(len(PIECES) + 1))
def test_pieces_that_come_again_to_another_process_are_not_repeated(root: Path, written: int) -> None:
    for again in range(written + 1):
        before = FileLogs(root / str(again))
        send(before, last=written)
        after = FileLogs(root / str(again))
        send(after, first=again)
        after.close("r", "s", 1)
        # A process that died in the middle of a line or of a letter leaves it so, and nothing is told twice.
        assert "".join(lines(after)).replace("\\xa9", "\u00e9") == "".join(WHOLE)


def test_a_piece_that_was_written_in_part_is_written_as_a_whole(root: Path) -> None:
    file = root / "runs" / "r" / "logs" / "s.1.log"
    mark = file.with_suffix(".mark")
    send(FileLogs(root), last=1)
    begin = file.stat().st_size
    send(FileLogs(root), first=1, last=2)
    kept, marked = file.read_bytes(), mark.read_bytes()
    for size in range(begin, len(kept) + 1):
        file.write_bytes(kept[:size])
        mark.write_bytes(marked)
        again = FileLogs(root)
        send(again, first=1, last=4)
        again.close("r", "s", 1)
        assert "".join(lines(again)) == "".join(WHOLE[:4])


def test_the_output_of_another_pod_for_the_same_attempt_is_all_kept(root: Path) -> None:
    logs = FileLogs(root)
    send(logs, last=1)
    send(logs, last=1, origin="another pod")
    logs.append("r", "s", 1, 9.0, b"!\n")
    assert lines(logs) == ["one", "twoone", "two!"]


def test_a_piece_behind_a_gap_is_kept(root: Path) -> None:
    logs = FileLogs(root)
    logs.append("r", "s", 1, 1.0, b"one\n", Sent("pod", 0))
    logs.append("r", "s", 1, 2.0, b"three\n", Sent("pod", 8))
    assert lines(logs) == ["one", "three"]


def test_pieces_come_again_after_the_end_of_the_attempt(root: Path) -> None:
    logs = FileLogs(root)
    send(logs)
    logs.close("r", "s", 1)
    later = FileLogs(root)
    send(later, first=3)
    later.close("r", "s", 1)
    assert lines(later) == WHOLE

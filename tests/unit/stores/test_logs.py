"""Logs as files: what a person sees of them, and what a full disk does."""

import pytest

from fairway.spec.errors import StorageError
from fairway.spec.text import plain
from fairway.stores import FileLogs, Layout


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext ☃", "plain\ttext ☃"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[38;2;1;2;3mtrue\x1b[K colour", "true colour"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0 a picture\x1b\\after", "after"),
        ("\x1b]0;never ended", ""),
        ("\x1b(Bcharset\x1b=", "charset"),
        ("bell\x07 null\x00 back\x08 del\x7f c1\x9b31m", "bell null back del c131m"),
        ("\x1b", ""),
        ("abc\u202etxt.exe\u2066\u200f", "abctxt.exe"),
        ("windows\r", "windows"),
        ("10%\r50%\r100%", "100%"),
        ("10%\r\x1b[31m100%\x1b[0m\r\x1b[K", "100%"),
        ("\r\r", ""),
    ],
)
def test_plain_is_safe_to_show(text, shown):
    assert plain(text) == shown


def test_the_file_is_readable_as_it_is(root):
    logs = FileLogs(root)
    logs.append("r", "train-2", 1, 1700000000.123456, b"\x1b[31mred\x1b[0m\nnext")
    logs.close("r", "train-2", 1)
    assert (root / "runs" / "r" / "logs" / "train-2.1.log").read_bytes() == (
        b"1700000000.123456 \x1b[31mred\x1b[0m\n1700000000.123456 next\n"
    )


def test_a_foreign_line_does_not_break_reading(root):
    logs = FileLogs(root)
    logs.append("r", "s", 1, 5.0, b"good\n")
    with open(root / "runs" / "r" / "logs" / "s.1.log", "ab") as file:
        file.write(b"no time\n\n\xff 2\n")
    assert logs.read("r", "s", 1)[0] == [(5.0, "good"), (0.0, "no time"), (0.0, ""), (0.0, "\ufffd 2")]


def test_few_files_stay_open(root, monkeypatch):
    monkeypatch.setattr("fairway.stores.logs._MAX_OPEN", 3)
    logs = FileLogs(root)
    for round_ in range(3):
        for step in range(10):
            logs.append("r", f"s{step}", 1, float(round_), b"piece ")
    for step in range(10):
        logs.close("r", f"s{step}", 1)
        assert logs.read("r", f"s{step}", 1)[0] == [(0.0, "piece piece piece ")]


def test_a_ten_megabyte_line(root):
    logs = FileLogs(root)
    logs.append("r", "s", 1, 1.0, b"x" * 10_000_000)
    logs.close("r", "s", 1)
    count, offset = 0, 0
    while True:
        lines, after = logs.read("r", "s", 1, offset)
        if after == offset:
            break
        assert all(len(text) <= 65536 for _, text in lines)
        count += sum(len(text) for _, text in lines)
        offset = after
    assert count == 10_000_000


def test_a_full_disk_drops_output_and_says_so(small_disk):
    root = small_disk("256k") / "store"
    Layout(root).prepare()
    logs = FileLogs(root)
    logs.append("r", "s", 1, 1.0, b"before\n")
    filler = root / "filler"
    with pytest.raises(OSError, match="space"):
        filler.write_bytes(bytes(1 << 20))
    lost = 0
    for number in range(2000):
        line = b"line %04d\n" % number
        lost += len(line)
        logs.append("r", "s", 1, 2.0, line)
    logs.append("r", "other", 1, 2.0, b"never seen\n")
    filler.unlink()
    logs.append("r", "s", 1, 3.0, b"after\n")
    logs.append("r", "other", 1, 3.0, b"seen\n")
    found = [text for _, text in logs.read("r", "s", 1)[0]]
    kept = [text for text in found if text.startswith("line")]
    assert found[0] == "before"
    assert found[-1] == "after"
    assert "bytes of output were lost here: the disk was full" in found[-2]
    assert len(kept) < 2000
    assert int(found[-2].split()[0]) >= lost - 10 * (len(kept) + 1)
    assert [text for _, text in logs.read("r", "other", 1)[0]][-1] == "seen"
    assert logs.attempts("r") == [("s", 1), ("other", 1)]


def test_another_failure_is_not_hidden(root, faulty):
    logs = FileLogs(root)
    with (
        faulty.at_call(1, faulty.failing_with(13), ("open",)),
        pytest.raises(StorageError, match="no permission"),
    ):
        logs.append("r", "s", 1, 1.0, b"x\n")

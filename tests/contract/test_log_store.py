"""What every log store promises."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.stores import FileLogs, Layout

ADAPTERS: dict[str, Callable[[Path], FileLogs]] = {"files": FileLogs}


@pytest.fixture(params=sorted(ADAPTERS))
def make(request, tmp_path):
    """Opens the same store again at each call, as another process would."""
    Layout(tmp_path / "store").prepare()
    return lambda: ADAPTERS[request.param](tmp_path / "store")


@pytest.fixture
def logs(make):
    return make()


def whole(logs, run="r", step="s", attempt=1):
    found, offset = [], 0
    while True:
        lines, after = logs.read(run, step, attempt, offset)
        if after == offset:
            return found
        found += lines
        offset = after


def texts(logs, **where):
    return [text for _, text in whole(logs, **where)]


def test_nothing_was_printed(logs):
    assert logs.read("r", "s", 1) == ([], 0)
    assert logs.attempts("r") == []
    logs.close("r", "s", 1)


def test_lines_with_their_times(logs):
    logs.append("r", "s", 1, 1700000000.25, b"one\ntwo\n")
    logs.append("r", "s", 1, 1700000001.5, b"\nthree\n")
    assert whole(logs) == [
        (1700000000.25, "one"),
        (1700000000.25, "two"),
        (1700000001.5, ""),
        (1700000001.5, "three"),
    ]


def test_a_line_in_pieces_has_the_time_of_its_beginning(logs):
    for time, piece in enumerate([b"on", b"e", b" li", b"ne\nnext"]):
        logs.append("r", "s", 1, float(time), piece)
    assert whole(logs) == [(0.0, "one line")]
    logs.close("r", "s", 1)
    assert whole(logs) == [(0.0, "one line"), (3.0, "next")]


def test_every_cut_of_the_bytes_gives_the_same_text(make):
    data = "grün\n\x1b[31mrot\x1b[0m ☃ 𝄞\r\nüü".encode() + b"\xff\xc3(\n"
    for cut in range(1, len(data)):
        logs = make()
        logs.append("r", f"s{cut}", 1, 1.0, data[:cut])
        logs.append("r", f"s{cut}", 1, 1.0, data[cut:])
        logs.close("r", f"s{cut}", 1)
        found = texts(logs, step=f"s{cut}")
        assert found == ["grün", "\x1b[31mrot\x1b[0m ☃ 𝄞\r", "üü\\xff\\xc3("], cut


def test_reading_by_offset_has_no_gaps(make):
    logs, reader = make(), make()
    seen, offset = [], 0
    for number in range(200):
        logs.append("r", "s", 1, float(number), f"line {number}\npart".encode())
        lines, offset = reader.read("r", "s", 1, offset)
        seen += lines
        logs.append("r", "s", 1, float(number), b"\n")
    lines, offset = reader.read("r", "s", 1, offset)
    seen += lines
    assert [text for _, text in seen] == [text for n in range(200) for text in (f"line {n}", "part")]
    assert reader.read("r", "s", 1, offset) == ([], offset)


def test_long_lines_are_cut_between_characters(logs):
    text = "ü" * 100_000
    logs.append("r", "s", 1, 1.0, text.encode() + b"\nshort\n")
    found = texts(logs)
    assert "".join(found[:-1]) == text
    assert found[-1] == "short"
    assert all(len(line.encode()) <= 65536 for line in found)


@pytest.mark.parametrize("length", [65535, 65536, 65537, 131072, 131073])
def test_lines_about_the_limit(logs, length):
    for piece in (length, 1000):
        step = f"s{piece}"
        data = b"x" * length + b"\nend\n"
        for at in range(0, len(data), piece):
            logs.append("r", step, 1, 1.0, data[at : at + piece])
        found = texts(logs, step=step)
        assert "".join(found) == "x" * length + "end"
        assert found[-1] == "end"
        assert max(map(len, found)) <= 65536


def test_attempts_in_order_of_first_output(make):
    logs = make()
    for step, attempt in [("b-2", 1), ("a", 2), ("pipeline", 1), ("a", 1), ("b-2", 1)]:
        logs.append("r", step, attempt, 1.0, b"x\n")
    assert make().attempts("r") == [("b-2", 1), ("a", 2), ("pipeline", 1), ("a", 1)]
    assert logs.attempts("other") == []


@pytest.mark.parametrize("name", ["../../evil", ".hidden", "a/b", "50%", "with space", "ünï", "x\ny", "a.1"])
def test_names_stay_inside(logs, name, tmp_path):
    before = sorted(tmp_path.iterdir())
    logs.append(name, name, 3, 1.0, b"hello\n")
    assert texts(logs, run=name, step=name, attempt=3) == ["hello"]
    assert logs.attempts(name) == [(name, 3)]
    assert sorted(tmp_path.iterdir()) == before


def test_many_attempts_print_at_once(logs):
    for line in range(3):
        for step in range(200):
            logs.append("r", f"s{step}", 1, float(line), f"{step} {line}\n".encode())
    for step in range(200):
        assert texts(logs, step=f"s{step}") == [f"{step} {line}" for line in range(3)]


def test_output_goes_on_after_a_restart(make):
    first = make()
    first.append("r", "pipeline", 1, 1.0, b"done\nunfin")
    second = make()
    second.append("r", "pipeline", 1, 2.0, b"again\n")
    assert whole(second, step="pipeline") == [(1.0, "done"), (1.0, "unfin"), (2.0, "again")]


def test_memory_stays_flat(logs):
    chunk = b"a line of some length that somebody printed\n" * 100
    tracemalloc.start()
    for _ in range(2000):
        logs.append("r", "s", 1, 1.0, chunk)
    logs.append("r", "s", 1, 1.0, b"z" * 100_000)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    count, offset = 0, 0
    while True:
        lines, after = logs.read("r", "s", 1, offset)
        if after == offset:
            break
        count += len(lines)
        offset = after
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 200_000 + 1
    assert kept < 1 << 20
    assert peak < 100 << 20

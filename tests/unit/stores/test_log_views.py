"""Parts of logs: from a place, at the end, and around what a search finds, however long the log is."""

import os

import pytest

from fairway.spec.log import LogQuery
from fairway.stores import log_views
from fairway.stores.logs import FileLogs


@pytest.fixture(params=[1 << 18, 7], ids=["whole pieces", "tiny pieces"])
def pieces(request, monkeypatch):
    """Logs are read in pieces of this size."""
    monkeypatch.setattr(log_views, "_LINES", request.param)
    monkeypatch.setattr(log_views, "_PIECE", request.param)


@pytest.fixture
def opened(tmp_path):
    """Returns the descriptor of a file with some bytes."""
    found = []

    def make(data: bytes) -> int:
        path = tmp_path / f"log{len(found)}"
        path.write_bytes(data)
        found.append(os.open(path, os.O_RDONLY))
        return found[-1]

    yield make
    for fd in found:
        os.close(fd)


TEN = b"".join(b"1.0 line %d\n" % number for number in range(10))


def texts(part: log_views.Part) -> list[str]:
    return [line.partition(b" ")[2].decode() for _, line in part.lines]


@pytest.mark.usefixtures("pieces")
def test_the_end_of_a_log_is_its_last_lines(opened):
    part = log_views.part(opened(TEN), -1, 3, back=True)
    assert texts(part) == ["line 7", "line 8", "line 9"]
    assert (part.number, part.end, part.size) == (8, len(TEN), len(TEN))


@pytest.mark.usefixtures("pieces")
def test_a_place_within_a_line_means_that_line(opened):
    fd = opened(TEN)
    whole = log_views.part(fd, 0, 100)
    place = whole.lines[4][0]
    assert texts(log_views.part(fd, place + 3, 2)) == ["line 4", "line 5"]
    assert texts(log_views.part(fd, place + 3, 2, back=True)) == ["line 2", "line 3"]


@pytest.mark.usefixtures("pieces")
def test_parts_that_follow_one_another_give_the_whole_log_both_ways(opened):
    fd = opened(TEN)
    there, at = [], 0
    while at < len(TEN):
        part = log_views.part(fd, at, 4)
        there += texts(part)
        at = part.end
    back, at = [], len(TEN)
    while at > 0:
        part = log_views.part(fd, at, 4, back=True)
        back = texts(part) + back
        at = part.start
    assert there == back == [f"line {number}" for number in range(10)]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("data", [b"", b"1.0 unfinished", b"\n\n\n", b"1.0 a\n1.0 half"])
def test_unfinished_and_empty_lines_do_no_harm(opened, data):
    fd = opened(data)
    complete = data[: data.rfind(b"\n") + 1]
    part = log_views.part(fd, 0, 100)
    assert b"".join(line + b"\n" for _, line in part.lines) == complete
    assert log_views.search(fd, (b"zzz",), 0, back=False)[0] == -1
    assert log_views.search(fd, (b"zzz",), -1, back=True)[0] == -1


@pytest.mark.usefixtures("pieces")
def test_a_search_finds_words_in_any_case_forward_and_back(opened):
    data = b"1.0 fine\n2.0 a WARNING here\n3.0 fine\n4.0 Error: no\n5.0 fine\n"
    fd = opened(data)
    first, second = data.find(b"2.0"), data.find(b"4.0")
    assert log_views.search(fd, log_views.PROBLEMS, -1, back=False)[0] == first
    assert (
        log_views.search(fd, log_views.PROBLEMS, first + len(b"2.0 a WARNING here\n"), back=False)[0]
        == second
    )
    assert log_views.search(fd, log_views.PROBLEMS, -1, back=True)[0] == second
    assert log_views.search(fd, log_views.PROBLEMS, second, back=True)[0] == first
    assert log_views.search(fd, (b"nothing",), 0, back=False) == (-1, len(data))


@pytest.mark.usefixtures("pieces")
def test_a_search_does_not_find_the_time_before_a_line(opened):
    fd = opened(b"1700000042.000000 the answer is 41\n1700000043.000000 it is 42\n")
    assert log_views.search(fd, (b"42",), 0, back=False)[0] == len(b"1700000042.000000 the answer is 41\n")
    assert log_views.search(fd, (b"42.00",), -1, back=True)[0] == -1


def test_a_search_stops_after_a_bounded_part_and_says_where(opened, monkeypatch):
    monkeypatch.setattr(log_views, "_SEARCHED", 50)
    fd = opened(TEN + b"1.0 error\n")
    found, at = log_views.search(fd, (b"error",), 0, back=False)
    assert (found, at) == (-1, 50)
    while found < 0:
        found, at = log_views.search(fd, (b"error",), at, back=False)
    assert found == len(TEN)


def test_a_store_answers_for_a_part_of_an_attempt(root):
    logs = FileLogs(root)
    for number in range(1000):
        word = "WARNING" if number == 700 else "fine"
        logs.append("k7m2", "train", 1, 5.0, f"{word} {number}\n".encode())
    logs.close("k7m2", "train", 1)
    part = logs.part("k7m2", LogQuery(step="train", find="warning", lines=5))
    assert [line.text for line in part.lines] == [
        "fine 698",
        "fine 699",
        "WARNING 700",
        "fine 701",
        "fine 702",
    ]
    assert (part.number, part.places[2], part.lines[2].time) == (699, part.found, 5.0)
    around = logs.part("k7m2", LogQuery(step="train", at=part.found, lines=1))
    assert [line.text for line in around.lines] == ["WARNING 700"]
    assert logs.part("k7m2", LogQuery(step="other")).lines == []

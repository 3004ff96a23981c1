"""Traffic as figures and pictures."""

from xml.etree import ElementTree

from fairway.pages.traffic import pictures_of, summary
from fairway.spec.serving import LATENCIES, Counts, Stretch, Traffic

NOW = 1_800_000_000.0


def stretch(minutes_ago: float, requests: int) -> Stretch:
    latencies = [0] * (len(LATENCIES) + 1)
    latencies[3] = requests
    counts = Counts(requests=requests, errors=1, latencies=latencies, batches=2, rows=requests)
    return Stretch(start=(NOW - 60 * minutes_ago) // 60 * 60, counts=counts)


def test_nobody_has_counted_yet() -> None:
    assert summary(Traffic(), NOW) is None
    assert [span.rows for span in pictures_of(Traffic(), NOW)] == [[], []]


def test_the_sum_is_of_the_last_hour_alone() -> None:
    found = summary(Traffic(until=NOW, hour=(stretch(90, 1000), stretch(30, 40), stretch(0, 2))), NOW)
    assert found is not None
    assert (found.requests, found.errors) == (42, 2)
    assert found.p50 is not None
    assert 2.5 < found.p50 < 5


def test_pictures_are_drawn_over_the_whole_time_with_the_figures_behind_them() -> None:
    hour, day = pictures_of(Traffic(until=NOW, hour=(stretch(30, 40),), day=()), NOW)
    assert [row.requests for row in hour.rows] == [40]
    assert day.rows == []
    for svg in (*hour.pictures, *day.pictures):
        ElementTree.fromstring(svg)
    assert len(hour.pictures) == 3

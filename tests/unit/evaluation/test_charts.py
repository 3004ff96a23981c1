"""Line charts of what a run logs."""

import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from fairway.evaluation.charts import MAX_LINES, MAX_POINTS, bars, line_chart, rows_of_bars, thinned

value = st.floats(allow_nan=True, allow_infinity=True)


def shapes(svg: str) -> list[str]:
    return [element.tag.split("}")[1] for element in ElementTree.fromstring(svg).iter()]


@given(st.dictionaries(st.text(), st.lists(st.tuples(value, value), max_size=8), max_size=4), st.text())
def test_anything_logged_gives_a_well_formed_picture(
    series: dict[str, list[tuple[float, float]]], title: str
) -> None:
    svg = line_chart(series, title)
    assert shapes(svg)[:3] == ["svg", "title", "desc"]
    for attribute in ("nan", "inf"):
        assert f'"{attribute}' not in svg
        assert f",{attribute}" not in svg


def test_lines_and_names() -> None:
    svg = line_chart({"loss": [(0, 1), (1, 0.5)], "accuracy": [(0, 0.1), (1, 0.9)]}, "Training")
    assert shapes(svg).count("polyline") == 2
    assert ">loss</text>" in svg
    assert ">accuracy</text>" in svg
    assert ">Training</text>" in svg


def test_nothing_logged_yet() -> None:
    assert "no data yet" in line_chart({}, "loss")
    assert "no data yet" in line_chart({"loss": [(1, math.nan)]}, "loss")


def test_one_point_is_a_mark() -> None:
    assert shapes(line_chart({"loss": [(1, 0.5)]}, "loss")).count("circle") == 1


def test_many_lines_are_bounded_and_it_is_said() -> None:
    svg = line_chart({f"line {i}": [(0, i), (1, i)] for i in range(40)}, "many")
    assert shapes(svg).count("polyline") == MAX_LINES
    assert "and 28 more" in svg


def test_peaks_survive_thinning() -> None:
    line = [
        (float(i), 1000.0 if i == 5001 else -1000.0 if i == 5050 else math.sin(i)) for i in range(100_000)
    ]
    kept = thinned(line)
    assert len(kept) <= MAX_POINTS
    assert (kept[0], kept[-1]) == (line[0], line[-1])
    assert (5001.0, 1000.0) in kept
    assert (5050.0, -1000.0) in kept
    assert kept == sorted(kept)
    assert len(line_chart({"loss": line}, "loss")) < 12_000


@given(st.lists(st.tuples(st.integers(), value), max_size=1000))
def test_thinning_keeps_only_points_there_were(line: list[tuple[float, float]]) -> None:
    kept = thinned(line)
    assert len(kept) <= MAX_POINTS
    assert {id(point) for point in kept} <= {id(point) for point in line}


def test_markup_in_names_is_text() -> None:
    svg = line_chart({"<script>alert(1)</script>": [(0, 1), (1, 2)]}, '"><script>')
    assert "<script" not in svg
    assert "script" not in shapes(svg)


def test_bars() -> None:
    svg = bars([(1.0, 3.0), (2.0, 0.0), (3.0, 5.0)], "Returns", "return", "episodes")
    assert shapes(svg).count("rect") == 3
    assert shapes(bars([(1.0, 3.0)], "Returns", "return", "episodes")).count("rect") == 1
    assert "no data yet" in bars([], "Returns", "return", "episodes")


def test_lying_bars_go_both_ways() -> None:
    svg = rows_of_bars([("good", 0.5, "0.50"), ("bad", -0.5, "-0.50")], "Clusters", "each")
    rects = [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("rect")]
    starts, widths = ([float(e.attrib[k]) for e in rects] for k in ("x", "width"))
    assert widths[0] == widths[1] > 50
    assert abs(starts[1] + widths[1] - starts[0]) < 0.2

"""Strokes: ticks, limits, and text that cannot break out of a picture."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fairway.evaluation.drawing import (
    Frame,
    escape,
    legend,
    limits,
    picture,
    polyline,
    text,
    tick_labels,
    ticks,
)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12))
def test_ticks_are_few_round_and_inside(low: float, span: float) -> None:
    high = low + span
    assume(high - low > abs(low) * 1e-9)
    marks = ticks(low, high)
    assert 1 <= len(marks) <= 12
    slack = (high - low) * 1e-6
    assert all(low - slack <= mark <= high + slack for mark in marks)
    labels = tick_labels(marks)
    assert len(labels) == len(marks)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1.02, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-110, 90, ["−100", "−50", "0", "50"]),
        (0, 450_000, ["0", "100k", "200k", "300k", "400k"]),
        (0, 5e-4, ["0", "0.0001", "0.0002", "0.0003", "0.0004", "0.0005"]),
    ],
)
def test_tick_labels_read_well(low: float, high: float, labels: list[str]) -> None:
    assert tick_labels(ticks(low, high)) == labels


def test_counts_have_no_fractions() -> None:
    assert ticks(0, 2.1, smallest=1) == [0, 1, 2]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)))
def test_limits_hold_every_finite_value(values: list[float]) -> None:
    low, high = limits(values)
    assert low < high
    assert math.isfinite(low)
    assert math.isfinite(high)
    if all(abs(value) < 1e300 for value in values):
        assert all(low <= value <= high for value in values)


@given(st.text())
def test_any_text_makes_well_formed_pictures(value: str) -> None:
    drawn, height = legend([(value, "red", False)], 100, 50)
    svg = picture(value, value, [text((1, 1), value), drawn], (100, 50 + height))
    root = ElementTree.fromstring(svg)
    assert {element.tag.split("}")[1] for element in root.iter()} <= {"svg", "title", "desc", "text", "line"}


def test_escaping_leaves_no_way_out() -> None:
    assert escape("<script>\"'&\x00") == "&lt;script&gt;&quot;&#x27;&amp;\ufffd"


def test_lines_break_where_a_value_is_missing() -> None:
    frame = Frame(x_low=0, x_high=4, y_low=0, y_high=1)
    drawn = polyline(frame, [(0, 0), (1, 1), (2, math.nan), (3, 0.5), (4, 1)], "red")
    assert drawn.count("<polyline") == 2
    assert "nan" not in drawn
    assert polyline(frame, [(0, 0), (1, math.inf)], "red").count("<circle") == 1


def test_a_frame_maps_data_to_pixels() -> None:
    frame = Frame(
        x_low=0, x_high=1, y_low=0, y_high=1, width=200, height=100, left=10, right=10, top=10, bottom=10
    )
    assert (frame.x(0), frame.x(1), frame.y(0), frame.y(1)) == (10, 190, 90, 10)


def test_the_legend_wraps() -> None:
    _, one = legend([("a", "red", False)], 400, 0)
    _, many = legend([(f"a long name {i}", "red", False) for i in range(9)], 400, 0)
    assert legend([], 400, 0) == ("", 0)
    assert 0 < one < many

"""Charts of any numbers: bars, and lines over an axis, such as the metrics of a run.

This module does not know where the numbers come from.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from fairway.evaluation.drawing import (
    COLOURS,
    Frame,
    Point,
    axes,
    box,
    drawable,
    legend,
    limits,
    margin,
    mark,
    picture,
    polyline,
    segment,
    shortened,
    text,
    text_width,
)

MAX_LINES = 12
"""The largest number of lines in a chart."""
MAX_POINTS = 200
"""The largest number of points in a line."""
_NAME_WIDTH = 40
_BAR_NAME = 18


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a chart besides its lines.

    Attributes:
        x_name: the name of the horizontal axis.
        y_name: the name of the vertical axis.
        diagonal: True draws a dashed line from corner to corner, which stands for chance or for perfection.
        level: the value of a dashed horizontal line.
        level_name: the name of that line in the legend.
        unit: True lets both axes go from 0 to 1.
        marks: where dots are drawn.
    """

    x_name: str
    y_name: str
    diagonal: bool = False
    level: float | None = None
    level_name: str = ""
    unit: bool = False
    marks: Literal["none", "on line", "only"] = "none"


def line_chart(
    series: Mapping[str, Sequence[Point]], title: str, *, x_name: str = "step", y_name: str = "value"
) -> str:
    """Draw lines of (x, y) points by name as SVG, such as metrics over steps.

    x should not decrease within a line. At most 12 lines are drawn, and the legend gives the number of the others. A
    line of more than 200 points is thinned so that it keeps its peaks. NaN and infinity leave a gap.
    """
    return chart(series, title, Look(x_name=x_name, y_name=y_name))


def chart(series: Mapping[str, Sequence[Point]], title: str, look: Look) -> str:
    """Draw lines or clouds of points by name as SVG. An empty name stays out of the legend."""
    drawn = {name: thinned(points) for name, points in list(series.items())[:MAX_LINES]}
    every = [point for points in drawn.values() for point in points if all(map(drawable, point))]
    if not every:
        return _nothing(title)
    frame = _frame(every, look)
    parts = [axes(frame, look.x_name, look.y_name)]
    entries: list[tuple[str, str, bool]] = []
    if look.diagonal:
        low, high = max(frame.x_low, frame.y_low), min(frame.x_high, frame.y_high)
        parts.append(segment((frame.x(low), frame.y(low)), (frame.x(high), frame.y(high)), dashed=True))
    if look.level is not None:
        y = frame.y(look.level)
        parts.append(segment((frame.left, y), (frame.width - frame.right, y), dashed=True))
        if look.level_name:
            entries.append((look.level_name, "currentColor", True))
    for i, (name, points) in enumerate(drawn.items()):
        colour, dashed = COLOURS[i % len(COLOURS)], i >= len(COLOURS)
        parts.extend(_line(frame, points, colour, dashed, look))
        if name:
            entries.append((shortened(name, _NAME_WIDTH), colour, dashed))
    if len(series) > MAX_LINES:
        entries.append((f"and {len(series) - MAX_LINES} more", "none", False))
    names, height = legend(entries, frame.width, frame.height)
    described = f"{look.y_name} over {look.x_name}"
    listed = f" of {', '.join(name for name, _, _ in entries)}" if entries else ""
    return picture(
        shortened(title, 56), described + listed, [*parts, names], (frame.width, frame.height + height)
    )


def bars(points: Sequence[Point], title: str, x_name: str, y_name: str) -> str:
    """Draw upright bars of (middle, count) at equal distances and without gaps: a histogram."""
    if not points:
        return _nothing(title)
    width = points[1][0] - points[0][0] if len(points) > 1 else 1.0
    x_limits = (points[0][0] - width / 2, points[-1][0] + width / 2)
    y_limits = limits((y for _, y in points), include=(0.0,))
    frame = Frame(
        x_low=x_limits[0], x_high=x_limits[1], y_low=y_limits[0], y_high=y_limits[1], width=480, y_step=1
    )
    frame = msgspec.structs.replace(frame, left=margin(frame))
    parts = [axes(frame, x_name, y_name)]
    for x, y in points:
        left, right = frame.x(x - width / 2), frame.x(x + width / 2)
        size = (right - left - 1, frame.y(0) - frame.y(y))
        parts.append(box((left + 0.5, frame.y(y)), size, COLOURS[0], opacity=0.75, hint=f"{x:.4g}: {y:g}"))
    return picture(title, f"{y_name} by {x_name}", parts, (frame.width, frame.height))


def rows_of_bars(rows: Sequence[tuple[str, float, str]], title: str, description: str) -> str:
    """Draw lying bars, one (name, length, text) in each row.

    They go from zero to the right, or to the left if negative.
    """
    height, gap, top, width = 16, 6, 40, 440
    left = 28 + max(text_width(shortened(name, _BAR_NAME)) for name, _, _ in rows)
    right = 24 + max(text_width(shown) for _, _, shown in rows)
    low, high = min(0.0, *(value for _, value, _ in rows)), max(0.0, *(value for _, value, _ in rows))
    scale = (width - left - right) / ((high - low) or 1)
    zero = left - low * scale
    parts: list[str] = []
    for i, (name, value, shown) in enumerate(rows):
        y = top + i * (height + gap)
        start, end = sorted((zero, zero + value * scale))
        parts.append(text((left - 8, y + 12), shortened(name, _BAR_NAME), anchor="end"))
        parts.append(
            box((start, y), (max(end - start, 1), height), COLOURS[0], opacity=0.75, hint=f"{name}: {shown}")
        )
        parts.append(text((max(end, zero) + 6, y + 12), shown, anchor="start"))
    bottom = top + len(rows) * (height + gap)
    parts.append(segment((zero, top - 4), (zero, bottom)))
    return picture(title, description, parts, (width, bottom + 12))


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most 200 of the points: the lowest and the highest of every stretch, and both ends of the line."""
    if len(points) <= MAX_POINTS:
        return list(points)
    stretches = MAX_POINTS // 2 - 1
    inner = points[1:-1]
    kept: list[Point] = [points[0]]
    for i in range(stretches):
        stretch = range(len(inner) * i // stretches, len(inner) * (i + 1) // stretches)
        finite = [j for j in stretch if drawable(inner[j][1])] or list(stretch)[:1]
        ends = {min(finite, key=lambda j: inner[j][1]), max(finite, key=lambda j: inner[j][1])}
        kept.extend(inner[j] for j in sorted(ends))
    return [*kept, points[-1]]


def _frame(points: Sequence[Point], look: Look) -> Frame:
    """Choose the frame of a chart."""
    if look.unit:
        return Frame(x_low=0, x_high=1, y_low=0, y_high=1.02, width=380, height=340)
    x_limits = limits((x for x, _ in points), pad=0.03 if look.marks == "only" else 0)
    y_limits = limits([y for _, y in points] + ([] if look.level is None else [look.level]))
    if look.diagonal:
        x_limits = y_limits = limits(value for point in points for value in point)
    frame = Frame(
        x_low=x_limits[0],
        x_high=x_limits[1],
        y_low=y_limits[0],
        y_high=y_limits[1],
        width=480,
        x_step=1 if all(x == int(x) for x, _ in points) else 0,
    )
    return msgspec.structs.replace(frame, left=margin(frame))


def _line(frame: Frame, points: Sequence[Point], colour: str, dashed: bool, look: Look) -> list[str]:
    """Draw one line or cloud of points."""
    if look.marks == "only":
        finite = (point for point in points if all(map(drawable, point)))
        return [mark(frame, point, colour, opacity=0.55) for point in finite]
    parts = [polyline(frame, points, colour, dashed=dashed)]
    if look.marks == "on line":
        parts.extend(mark(frame, point, colour) for point in points)
    return parts


def _nothing(title: str) -> str:
    """Draw an empty chart."""
    return picture(shortened(title, 40), "No data", [text((150, 60), "no data yet")], (300, 90))

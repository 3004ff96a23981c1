"""The logged values of runs as curves: one picture for each metric, the runs laid over one another, and a table."""

from collections.abc import Mapping

import msgspec

from fairway.evaluation import line_chart
from fairway.evaluation.drawing import Point
from fairway.spec.run import MetricPoint, RunStatus

_MOST_CURVES = 24
_MOST_ROWS = 200
_MOST_SINGLES = 200

Series = dict[str, list[Point]]
"""The points of each metric by "step/metric", or by "metric" for what the pipeline logged."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over its index.

    Attributes:
        svg: the picture.
        names: the runs, or the one metric, that the columns of the table are of.
        rows: the index and a value for each name, as far as they are shown.
        points: the number of all points.
    """

    title: str
    svg: str
    names: list[str]
    rows: list[tuple[float, list[float | None]]]
    points: int


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was logged: curves, values that stand alone, and the numbers of those that are not shown."""

    curves: list[Curve]
    singles: list[tuple[str, float]]
    more: int


def series_of(status: RunStatus) -> Series:
    """Return the points of all metrics of a run."""
    found = _points("", status.metrics)
    for step in status.steps:
        found |= _points(f"{step.spec.name}/", step.metrics)
    return found


def logged(series: Series) -> Logged:
    """Return what one run logged."""
    lines = {name: points for name, points in series.items() if len(points) > 1}
    singles = [(name, points[0][1]) for name, points in series.items() if len(points) == 1]
    shown = [curve(name, {name: points}) for name, points in list(lines.items())[:_MOST_CURVES]]
    more = max(0, len(lines) - _MOST_CURVES) + max(0, len(singles) - _MOST_SINGLES)
    return Logged(curves=shown, singles=singles[:_MOST_SINGLES], more=more)


def overlaid(by_run: Mapping[str, Series]) -> list[Curve]:
    """Return a curve for each metric that several runs logged, with a line for each run."""
    titles = dict.fromkeys(
        name for series in by_run.values() for name, points in series.items() if len(points) > 1
    )
    return [
        curve(title, {run: series[title] for run, series in by_run.items() if title in series})
        for title in list(titles)[:_MOST_CURVES]
    ]


def curve(title: str, lines: Mapping[str, list[Point]]) -> Curve:
    """Return one picture with its table."""
    named = {name if len(lines) > 1 else "": points for name, points in lines.items()}
    at = sorted({x for points in lines.values() for x, _ in points})
    values = [dict(points) for points in lines.values()]
    return Curve(
        title=title,
        svg=line_chart(named, title=title, y_name=title.rpartition("/")[2]),
        names=list(lines),
        rows=[(x, [one.get(x) for one in values]) for x in _spread(at)],
        points=sum(map(len, lines.values())),
    )


def _spread(at: list[float]) -> list[float]:
    """Return all places, or every second, fifth, tenth and so on of them with the last. So round places are among them."""
    strides = (digit * 10**power for power in range(20) for digit in (1, 2, 5))
    stride = next(one for one in strides if len(at) <= one * _MOST_ROWS)
    return at[::stride] if (len(at) - 1) % stride == 0 else [*at[::stride], at[-1]]


def _points(before: str, points: tuple[MetricPoint, ...]) -> Series:
    found: Series = {}
    for point in points:
        found.setdefault(before + point.name, []).append((point.index, point.value))
    return found

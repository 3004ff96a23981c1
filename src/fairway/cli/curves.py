"""Logged values as small pictures of text: a line of blocks on a terminal, and of numbers elsewhere."""

import math
import sys
from collections.abc import Sequence

from fairway.spec.run import MetricPoint, RunStatus

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_FEW = 5


def series_of(status: RunStatus) -> dict[str, list[float]]:
    """Return the values of each metric that was logged several times, by "step/metric"."""
    found: dict[str, list[float]] = {}
    for point in status.metrics:
        found.setdefault(point.name, []).append(point.value)
    for step in status.steps:
        for point in step.metrics:
            found.setdefault(f"{step.spec.name}/{point.name}", []).append(point.value)
    return {name: values for name, values in found.items() if len(values) > 1}


def of_points(points: Sequence[MetricPoint]) -> dict[str, list[float]]:
    """Return the values of each metric by name, in their order."""
    found: dict[str, list[float]] = {}
    for point in points:
        found.setdefault(point.name, []).append(point.value)
    return found


def sparkline(values: Sequence[float]) -> str:
    """Return values as a curve for a terminal, and as a few numbers from first to last where nobody looks at one."""
    if not sys.stdout.isatty():
        return numbers(values)
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return "no numbers"
    low, high = min(known), max(known)
    return f"{''.join(_block(value, low, high) for value in _spread(values, _WIDTH))}  {_ends(known)}"


def numbers(values: Sequence[float]) -> str:
    """Return a few of the values from the first to the last."""
    return " ".join(f"{value:.4g}" for value in _spread(values, _FEW))


def _ends(known: Sequence[float]) -> str:
    return f"{known[0]:.4g} to {known[-1]:.4g}, least {min(known):.4g}, greatest {max(known):.4g}"


def _spread(values: Sequence[float], most: int) -> list[float]:
    """Return at most so many of the values, evenly from the first to the last."""
    if len(values) <= most:
        return list(values)
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _block(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return " "
    if high == low:
        return _BLOCKS[0]
    return _BLOCKS[min(len(_BLOCKS) - 1, int((value - low) / (high - low) * len(_BLOCKS)))]

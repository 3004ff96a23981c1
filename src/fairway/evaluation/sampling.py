"""The choice of few among many points, so that an evaluation stays small and its pictures keep their shape.

Every function is deterministic and returns some of the points that it was given. This module does not know what they
mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairway.evaluation.arrays import Floats

MAX_POINTS = 200
"""The largest number of points in a curve."""
_DIGITS = 6

Points = tuple[tuple[float, float], ...]


def along(x: Floats, y: Floats, limit: int = MAX_POINTS) -> Points:
    """Return at most `limit` points of a line, spaced evenly along its length, always with both ends.

    The length is measured on the unit square of the line's own extent.

    Args:
        x: shape (n,).
        y: shape (n,).
        limit: the largest number of points.
    """
    if len(x) > limit:
        way = np.concatenate([np.zeros(1), np.cumsum(_scaled(x) + _scaled(y))])
        marks = np.linspace(0, float(way[-1]), limit)
        found: NDArray[np.int64] = np.searchsorted(way, marks)
        kept = np.unique(np.concatenate([[0], np.minimum(found[1:-1], len(x) - 1), [len(x) - 1]]))
        x, y = x[kept], y[kept]
    return points(x, y)


def spread(x: Floats, y: Floats, limit: int = MAX_POINTS) -> Points:
    """Return at most `limit` points of a cloud.

    A tenth of them are those farthest from y = x. The others lie evenly over sorted x.
    """
    if len(x) > limit:
        far = np.argsort(-abs(y - x), kind="stable")[: limit // 10]
        rest = np.setdiff1d(np.arange(len(x)), far)
        rest = rest[np.argsort(x[rest], kind="stable")]
        rest = rest[np.linspace(0, len(rest) - 1, limit - len(far)).round().astype(np.int64)]
        kept = np.sort(np.concatenate([far, rest]))
        x, y = x[kept], y[kept]
    return points(x, y)


def stratified(clusters: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return about `limit` row numbers. Every cluster has its share of the rows, and at least two if it has two."""
    order = np.argsort(clusters, kind="stable")
    sizes = np.bincount(clusters)
    ends = np.cumsum(sizes)
    mixed = np.random.default_rng(0)
    kept: list[NDArray[np.int64]] = []
    for size, end in zip(sizes.tolist(), ends.tolist(), strict=True):
        wanted = min(size, max(2, round(limit * size / len(clusters))))
        kept.append(mixed.choice(order[end - size : end], wanted, replace=False))
    return np.sort(np.concatenate(kept))


def most_frequent(counts: NDArray[np.int64], limit: int) -> list[int]:
    """Return the numbers of the `limit` largest counts, in ascending order. The first of equal counts wins."""
    largest: list[int] = np.argsort(-counts, kind="stable")[:limit].tolist()
    return sorted(largest)


def points(x: Floats, y: Floats) -> Points:
    """Return pairs of plain floats with six significant digits."""
    rounded = ([float(f"{value:.{_DIGITS}g}") for value in each.tolist()] for each in (x, y))
    return tuple(zip(*rounded, strict=True))


def _scaled(values: Floats) -> Floats:
    """Return the steps between values as shares of their extent."""
    steps = abs(np.diff(values))
    extent = float(values.max() - values.min())
    return steps / extent if extent > 0 else steps

"""Metrics of clusters: how well they separate the data, and how well they agree with known classes.

Formulas and edge cases are those of scikit-learn (user guide, "Clustering performance evaluation"). Distances are
Euclidean. Memory is bounded, because the distances between all rows never exist at once. This module does not know
where clusters come from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairway.evaluation.arrays import Ints

BLOCK = 4_000_000
"""The number of distances that are held in memory at once: 32 MB."""

_ROUNDING = 1e-14


def silhouettes(data: NDArray[np.float64], clusters: Ints) -> NDArray[np.float64]:
    """Compute the silhouette of each row, shape (n,).

    It is (b − a) / max(a, b). a is the mean distance to the other rows of the own cluster, and b the mean distance to
    the rows of the nearest other cluster (Rousseeuw 1987). It is 0 for a row that is alone in its cluster. Time grows
    with n² · d, and memory with n.

    Args:
        data: the rows, shape (n, d).
        clusters: cluster numbers 0…k−1, shape (n,). Every number is used, and k is at least 2.
    """
    order = np.argsort(clusters, kind="stable")
    rows = data[order] - data.mean(axis=0)
    own = clusters[order]
    sizes = np.bincount(own)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    result = np.empty(len(rows))
    step = max(1, BLOCK // len(rows))
    for low in range(0, len(rows), step):
        part = slice(low, min(low + step, len(rows)))
        distances = distances_between(rows[part], rows)
        distances[np.arange(part.stop - low), np.arange(low, part.stop)] = 0
        sums = np.add.reduceat(distances, starts, axis=1)
        result[order[part]] = _silhouettes_of(sums, own[part], sizes)
    return result


def _silhouettes_of(sums: NDArray[np.float64], own: Ints, sizes: Ints) -> NDArray[np.float64]:
    """Compute silhouettes of some rows from their summed distances to each cluster."""
    here = np.arange(len(own))
    inside = sums[here, own] / np.maximum(sizes[own] - 1, 1)
    means = sums / sizes
    means[here, own] = np.inf
    outside = means.min(axis=1)
    larger = np.maximum(inside, outside)
    result = np.divide(outside - inside, larger, out=np.zeros(len(own)), where=larger > 0)
    result[sizes[own] == 1] = 0
    return result


def distances_between(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute Euclidean distances of all rows of (m, d) to all rows of (n, d), shape (m, n).

    A distance that only rounding causes is 0. The computation is |x − y|² = |x|² + |y|² − 2xy, which is fast. The
    data should be centred, because large numbers lose digits in it.
    """
    scale = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)
    squares = scale - 2 * (left @ right.T)
    squares[squares < scale * _ROUNDING] = 0
    return np.sqrt(squares, out=squares)


def calinski_harabasz(data: NDArray[np.float64], clusters: Ints) -> float:
    """Compute the spread between clusters over the spread within, per degree of freedom (Caliński & Harabasz 1974)."""
    sizes = np.bincount(clusters)
    centres = _centres(data, clusters, sizes)
    between = float((sizes * ((centres - data.mean(axis=0)) ** 2).sum(axis=1)).sum())
    within = float(((data - centres[clusters]) ** 2).sum())
    if within == 0:
        return 1.0
    return between * (len(data) - len(sizes)) / (within * (len(sizes) - 1))


def davies_bouldin(data: NDArray[np.float64], clusters: Ints) -> float:
    """Compute the mean over clusters of the worst (scatter + scatter) / distance to another (Davies & Bouldin 1979)."""
    sizes = np.bincount(clusters)
    centres = _centres(data, clusters, sizes)
    scatter = np.bincount(clusters, weights=np.sqrt(((data - centres[clusters]) ** 2).sum(axis=1))) / sizes
    centres = centres - data.mean(axis=0)
    worst = np.empty(len(sizes))
    apart = False
    step = max(1, BLOCK // len(sizes))
    for low in range(0, len(sizes), step):
        part = slice(low, min(low + step, len(sizes)))
        distances = distances_between(centres[part], centres)
        distances[np.arange(part.stop - low), np.arange(low, part.stop)] = 0
        apart = apart or bool((distances > 1e-8).any())
        distances[distances == 0] = np.inf
        worst[part] = ((scatter[part, None] + scatter) / distances).max(axis=1)
    return float(worst.mean()) if apart and bool((scatter > 1e-8).any()) else 0.0


def _centres(data: NDArray[np.float64], clusters: Ints, sizes: Ints) -> NDArray[np.float64]:
    """Compute the centre of each cluster, shape (k, d)."""
    sums = np.stack([np.bincount(clusters, weights=data[:, j]) for j in range(data.shape[1])], axis=1)
    return sums / sizes[:, None]


def adjusted_rand(truth: Ints, clusters: Ints) -> float:
    """Compute the share of pairs of rows on which two partitions agree, corrected for chance (Hubert & Arabie 1985).

    It is at most 1.
    """
    both, true, found = _overlap(truth, clusters)
    rows = len(truth)
    same_both = _squares(both)
    apart_found = _squares(true) - same_both
    apart_true = _squares(found) - same_both
    apart_both = rows * rows - apart_found - apart_true - same_both
    same_both -= rows
    if apart_found == 0 and apart_true == 0:
        return 1.0
    agreement = 2 * (same_both * apart_both - apart_found * apart_true)
    chance = (same_both + apart_found) * (apart_found + apart_both)
    return agreement / (chance + (same_both + apart_true) * (apart_true + apart_both))


def mutual_information(truth: Ints, clusters: Ints) -> float:
    """Compute the mutual information over the mean of the two entropies, 0 to 1 (Vinh et al. 2010)."""
    both, true, found = _overlap(truth, clusters)
    if len(true) == 1 or len(found) == 1:
        return 1.0 if len(true) == len(found) else 0.0
    information = _entropy(true) + _entropy(found) - _entropy(both)
    if information < 4 * np.finfo(np.float64).eps * len(both):
        return 0.0
    return 2 * information / (_entropy(true) + _entropy(found))


def _overlap(truth: Ints, clusters: Ints) -> tuple[Ints, Ints, Ints]:
    """Count rows by pair of class and cluster, by class and by cluster."""
    pairs = truth * (int(clusters.max()) + 1) + clusters
    counts = (np.unique(each, return_counts=True)[1] for each in (pairs, truth, clusters))
    both, true, found = counts
    return both, true, found


def _squares(counts: Ints) -> int:
    """Sum the squares of counts, as integers without a limit."""
    return sum(count * count for count in counts.tolist())


def _entropy(counts: Ints) -> float:
    """Compute the entropy of counts."""
    rows = int(counts.sum())
    return -math.fsum(count / rows * math.log(count / rows) for count in counts.tolist())

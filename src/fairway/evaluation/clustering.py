"""How well clusters separate the data, and how well they agree with known classes.

Formulas and edge cases are scikit-learn's (user guide, "Clustering performance evaluation"); distances are
Euclidean. Memory is bounded: distances between all rows never exist at once. It must not know where clusters
come from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairway.evaluation.arrays import Ints

BLOCK = 4_000_000
"""Distances held in memory at once: 32 MB."""

_ROUNDING = 1e-14


def silhouettes(data: NDArray[np.float64], clusters: Ints) -> NDArray[np.float64]:
    """Silhouette of each row, shape (n,), from data (n, d) and cluster numbers 0…k−1 (n,), all of them in
    use.

    (b − a) / max(a, b), a being the mean distance to the other rows of the own cluster and b to the rows of
    the nearest other cluster (Rousseeuw 1987); 0 for a row that is alone in its cluster. Needs two clusters.
    Time grows with n² · d, memory with n.
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
    """Euclidean distances of all rows of (m, d) to all of (n, d), (m, n); 0 where only rounding differs.

    Fast by |x − y|² = |x|² + |y|² − 2xy, so the data should be centred.
    """
    scale = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)
    squares = scale - 2 * (left @ right.T)
    squares[squares < scale * _ROUNDING] = 0
    return np.sqrt(squares, out=squares)


def calinski_harabasz(data: NDArray[np.float64], clusters: Ints) -> float:
    """Spread between clusters over spread within, per degree of freedom (Caliński & Harabasz 1974)."""
    sizes = np.bincount(clusters)
    centres = _centres(data, clusters, sizes)
    between = float((sizes * ((centres - data.mean(axis=0)) ** 2).sum(axis=1)).sum())
    within = float(((data - centres[clusters]) ** 2).sum())
    if within == 0:
        return 1.0
    return between * (len(data) - len(sizes)) / (within * (len(sizes) - 1))


def davies_bouldin(data: NDArray[np.float64], clusters: Ints) -> float:
    """Mean over clusters of the worst (scatter + scatter) / distance to another (Davies & Bouldin 1979)."""
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
    sums = np.stack([np.bincount(clusters, weights=data[:, j]) for j in range(data.shape[1])], axis=1)
    return sums / sizes[:, None]


def adjusted_rand(truth: Ints, clusters: Ints) -> float:
    """Pairs of rows on which two partitions agree, corrected for chance (Hubert & Arabie 1985); at most 1."""
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
    """Mutual information over the mean of the two entropies (Vinh et al. 2010), 0 to 1."""
    both, true, found = _overlap(truth, clusters)
    if len(true) == 1 or len(found) == 1:
        return 1.0 if len(true) == len(found) else 0.0
    information = _entropy(true) + _entropy(found) - _entropy(both)
    if information < 4 * np.finfo(np.float64).eps * len(both):
        return 0.0
    return 2 * information / (_entropy(true) + _entropy(found))


def _overlap(truth: Ints, clusters: Ints) -> tuple[Ints, Ints, Ints]:
    pairs = truth * (int(clusters.max()) + 1) + clusters
    counts = (np.unique(each, return_counts=True)[1] for each in (pairs, truth, clusters))
    both, true, found = counts
    return both, true, found


def _squares(counts: Ints) -> int:
    return sum(count * count for count in counts.tolist())


def _entropy(counts: Ints) -> float:
    rows = int(counts.sum())
    return -math.fsum(count / rows * math.log(count / rows) for count in counts.tolist())

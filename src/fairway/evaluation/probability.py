"""How honest probabilities are: log loss, Brier score and calibration.

It must not know labels: outcomes come as class numbers or booleans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairway.evaluation.arrays import Bools, Floats, Ints

BINS = 10
_SUM_TOLERANCE = 1e-3


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Non-empty bins of equal width over predicted probability, each of shape (b,), b ≤ 10.

    Attributes:
        predicted: mean predicted probability in the bin.
        observed: share of rows in the bin where it came true.
        rows: number of rows in the bin.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    rows: Ints


def are_probabilities(scores: Floats) -> bool:
    """Whether scores of shape (n,) or (n, k) are within 0 and 1 and, per row, add up to 1 (±0.001)."""
    if bool((scores < 0).any()) or bool((scores > 1).any()):
        return False
    return scores.ndim == 1 or bool((abs(scores.sum(axis=1) - 1) <= _SUM_TOLERANCE).all())


def log_loss(of_truth: Floats) -> float:
    """Mean of −ln p, p being the probability given to the true class, shape (n,).

    As in scikit-learn, p is kept away from 0 and 1 by the precision of its own type.
    """
    margin = np.finfo(of_truth.dtype).eps
    return float(-np.log(np.clip(of_truth, margin, 1 - margin).astype(np.float64)).mean())


def brier_two(positive: Bools, probability: Floats) -> float:
    """Mean squared distance of the positive class's probability, (n,), to 0 or 1 (Brier 1950, halved)."""
    return float(((probability.astype(np.float64) - positive) ** 2).mean())


def brier_many(truth: Ints, probability: Floats) -> float:
    """Mean over rows of the squared distances over all classes (Brier 1950), 0 to 2; probability (n, k)."""
    wide = probability.astype(np.float64)
    of_truth = wide[np.arange(len(truth)), truth]
    return float(((wide**2).sum(axis=1) - 2 * of_truth + 1).mean())


def calibration(came_true: Bools, probability: Floats) -> Calibration:
    """Group rows by predicted probability, (n,), in tenths; a value on an edge is in the lower bin."""
    wide = probability.astype(np.float64)
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], wide)
    rows = np.bincount(bins, minlength=BINS)
    filled = rows > 0
    return Calibration(
        predicted=np.bincount(bins, weights=wide, minlength=BINS)[filled] / rows[filled],
        observed=np.bincount(bins, weights=came_true, minlength=BINS)[filled] / rows[filled],
        rows=rows[filled],
    )


def calibration_error(groups: Calibration) -> float:
    """Distance of predicted to observed, averaged over rows (expected calibration error, Guo et al. 2017)."""
    return float((abs(groups.predicted - groups.observed) * groups.rows).sum() / groups.rows.sum())

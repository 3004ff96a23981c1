"""Metrics of probabilities: log loss, Brier score and calibration.

This module does not know labels. Outcomes are class numbers or booleans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairway.evaluation.arrays import Bools, Floats, Ints

BINS = 10
"""The number of bins of a calibration."""
_SUM_TOLERANCE = 1e-3


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The bins of equal width over predicted probability that hold rows, each of shape (b,) with b ≤ 10.

    Attributes:
        predicted: the mean predicted probability in each bin.
        observed: the share of rows in each bin whose event came true.
        rows: the number of rows in each bin.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    rows: Ints


def are_probabilities(scores: Floats) -> bool:
    """Tell whether scores of shape (n,) or (n, k) lie between 0 and 1 and add up to 1 (±0.001) in each row."""
    if bool((scores < 0).any()) or bool((scores > 1).any()):
        return False
    return scores.ndim == 1 or bool((abs(scores.sum(axis=1) - 1) <= _SUM_TOLERANCE).all())


def log_loss(of_truth: Floats) -> float:
    """Compute the mean of −ln p. p is the probability of the true class, shape (n,).

    p is kept away from 0 and 1 by the precision of its own type, as in scikit-learn.
    """
    margin = np.finfo(of_truth.dtype).eps
    return float(-np.log(np.clip(of_truth, margin, 1 - margin).astype(np.float64)).mean())


def brier_two(positive: Bools, probability: Floats) -> float:
    """Compute the mean squared distance of the positive class's probability, (n,), to 0 or 1 (Brier 1950, halved)."""
    return float(((probability.astype(np.float64) - positive) ** 2).mean())


def brier_many(truth: Ints, probability: Floats) -> float:
    """Compute the mean over rows of the squared distances over all classes, 0 to 2 (Brier 1950).

    Args:
        truth: class numbers, shape (n,).
        probability: probabilities, shape (n, k).
    """
    wide = probability.astype(np.float64)
    of_truth = wide[np.arange(len(truth)), truth]
    return float(((wide**2).sum(axis=1) - 2 * of_truth + 1).mean())


def calibration(came_true: Bools, probability: Floats) -> Calibration:
    """Group rows by predicted probability, (n,), in tenths. A value on an edge belongs to the lower bin."""
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
    """Compute the distance of predicted to observed, averaged over rows.

    This is the expected calibration error (Guo et al. 2017).
    """
    return float((abs(groups.predicted - groups.observed) * groups.rows).sum() / groups.rows.sum())

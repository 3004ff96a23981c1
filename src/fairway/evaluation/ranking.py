"""Metrics of the order that scores give to rows: ROC curve and area, precision-recall curve and average precision.

Ties are one step of a curve, as in scikit-learn. This module does not know whether scores are probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairway.evaluation.arrays import Bools, Floats, Ints


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """Counts above each distinct score, from the highest score down. The last entry counts all rows.

    Attributes:
        hits: the positive rows with at least that score, shape (t,).
        alarms: the negative rows with at least that score, shape (t,).
    """

    hits: Ints
    alarms: Ints


def ranking(positive: Bools, scores: Floats) -> Ranking:
    """Order rows by score, both of shape (n,). A higher score means more likely positive."""
    order = np.argsort(scores, kind="stable")[::-1]
    ordered = scores[order]
    # Rows with one score come in one step: their order among themselves says nothing.
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    hits = np.cumsum(positive[order], dtype=np.int64)[ends]
    return Ranking(hits=hits, alarms=ends + 1 - hits)


def roc_curve(ranked: Ranking) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute false and true positive rates from (0, 0) to (1, 1), each of shape (t + 1,).

    Both kinds of rows must occur.
    """
    start = np.zeros(1)
    return (
        np.concatenate([start, ranked.alarms / ranked.alarms[-1]]),
        np.concatenate([start, ranked.hits / ranked.hits[-1]]),
    )


def roc_auc(ranked: Ranking) -> float:
    """Compute the area under the ROC curve by trapezoids.

    It is the chance that a positive row has a higher score than a negative one.
    """
    false_rate, true_rate = roc_curve(ranked)
    return float((np.diff(false_rate) * (true_rate[1:] + true_rate[:-1])).sum() / 2)


def precision_recall_curve(ranked: Ranking) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute recall and precision, each of shape (t + 1,). They begin at recall 0, where precision is 1 by convention.

    A positive row must occur.
    """
    precision = ranked.hits / (ranked.hits + ranked.alarms)
    return (
        np.concatenate([np.zeros(1), ranked.hits / ranked.hits[-1]]),
        np.concatenate([np.ones(1), precision]),
    )


def average_precision(ranked: Ranking) -> float:
    """Sum precision times the gain in recall, without interpolation."""
    recall, precision = precision_recall_curve(ranked)
    return float((np.diff(recall) * precision[1:]).sum())

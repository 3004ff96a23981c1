"""Metrics of the named classes: accuracy, precision, recall, F1 and the confusion matrix.

Formulas and edge cases are those of scikit-learn (user guide, "Classification metrics"). A division by zero gives 0.
This module knows neither scores nor probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairway.evaluation.arrays import Floats, Ints


class ClassCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows per class, each of shape (k,): rightly named rows, rows of the truth, and rows of the prediction."""

    hits: Ints
    true: Ints
    predicted: Ints


class ClassShares(msgspec.Struct, frozen=True, kw_only=True):
    """Precision, recall and F1 of each class against the rest, each of shape (k,), between 0 and 1."""

    precision: Floats
    recall: Floats
    f1: Floats


def class_counts(truth: Ints, predicted: Ints, classes: int) -> ClassCounts:
    """Count rows per class from class numbers of shape (n,)."""
    return ClassCounts(
        hits=np.bincount(truth[truth == predicted], minlength=classes),
        true=np.bincount(truth, minlength=classes),
        predicted=np.bincount(predicted, minlength=classes),
    )


def class_shares(counts: ClassCounts) -> ClassShares:
    """Compute precision = hits / predicted, recall = hits / true, F1 = 2 hits / (predicted + true)."""
    return ClassShares(
        precision=_ratio(counts.hits, counts.predicted),
        recall=_ratio(counts.hits, counts.true),
        f1=_ratio(2 * counts.hits, counts.predicted + counts.true),
    )


def class_metrics(counts: ClassCounts, positive: int | None) -> dict[str, float]:
    """Compute the flat metrics.

    Args:
        counts: the rows per class.
        positive: the class of precision, recall and F1. None averages these over all classes. −1 is a class without
            any row, for which they are 0.
    """
    shares = class_shares(counts)
    rows = int(counts.true.sum())
    present = counts.true > 0
    metrics = {
        "accuracy": float(counts.hits.sum() / rows),
        "balanced_accuracy": float(shares.recall[present].mean()),
    }
    named = {"precision": shares.precision, "recall": shares.recall, "f1": shares.f1}
    for name, values in named.items():
        if positive is None:
            metrics[name] = float(values.mean())
        else:
            metrics[name] = float(values[positive]) if positive >= 0 else 0.0
    for name, values in named.items():
        metrics[f"{name}_macro"] = float(values.mean())
        metrics[f"{name}_weighted"] = float((values * counts.true).sum() / rows)
        metrics[f"{name}_micro"] = metrics["accuracy"]
    return metrics


def confusion_matrix(truth: Ints, predicted: Ints, classes: int) -> NDArray[np.int64]:
    """Count rows per true class (first axis) and predicted class (second axis), shape (k, k)."""
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def _ratio(part: Ints, whole: Ints) -> NDArray[np.float64]:
    """Divide, with 0 for a division by zero."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)

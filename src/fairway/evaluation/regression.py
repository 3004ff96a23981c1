"""Metrics of predicted quantities: their distances from the truth.

Formulas and edge cases are those of scikit-learn (user guide, "Regression metrics"). This module does not know classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairway.evaluation.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def regression_metrics(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Compute the errors of quantities of shape (n,), in the unit of the truth. MAPE and R² have no unit.

    R² is NaN for a single row. Values may overflow to infinity, without a warning.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = abs(truth - predicted)
        return {
            "rmse": float(np.sqrt((error**2).mean())),
            "mae": float(error.mean()),
            "median_error": float(np.median(error)),
            "r2": r2(truth, predicted),
            "mape": float((error / np.maximum(abs(truth), np.finfo(np.float64).eps)).mean()),
        }


def r2(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Compute 1 − squared errors / squared distances to the mean.

    For a constant truth it is 1 if the prediction is perfect and 0 otherwise. It is NaN for fewer than two rows.
    """
    if len(truth) < 2:
        return float("nan")
    unexplained = float(((truth - predicted) ** 2).sum())
    total = float(((truth - truth.mean()) ** 2).sum())
    if total == 0:
        return 1.0 if unexplained == 0 else 0.0
    return 1 - unexplained / total

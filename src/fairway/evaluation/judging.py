"""The evaluations of a regressor, a clustering and an agent, with the reasons why metrics are absent.

This module knows neither formulas nor the types that people pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fairway.evaluation.arrays import np, numbers, same_length
from fairway.evaluation.clustering import (
    adjusted_rand,
    calinski_harabasz,
    davies_bouldin,
    mutual_information,
    silhouettes,
)
from fairway.evaluation.episodes import histogram, return_metrics
from fairway.evaluation.regression import regression_metrics
from fairway.evaluation.sampling import along, most_frequent, spread, stratified
from fairway.evaluation.targets import MANY, codes_of
from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import ClusterMetrics, Curve, Evaluation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fairway.evaluation.arrays import Column, Floats, Ints

SILHOUETTE_ROWS = 20_000
"""The number of rows beyond which silhouettes are taken from a sample, because their cost grows with the square."""


def judge_quantities(truth: Column, predicted: Column) -> Evaluation:
    """Evaluate predicted quantities, both of shape (n,). Raises FairwayError."""
    same_length(("truth", len(truth)), ("predicted", len(predicted)))
    wanted, got = numbers(truth, "truth"), numbers(predicted, "predicted")
    zeros = bool((wanted == 0).any())
    return Evaluation(
        kind="regression",
        count=len(wanted),
        metrics=regression_metrics(wanted, got),
        curves=(Curve("predictions", spread(wanted, got)),),
        absent={"r2": "it needs two rows at least"} if len(wanted) < 2 else {},
        notes=("mape is not meaningful here, because the truth holds zeros",) if zeros else (),
    )


def judge_clusters(clusters: Column, data: Floats | None, truth: Column | None) -> Evaluation:
    """Evaluate clusters of shape (n,) against the data (n, d), the true classes (n,), or both. Raises FairwayError."""
    labels, codes = codes_of(clusters, "clusters")
    metrics: dict[str, float] = {}
    absent: dict[str, str] = {}
    notes: list[str] = []
    per_row: Floats | None = None
    rows: Ints = np.arange(len(codes))
    if data is not None:
        same_length(("clusters", len(codes)), ("data", len(data)))
        if 2 <= len(labels) < len(codes):
            wide = (data if data.ndim == 2 else data[:, None]).astype(np.float64)
            rows, per_row = _silhouettes(wide, codes, absent, notes)
            with np.errstate(over="ignore", invalid="ignore"):
                if per_row is not None:
                    metrics["silhouette"] = float(per_row.mean())
                metrics["calinski_harabasz"] = calinski_harabasz(wide, codes)
                metrics["davies_bouldin"] = davies_bouldin(wide, codes)
        else:
            why = f"it needs two clusters at least and fewer than rows, and there are {len(labels):,}"
            absent.update(dict.fromkeys(("silhouette", "calinski_harabasz", "davies_bouldin"), why))
    if truth is not None:
        same_length(("clusters", len(codes)), ("truth", len(truth)))
        known = codes_of(truth, "truth")[1]
        metrics["ari"] = adjusted_rand(known, codes)
        metrics["nmi"] = mutual_information(known, codes)
    if len(labels) > MANY:
        notes.append(f"the {MANY} largest of {len(labels):,} clusters are listed")
    sizes = np.bincount(codes)
    means = _means(codes[rows], per_row, len(labels))
    per_cluster = tuple(
        ClusterMetrics(label=labels[i], count=int(sizes[i]), silhouette=means[i])
        for i in most_frequent(sizes, MANY)
    )
    return Evaluation(
        kind="clustering",
        count=len(codes),
        metrics=metrics,
        per_cluster=per_cluster,
        absent=absent,
        notes=tuple(notes),
    )


def judge_episodes(returns: object, lengths: object) -> Evaluation:
    """Evaluate episodes by their returns and, if given, their lengths in steps, both of shape (n,).

    Raises FairwayError.
    """
    values = numbers(returns, "returns")
    metrics = return_metrics(values)
    if lengths is not None:
        steps = numbers(lengths, "lengths")
        same_length(("returns", len(values)), ("lengths", len(steps)))
        if bool((steps < 0).any()):
            raise FairwayError(
                "lengths holds a negative number of steps", hint="pass the steps of each episode"
            )
        metrics["mean_length"] = float(steps.mean())
    one = "one episode says nothing about the spread"
    unknown = ("mean_return_low", "mean_return_high", "std_return")
    numbered = np.arange(1, len(values) + 1).astype(np.float64)
    return Evaluation(
        kind="episodes",
        count=len(values),
        metrics=metrics,
        curves=(Curve("returns", along(numbered, values)), Curve("histogram", histogram(values))),
        absent=dict.fromkeys(unknown, one) if len(values) == 1 else {},
    )


def _silhouettes(
    data: NDArray[np.float64], codes: Ints, absent: dict[str, str], notes: list[str]
) -> tuple[Ints, Floats | None]:
    """Compute silhouettes of all rows or of a sample, and note the reason for a sample or for none.

    Returns:
        the numbers of the rows, and their silhouettes.
    """
    rows: Ints = np.arange(len(codes))
    if len(codes) > SILHOUETTE_ROWS:
        rows = stratified(codes, SILHOUETTE_ROWS)
        if len(rows) > 2 * SILHOUETTE_ROWS:
            absent["silhouette"] = f"there are too many clusters for a sample of {SILHOUETTE_ROWS:,} rows"
            return rows, None
        notes.append(f"silhouette is taken from a sample of {len(rows):,} of {len(codes):,} rows")
    with np.errstate(over="ignore", invalid="ignore"):
        return rows, silhouettes(data[rows], codes[rows])


def _means(codes: Ints, per_row: Floats | None, clusters: int) -> list[float | None]:
    """Average the silhouettes of each cluster. Clusters without a finite mean have None."""
    if per_row is None:
        return [None] * clusters
    sums = np.bincount(codes, weights=per_row, minlength=clusters) / np.bincount(codes, minlength=clusters)
    return [value if math.isfinite(value) else None for value in sums.tolist()]

"""The record of an evaluation: metrics by name, details per class and data for pictures.

An `Evaluation` is small enough to travel inside a result. It is kept with the model that it judges, and gates read
it. This module does not know how a value is computed or a picture is drawn.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from fairway.spec.errors import FairwayError
from fairway.spec.metrics import METRICS, Kind, Label, format_label, format_metric

CurveName = Literal["roc", "precision_recall", "calibration", "predictions", "returns", "histogram"]

_TEXT_ROWS = 20


class MetricMissing(FairwayError, AttributeError):
    """The error for a metric that an evaluation does not have.

    The message gives the reason, the hint the metrics it has.
    """


class Curve(msgspec.Struct, frozen=True, omit_defaults=True):
    """The points of a line or cloud in a picture. A picture has at most 200 points.

    (x, y) mean, by name: "roc" (false positive rate, true positive rate); "precision_recall" (recall, precision);
    "calibration" (mean predicted probability, observed share) per non-empty tenth; "predictions" (truth, predicted)
    of a sample of rows; "returns" (number of the episode from 1, return); "histogram" (middle of the bin, number of
    episodes).
    """

    name: CurveName
    points: tuple[tuple[float, float], ...]
    label: str = ""


class ClassMetrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A class against all others. `count` is the number of its rows in the truth. Shares are between 0 and 1."""

    label: Label
    precision: float
    recall: float
    f1: float
    count: int
    roc_auc: float | None = None
    average_precision: float | None = None


class ClusterMetrics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cluster: the number of its rows and, if data was given, their mean silhouette (−1 to 1)."""

    label: Label
    count: int
    silhouette: float | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of `fw.evaluate`.

    Every metric is an attribute of type float, and an entry of `metrics`, which gates read. A metric that the
    evaluation does not have raises `MetricMissing`. It is an AttributeError, so `getattr(report, name, None)` and
    `hasattr` work. Every number is finite. A value that is not defined for the data is left out, and `absent` gives
    the reason.

    Attributes:
        kind: the kind of evaluation.
        count: the number of rows or episodes.
        metrics: values by metric name.
        per_class: every class in order of the labels. Of more than 50 classes, the 50 most frequent.
        confusion: rows per true class (outer) and predicted class (inner), in the order of `per_class`. It is empty
            for more than 50 classes.
        positive: the class of precision, recall, f1, roc_auc and average_precision. None when they are averages over
            all classes.
        per_cluster: every cluster in order of the labels. Of more than 50 clusters, the 50 largest.
        curves: data of the pictures.
        absent: reasons for missing metrics, by metric name.
        notes: remarks that a reader needs to read the values right.
    """

    kind: Kind
    count: int
    metrics: dict[str, float]
    per_class: tuple[ClassMetrics, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    positive: Label | None = None
    per_cluster: tuple[ClusterMetrics, ...] = ()
    curves: tuple[Curve, ...] = ()
    absent: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()

    def metric(self, name: str) -> float:
        """Return the value of a metric by name. Raises MetricMissing when this evaluation does not have it."""
        value = self.metrics.get(name)
        if value is None:
            reason = self.absent.get(name) or _not_of_this_kind(name, self.kind)
            raise MetricMissing(
                f"this evaluation of {_of(self.kind)} has no {name}: {reason}",
                hint=f"it has {_listed(self.metrics)}",
            )
        return value

    @property
    def classes(self) -> tuple[Label, ...]:
        """The labels, in the order of `per_class` and `confusion`."""
        return tuple(each.label for each in self.per_class)

    @property
    def headline(self) -> str:
        """The name of the metric to show when there is room for one only. It is empty if there is none."""
        return next(
            (name for name, info in METRICS.items() if info.kind == self.kind and name in self.metrics), ""
        )

    @property
    def accuracy(self) -> float:
        """Share of rows whose class was predicted."""
        return self.metric("accuracy")

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls of the classes that occur in the truth."""
        return self.metric("balanced_accuracy")

    @property
    def precision(self) -> float:
        """Share of the rows predicted as `positive` that are; the mean over classes if that is None."""
        return self.metric("precision")

    @property
    def recall(self) -> float:
        """Share of the rows that are `positive` that were found; the mean over classes if that is None."""
        return self.metric("recall")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of `positive`; the mean over classes if that is None."""
        return self.metric("f1")

    @property
    def precision_macro(self) -> float:
        """Precision, plain mean over the classes."""
        return self.metric("precision_macro")

    @property
    def recall_macro(self) -> float:
        """Recall, plain mean over the classes."""
        return self.metric("recall_macro")

    @property
    def f1_macro(self) -> float:
        """F1, plain mean over the classes."""
        return self.metric("f1_macro")

    @property
    def precision_weighted(self) -> float:
        """Precision, mean over the classes weighted by their rows in the truth."""
        return self.metric("precision_weighted")

    @property
    def recall_weighted(self) -> float:
        """Recall, mean over the classes weighted by their rows in the truth."""
        return self.metric("recall_weighted")

    @property
    def f1_weighted(self) -> float:
        """F1, mean over the classes weighted by their rows in the truth."""
        return self.metric("f1_weighted")

    @property
    def precision_micro(self) -> float:
        """Precision over all decisions together; with one label per row it equals accuracy."""
        return self.metric("precision_micro")

    @property
    def recall_micro(self) -> float:
        """Recall over all decisions together; with one label per row it equals accuracy."""
        return self.metric("recall_micro")

    @property
    def f1_micro(self) -> float:
        """F1 over all decisions together; with one label per row it equals accuracy."""
        return self.metric("f1_micro")

    @property
    def roc_auc(self) -> float:
        """Area under the ROC curve; with three classes or more, the mean of one class against the rest."""
        return self.metric("roc_auc")

    @property
    def average_precision(self) -> float:
        """Area under the precision-recall steps; with three classes or more, the mean over the classes."""
        return self.metric("average_precision")

    @property
    def log_loss(self) -> float:
        """Mean negative log-likelihood of the true class, in nats; lower is better."""
        return self.metric("log_loss")

    @property
    def brier(self) -> float:
        """Mean squared error of the probabilities, 0 to 1 (2 with three classes or more); lower is better."""
        return self.metric("brier")

    @property
    def calibration_error(self) -> float:
        """Mean distance between predicted probability and observed share over ten bins; lower is better."""
        return self.metric("calibration_error")

    @property
    def mae(self) -> float:
        """Mean absolute error, in the unit of the truth."""
        return self.metric("mae")

    @property
    def rmse(self) -> float:
        """Root of the mean squared error, in the unit of the truth."""
        return self.metric("rmse")

    @property
    def r2(self) -> float:
        """Share of the variance explained; 1 is perfect, 0 is as good as the mean, negative is worse."""
        return self.metric("r2")

    @property
    def mape(self) -> float:
        """Mean absolute error relative to the truth, as a share (0.1 is ten per cent)."""
        return self.metric("mape")

    @property
    def median_error(self) -> float:
        """Median of the absolute errors, in the unit of the truth."""
        return self.metric("median_error")

    @property
    def silhouette(self) -> float:
        """Closeness of rows to their own cluster compared with the next one, −1 to 1."""
        return self.metric("silhouette")

    @property
    def calinski_harabasz(self) -> float:
        """Spread between clusters over spread within; higher is better, no upper bound."""
        return self.metric("calinski_harabasz")

    @property
    def davies_bouldin(self) -> float:
        """Mean similarity of each cluster to its most similar one; 0 is best."""
        return self.metric("davies_bouldin")

    @property
    def ari(self) -> float:
        """Adjusted Rand index of clusters and truth; 1 is the same partition, 0 is chance."""
        return self.metric("ari")

    @property
    def nmi(self) -> float:
        """Normalised mutual information of clusters and truth, 0 to 1."""
        return self.metric("nmi")

    @property
    def mean_return(self) -> float:
        """Mean return of the episodes."""
        return self.metric("mean_return")

    @property
    def mean_return_low(self) -> float:
        """Lower end of the 95 % confidence interval of the mean return."""
        return self.metric("mean_return_low")

    @property
    def mean_return_high(self) -> float:
        """Upper end of the 95 % confidence interval of the mean return."""
        return self.metric("mean_return_high")

    @property
    def std_return(self) -> float:
        """Sample standard deviation of the returns (divisor n − 1)."""
        return self.metric("std_return")

    @property
    def min_return(self) -> float:
        """The worst episode's return."""
        return self.metric("min_return")

    @property
    def max_return(self) -> float:
        """The best episode's return."""
        return self.metric("max_return")

    @property
    def mean_length(self) -> float:
        """Mean number of steps of an episode."""
        return self.metric("mean_length")

    def __repr__(self) -> str:
        shown = [f"{name}={self.metrics[name]:.4g}" for name in _shown(self)]
        return f"Evaluation({', '.join([*_heading(self), *shown])})"

    def __str__(self) -> str:
        return "\n\n".join(
            part for part in (_title(self), _values(self), _details(self), _remarks(self)) if part
        )

    def _repr_html_(self) -> str:
        return _drawing(self)


def class_rows(evaluation: Evaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the header and the rows of a table of the classes, as text."""
    header = ("class", "precision", "recall", "f1", "rows")
    rows = [
        (
            format_label(each.label),
            *(format_metric(v) for v in (each.precision, each.recall, each.f1)),
            f"{each.count:,}",
        )
        for each in evaluation.per_class
    ]
    return header, rows


def average_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Return the averages over classes as rows to put below `class_rows`. Micro averages equal the accuracy."""
    rows: list[tuple[str, ...]] = []
    for average in ("macro", "weighted"):
        values = [evaluation.metrics.get(f"{name}_{average}") for name in ("precision", "recall", "f1")]
        cells = [format_metric(value) for value in values if value is not None]
        if len(cells) == 3:
            rows.append((f"{average} mean", *cells, f"{evaluation.count:,}"))
    return rows


def cluster_rows(evaluation: Evaluation) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the header and the rows of a table of the clusters, as text."""
    rows = [
        (
            format_label(each.label),
            f"{each.count:,}",
            "" if each.silhouette is None else format_metric(each.silhouette),
        )
        for each in evaluation.per_cluster
    ]
    return ("cluster", "rows", "silhouette"), rows


def metric_rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return names and values of the metrics to show at a glance. Averages over classes are in `average_rows`."""
    return [(name, format_metric(evaluation.metrics[name])) for name in _shown(evaluation)]


def title_of(evaluation: Evaluation) -> str:
    """Return one line: the kind, the number of rows or episodes, and the positive class."""
    return _title(evaluation)


def draw_with(draw: Callable[[Evaluation], str]) -> None:
    """Set the function that shows an evaluation in a notebook. Until then a notebook shows its text."""
    global _drawing
    _drawing = draw


def _preformatted(evaluation: Evaluation) -> str:
    import html

    return f"<pre>{html.escape(str(evaluation))}</pre>"


_drawing: Callable[[Evaluation], str] = _preformatted


def _of(kind: Kind) -> str:
    return kind if kind == "episodes" else f"a {kind}"


def _listed(metrics: dict[str, float]) -> str:
    return ", ".join(metrics) or "no metrics"


def _not_of_this_kind(name: str, kind: Kind) -> str:
    info = METRICS.get(name)
    if info is None:
        return "no metric has that name"
    return f"it belongs to {_of(info.kind)}" if info.kind != kind else f"it needs {info.needs}"


def _shown(evaluation: Evaluation) -> list[str]:
    averages = ("_macro", "_weighted", "_micro")
    return [name for name in evaluation.metrics if not (name in METRICS and name.endswith(averages))]


def _counted(evaluation: Evaluation) -> str:
    noun = "episode" if evaluation.kind == "episodes" else "row"
    return f"{evaluation.count:,} {noun}{'' if evaluation.count == 1 else 's'}"


def _heading(evaluation: Evaluation) -> list[str]:
    counted = _counted(evaluation)
    return [counted] if evaluation.kind == "episodes" else [evaluation.kind, counted]


def _title(evaluation: Evaluation) -> str:
    parts = _heading(evaluation)
    if evaluation.positive is not None:
        parts.append(f"positive class {format_label(evaluation.positive)}")
    return "  ".join(parts)


def _values(evaluation: Evaluation) -> str:
    return _aligned(metric_rows(evaluation))


def _details(evaluation: Evaluation) -> str:
    header, rows = cluster_rows(evaluation) if evaluation.per_cluster else class_rows(evaluation)
    if not rows:
        return ""
    hidden = len(rows) - _TEXT_ROWS
    more = [f"and {hidden:,} more"] if hidden > 0 else []
    averages = average_rows(evaluation)
    lines = _aligned([header, *rows[:_TEXT_ROWS], *averages]).splitlines()
    cut = len(lines) - len(averages)
    return "\n".join([*lines[:cut], *more, *lines[cut:]])


def _remarks(evaluation: Evaluation) -> str:
    return "\n".join([*(f"no {name}: {why}" for name, why in evaluation.absent.items()), *evaluation.notes])


def _aligned(rows: "list[tuple[str, str]] | list[tuple[str, ...]]") -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        first, *rest = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)

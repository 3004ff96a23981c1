"""The evaluation of a classifier: the metrics that the rows and scores allow, and the reasons why others are absent.

This module knows neither formulas nor the types that people pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fairway.evaluation.arrays import np, same_length
from fairway.evaluation.classification import class_counts, class_metrics, class_shares, confusion_matrix
from fairway.evaluation.probability import (
    are_probabilities,
    brier_many,
    brier_two,
    calibration,
    calibration_error,
    log_loss,
)
from fairway.evaluation.ranking import (
    Ranking,
    average_precision,
    precision_recall_curve,
    ranking,
    roc_auc,
    roc_curve,
)
from fairway.evaluation.sampling import MAX_POINTS, along, most_frequent, points
from fairway.evaluation.targets import MANY, Targets
from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import ClassMetrics, Curve, Evaluation
from fairway.spec.metrics import format_label

if TYPE_CHECKING:
    from fairway.evaluation.arrays import Bools, Floats, Ints

MAX_CURVES = 8
"""The largest number of classes with a curve of their own in a picture. The most frequent classes are taken."""

_NO_PROBABILITIES = "the scores are not probabilities (between 0 and 1, adding up to 1)"


class Judged(msgspec.Struct, kw_only=True):
    """The results of the scores, filled in step by step."""

    metrics: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    absent: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    curves: list[Curve] = msgspec.field(default_factory=list[Curve])
    roc_auc: dict[int, float] = msgspec.field(default_factory=dict[int, float])
    average_precision: dict[int, float] = msgspec.field(default_factory=dict[int, float])


def judge_classes(rows: Targets, scores: Floats | None) -> Evaluation:
    """Evaluate classes, with scores of shape (n,) or (n, k) if there are any.

    Raises:
        FairwayError: the scores do not fit the rows or the classes.
    """
    judged = Judged()
    predicted = rows.predicted
    if scores is not None:
        same_length(("truth", len(rows.truth)), ("scores", len(scores)))
        scores = _fitting(rows, scores)
        predicted = _decided(rows, scores) if predicted is None else predicted
        _judge_two(judged, rows, scores) if rows.positive is not None else _judge_many(judged, rows, scores)
    if predicted is None:
        raise FairwayError("there are no predictions to judge", hint="pass predicted or scores")
    classes = len(rows.classes)
    counts = class_counts(rows.truth, predicted, classes)
    shares = class_shares(counts)
    listed = most_frequent(counts.true, MANY)
    per_class = tuple(
        ClassMetrics(
            label=rows.classes[i],
            precision=float(shares.precision[i]),
            recall=float(shares.recall[i]),
            f1=float(shares.f1[i]),
            count=int(counts.true[i]),
            roc_auc=judged.roc_auc.get(i),
            average_precision=judged.average_precision.get(i),
        )
        for i in listed
    )
    few = classes <= MANY
    matrix: list[list[int]] = []
    if few:
        matrix = confusion_matrix(rows.truth, predicted, classes).tolist()
    return Evaluation(
        kind="classification",
        count=len(rows.truth),
        metrics={**class_metrics(counts, _position(rows)), **judged.metrics},
        per_class=per_class,
        confusion=tuple(tuple(line) for line in matrix),
        positive=rows.positive,
        curves=tuple(judged.curves),
        absent=judged.absent,
        notes=() if few else (f"the {MANY} most frequent of {classes:,} classes are listed",),
    )


def _position(rows: Targets) -> int | None:
    """Return the number of the positive class, −1 if no row has it, and None if there are more than two classes."""
    if rows.positive is None:
        return None
    return rows.classes.index(rows.positive) if rows.positive in rows.classes else -1


def _fitting(rows: Targets, scores: Floats) -> Floats:
    """Return scores whose columns fit the classes. Raises FairwayError."""
    columns = 1 if scores.ndim == 1 else scores.shape[1]
    classes = len(rows.classes)
    if rows.positive is not None:
        if columns <= 2:
            return scores
    elif columns == classes and columns > 2:
        return scores
    hint = "pass `labels=model.classes_`, all classes in the order of the columns of scores"
    if classes == 1:
        label = format_label(rows.classes[0])
        raise FairwayError(f"scores need two classes and every row is of class {label}", hint=hint)
    noun = "column" if columns == 1 else "columns"
    raise FairwayError(f"scores have {columns} {noun} and there are {classes} classes", hint=hint)


def _decided(rows: Targets, scores: Floats) -> Ints:
    """Return the class that the scores choose for each row, shape (n,)."""
    if scores.ndim == 2:
        return scores.argmax(axis=1)
    bound = 0.5 if are_probabilities(scores) else 0.0
    yes = rows.classes.index(rows.positive) if rows.positive is not None else 1
    return np.where(scores > bound, yes, 1 - yes)


def _judge_two(judged: Judged, rows: Targets, scores: Floats) -> None:
    """Judge the scores of two classes."""
    positive = rows.is_positive(rows.truth)
    probabilities = are_probabilities(scores)
    if scores.ndim == 2:
        first = len(rows.classes) == 2 and rows.positive == rows.classes[0]
        scores = scores[:, 0 if first else 1]
    ranked = ranking(positive, scores)
    if positive.any() and not positive.all():
        judged.metrics["roc_auc"] = roc_auc(ranked)
    else:
        judged.absent["roc_auc"] = "every row of the truth is of one class"
    if positive.any():
        judged.metrics["average_precision"] = average_precision(ranked)
    else:
        judged.absent["average_precision"] = "no row of the truth is of the positive class"
    _add_curves(judged, ranked, "", MAX_POINTS)
    if probabilities:
        judged.metrics["log_loss"] = log_loss(np.where(positive, scores, 1 - scores))
        judged.metrics["brier"] = brier_two(positive, scores)
        _calibrate(judged, positive, scores)
    else:
        _without_probabilities(judged)


def _judge_many(judged: Judged, rows: Targets, scores: Floats) -> None:
    """Judge the scores of three classes or more, each against the rest."""
    drawn = most_frequent(np.bincount(rows.truth, minlength=len(rows.classes)), MAX_CURVES)
    for i, label in enumerate(rows.classes):
        ranked = ranking(rows.truth == i, scores[:, i])
        if ranked.hits[-1] and ranked.alarms[-1]:
            judged.roc_auc[i] = roc_auc(ranked)
        if ranked.hits[-1]:
            judged.average_precision[i] = average_precision(ranked)
        if i in drawn:
            _add_curves(judged, ranked, format_label(label), MAX_POINTS // len(drawn))
    for name, values in (("roc_auc", judged.roc_auc), ("average_precision", judged.average_precision)):
        missing = [format_label(label) for i, label in enumerate(rows.classes) if i not in values]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            judged.absent[name] = f"the truth does not tell {', '.join(missing[:3])}{more} from the rest"
        else:
            judged.metrics[name] = sum(values.values()) / len(values)
    if are_probabilities(scores):
        judged.metrics["log_loss"] = log_loss(scores[np.arange(len(scores)), rows.truth])
        judged.metrics["brier"] = brier_many(rows.truth, scores)
        _calibrate(judged, scores.argmax(axis=1) == rows.truth, scores.max(axis=1))
    else:
        _without_probabilities(judged)


def _add_curves(judged: Judged, ranked: Ranking, label: str, limit: int) -> None:
    """Add the curves of a class that has the rows they need."""
    if ranked.hits[-1] and ranked.alarms[-1]:
        judged.curves.append(Curve("roc", along(*roc_curve(ranked), limit), label))
    if ranked.hits[-1]:
        judged.curves.append(Curve("precision_recall", along(*precision_recall_curve(ranked), limit), label))


def _calibrate(judged: Judged, came_true: Bools, probability: Floats) -> None:
    """Add the calibration curve and its error."""
    groups = calibration(came_true, probability)
    judged.metrics["calibration_error"] = calibration_error(groups)
    judged.curves.append(Curve("calibration", points(groups.predicted, groups.observed)))


def _without_probabilities(judged: Judged) -> None:
    """Give the reason for the metrics that need probabilities."""
    judged.absent.update(dict.fromkeys(("log_loss", "brier", "calibration_error"), _NO_PROBABILITIES))

"""`fw.evaluate`: takes the values that people have, infers their kind, and puts the evaluation together.

This module knows what each metric needs and why one is absent. The modules named after the metrics know how to
compute them, and the pictures know how they look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

import msgspec

from fairway.evaluation.arrays import column, matrix
from fairway.evaluation.classes import judge_classes
from fairway.evaluation.judging import judge_clusters, judge_episodes, judge_quantities
from fairway.evaluation.targets import looks_like_classes, targets
from fairway.spec.errors import FairwayError
from fairway.spec.evaluation import Evaluation
from fairway.spec.metrics import METRICS, Kind

if TYPE_CHECKING:
    from fairway.evaluation.arrays import Column

_TAKES: dict[Kind, tuple[str, ...]] = {
    "classification": ("truth", "predicted", "scores", "labels", "positive"),
    "regression": ("truth", "predicted"),
    "clustering": ("truth", "clusters", "data"),
    "episodes": ("returns", "lengths"),
}
"""The arguments that have a meaning for each kind."""

_COLUMNS = ("truth", "predicted", "clusters")
_DOUBTFUL = 20
"""The number of whole numbers beyond which it is doubtful that they are classes."""


def evaluate(
    truth: object = None,
    predicted: object = None,
    *,
    scores: object = None,
    kind: Kind | None = None,
    labels: object = None,
    positive: object = None,
    data: object = None,
    clusters: object = None,
    returns: object = None,
    lengths: object = None,
    extra: Mapping[str, float] | None = None,
) -> Evaluation:
    """Judge predictions, clusters or episodes. The values equal those of scikit-learn.

    ```python
    fw.evaluate(truth, predicted)  # classification or regression
    fw.evaluate(truth, scores=model.predict_proba(rows))  # classification with ROC AUC, log loss, …
    fw.evaluate(data=rows, clusters=labels)  # clustering; with truth=, also ARI and NMI
    fw.evaluate(returns=returns, lengths=lengths)  # episodes of an agent
    ```

    Columns are lists, numpy arrays, pandas or polars Series, or anything with `__array__`, of shape (n,). `returns`
    mean episodes. `clusters` mean clustering. `scores`, `labels` or `positive` mean classes. Otherwise text and
    booleans are classes. Numbers are classes when all of them, true and predicted, are whole and at most 50 are
    distinct. Other numbers are quantities, which means regression. Pass `kind` when this rule is wrong.

    Args:
        truth: the true class or quantity of each row.
        predicted: the predicted class or quantity of each row. It may be left out when `scores` are given. It is then
            the class with the highest score. For two classes it is the positive one above 0.5 (above 0 if the scores
            are no probabilities).
        scores: for two classes the score of the positive class, shape (n,). Otherwise one column per class in the
            order of `labels`, shape (n, k). Log loss, Brier score and calibration need probabilities.
        kind: "classification", "regression", "clustering" or "episodes".
        labels: all classes, in the order of the columns of `scores` (a model's `classes_`). The default is the sorted
            classes found in truth and predicted.
        positive: the class of precision, recall, F1 and ROC AUC, for two classes. The default is the last one of the
            classes: 1 of 0 and 1, True of False and True, "yes" of "no" and "yes".
        data: the clustered rows, shape (n, d).
        clusters: the cluster of each row. −1 counts as a cluster like any other.
        returns: the sum of rewards of each episode.
        lengths: the number of steps of each episode.
        extra: metrics of your own, by name. Gates can use them.

    Raises:
        FairwayError: the input is empty, lengths differ, values are missing, or arguments do not go together.
    """
    named = zip(
        ("truth", "predicted", "scores", "labels", "positive", "data", "clusters", "returns", "lengths"),
        (truth, predicted, scores, labels, positive, data, clusters, returns, lengths),
        strict=True,
    )
    given: dict[str, object] = {name: value for name, value in named if value is not None}
    if kind == "clustering" and "clusters" not in given and "predicted" in given:
        given["clusters"] = given.pop("predicted")
    columns = {name: column(given[name], name) for name in _COLUMNS if name in given}
    found = _inferred(given, columns) if kind is None else _known(kind)
    _check(found, given)
    judged = _judged(found, given, columns)
    return _finished(judged, extra or {}, _doubt(judged) if kind is None else ())


def _inferred(given: dict[str, object], columns: dict[str, Column]) -> Kind:
    """Infer the kind from the arguments. Raises FairwayError."""
    if "returns" in given or "lengths" in given:
        return "episodes"
    if "clusters" in given or "data" in given:
        return "clustering"
    if given.keys() & {"scores", "labels", "positive"}:
        return "classification"
    hint = "pass truth and predicted, or data and clusters, or returns"
    if not given:
        raise FairwayError("there is nothing to evaluate", hint=hint)
    if len(columns) < 2:
        raise FairwayError(f"there is {next(iter(given))} and nothing to compare it to", hint=hint)
    return "classification" if looks_like_classes(columns["truth"], columns["predicted"]) else "regression"


def _known(kind: Kind) -> Kind:
    """Return a kind that exists. Raises FairwayError."""
    if kind not in get_args(Kind):
        raise FairwayError(f"there is no kind {kind!r}", hint=f"kinds are {', '.join(get_args(Kind))}")
    return kind


def _check(kind: Kind, given: dict[str, object]) -> None:
    """Refuse arguments that have no meaning for a kind, or that are missing. Raises FairwayError."""
    for name in given:
        if name not in _TAKES[kind]:
            raise FairwayError(
                f"{name} has no meaning for {kind}", hint=f"{kind} takes {', '.join(_TAKES[kind])}"
            )
    needed = {
        "classification": [{"truth"}, {"predicted", "scores"}],
        "regression": [{"truth"}, {"predicted"}],
        "clustering": [{"clusters"}, {"data", "truth"}],
        "episodes": [{"returns"}],
    }[kind]
    for names in needed:
        if not names & given.keys():
            raise FairwayError(
                f"{kind} needs {' or '.join(sorted(names))}", hint=f"it takes {', '.join(_TAKES[kind])}"
            )


def _judged(kind: Kind, given: dict[str, object], columns: dict[str, Column]) -> Evaluation:
    """Evaluate values of a known kind. Raises FairwayError."""
    if kind == "episodes":
        return judge_episodes(given["returns"], given.get("lengths"))
    if kind == "regression":
        return judge_quantities(columns["truth"], columns["predicted"])
    if kind == "clustering":
        data = matrix(given["data"], "data") if "data" in given else None
        return judge_clusters(columns["clusters"], data, columns.get("truth"))
    scores = matrix(given["scores"], "scores") if "scores" in given else None
    rows = targets(columns["truth"], columns.get("predicted"), given.get("labels"), given.get("positive"))
    return judge_classes(rows, scores)


def _doubt(judged: Evaluation) -> tuple[str, ...]:
    """Return a note when numbers taken for classes may be quantities."""
    classes = judged.classes
    if len(classes) <= _DOUBTFUL or isinstance(classes[0], str):
        return ()
    return (f'{len(classes)} whole numbers were taken for classes; for quantities pass `kind="regression"`',)


def _finished(judged: Evaluation, extra: Mapping[str, float], notes: tuple[str, ...]) -> Evaluation:
    """Add the metrics of the user's own and the notes, and leave out metrics that are not finite.

    Raises FairwayError.
    """
    metrics = {name: value for name, value in judged.metrics.items() if math.isfinite(value)}
    absent = {name: "its value is not a finite number" for name in judged.metrics if name not in metrics}
    for name, value in extra.items():
        if name in METRICS or not name.isidentifier():
            hint = "choose a name of letters, digits and underscores that Fairway does not use"
            raise FairwayError(f"{name!r} cannot be the name of a metric of your own", hint=hint)
        metrics[name] = _own(name, value)
    return msgspec.structs.replace(
        judged, metrics=metrics, absent={**absent, **judged.absent}, notes=(*judged.notes, *notes)
    )


def _own(name: str, value: float) -> float:
    """Return the value of a metric of the user's own. Raises FairwayError when it is not a finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise FairwayError(
            f"the metric {name} is {value!r}, not a finite number", hint="leave it out of extra"
        )
    return number

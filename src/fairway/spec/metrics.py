"""The metrics of Fairway by name, and their values and labels in the form in which people read them.

This module knows what a metric needs and which direction is better. It does not know how one is computed.
"""

from typing import Literal

import msgspec

Kind = Literal["classification", "regression", "clustering", "episodes"]
Label = bool | int | str
"""A class or cluster as it is written in the data; whole floats such as 1.0 become 1."""

_LABEL_WIDTH = 32


class MetricInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about a metric that its name gives.

    Attributes:
        name: the metric's name.
        kind: the kind of evaluation that has it.
        needs: the values that it is computed from, as they complete "it needs …".
        lower_is_better: True when the smaller of two values is the better one.
    """

    name: str
    kind: Kind
    needs: str
    lower_is_better: bool = False


def _infos(kind: Kind, needs: str, names: str, *, lower_is_better: bool = False) -> list[MetricInfo]:
    return [
        MetricInfo(name=n, kind=kind, needs=needs, lower_is_better=lower_is_better) for n in names.split()
    ]


_AVERAGED = "f1_macro precision_macro recall_macro f1_weighted precision_weighted recall_weighted"
_MICRO = "f1_micro precision_micro recall_micro"
_EPISODES = "mean_return mean_return_low mean_return_high std_return min_return max_return"

METRICS: dict[str, MetricInfo] = {
    info.name: info
    for info in (
        *_infos("classification", "truth and predicted", "accuracy balanced_accuracy f1 precision recall"),
        *_infos("classification", "truth and predicted", f"{_AVERAGED} {_MICRO}"),
        *_infos("classification", "scores", "roc_auc average_precision"),
        *_infos("classification", "probabilities as scores", "log_loss brier", lower_is_better=True),
        *_infos("classification", "probabilities as scores", "calibration_error", lower_is_better=True),
        *_infos("regression", "truth and predicted", "rmse mae median_error mape", lower_is_better=True),
        *_infos("regression", "truth and predicted", "r2"),
        *_infos("clustering", "data and clusters", "silhouette calinski_harabasz"),
        *_infos("clustering", "data and clusters", "davies_bouldin", lower_is_better=True),
        *_infos("clustering", "truth and clusters", "ari nmi"),
        *_infos("episodes", "returns", _EPISODES),
        *_infos("episodes", "lengths", "mean_length"),
    )
}
"""Every metric of Fairway by name. The first of a kind is shown when there is room for one only."""


def is_better(name: str, value: float, than: float) -> bool:
    """Tell whether `value` beats `than` in a metric. Higher is better in metrics of the user's own."""
    info = METRICS.get(name)
    return value < than if info is not None and info.lower_is_better else value > than


def format_metric(value: float) -> str:
    """Format a number for people: three decimals or four digits, never rounded to a 0 or 1 that it is not."""
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{value:.3g}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}" if size >= 100 else f"{value:.2f}"
    if 0 < size < 0.01:
        return f"{value:.3g}"
    text = f"{value:.3f}"
    return str(value) if text in ("1.000", "-1.000") and size != 1 else text


def format_label(label: Label) -> str:
    """Format a class for people: on one line, printable, at most 32 characters."""
    text = label if isinstance(label, str) else str(label)
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    if not text.strip():
        return repr(text)
    return text if len(text) <= _LABEL_WIDTH else text[: _LABEL_WIDTH - 1] + "…"

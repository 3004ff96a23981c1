"""The judgement of a model by the gates of its registration."""

from fairway.spec.errors import GateRefused, UsageError
from fairway.spec.evaluation import Evaluation
from fairway.spec.metrics import METRICS
from fairway.spec.model import Gates

_DIGITS = 3


def judge(name: str, gates: Gates, evaluation: Evaluation | None, rival: Evaluation | None) -> None:
    """Check that every gate is met.

    Args:
        name: the name of the model.
        gates: the gates.
        evaluation: the evaluation of the model.
        rival: the evaluation of the version that `gates.better_than` names. None when no version has that alias.

    Raises:
        GateRefused: a gate was not met. The error names every such gate, with the value and the bound.
        UsageError: a gate names a metric that one of the evaluations does not have.
    """
    metrics = evaluation.metrics if evaluation is not None else {}
    refused: list[str] = []
    for metric, bound in gates.at_least.items():
        if not _value(metrics, metric) >= bound:
            refused.append(beside(metric, _value(metrics, metric), at_least=bound))
    for metric, bound in gates.at_most.items():
        if not _value(metrics, metric) <= bound:
            refused.append(beside(metric, _value(metrics, metric), at_most=bound))
    if gates.better_than:
        metric = compared(gates, evaluation)
        ours = _value(metrics, metric)
        if rival is not None:
            theirs = _value(rival.metrics, metric, f"the evaluation of {name}@{gates.better_than}")
            if not (ours < theirs if _lower_is_better(gates, metric) else ours > theirs):
                digits = _digits(ours, theirs)
                refused.append(
                    f"{metric} {ours:.{digits}g} (better than {theirs:.{digits}g} of {name}@{gates.better_than})"
                )
    if refused:
        raise GateRefused(
            f"{name} was not registered, its gates refuse it: {'; '.join(refused)}",
            hint="train a better model, or lower the gate in `fw.register`",
        )


def compared(gates: Gates, evaluation: Evaluation | None) -> str:
    """Return the metric by which `better_than` compares: the named, the first gated, or the main metric.

    Raises:
        UsageError: no metric is named, and the evaluation has none of Fairway's own.
    """
    metrics = evaluation.metrics if evaluation is not None else {}
    for metric in (gates.metric, *gates.at_least, *gates.at_most, *METRICS):
        if metric and (metric in metrics or metric == gates.metric):
            return metric
    raise UsageError("there is no metric to compare by", hint='name one: `fw.register(…, metric="accuracy")`')


def _lower_is_better(gates: Gates, metric: str) -> bool:
    """Tell whether lower values are better. For a metric of the user, they are if it is gated from above."""
    known = METRICS.get(metric)
    return known.lower_is_better if known is not None else metric in gates.at_most


def beside(metric: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """Format a figure and its bounds: "rmse 0.42 (at most 1)".

    All numbers have the same number of digits, enough of them that no bound looks met that is not.
    """
    bounds = [bound for bound in (at_least, at_most) if bound is not None]
    digits = max((_digits(value, bound, exact=True) for bound in bounds), default=_DIGITS)
    said = [
        *([f"at least {at_least:.{digits}g}"] if at_least is not None else []),
        *([f"at most {at_most:.{digits}g}"] if at_most is not None else []),
    ]
    return f"{metric} {value:.{digits}g}" + (f" ({', '.join(said)})" if said else "")


def _digits(value: float, bound: float, *, exact: bool = False) -> int:
    """Return the number of digits that shows which number is larger. With `exact`, show the bound as it was written."""
    for digits in (_DIGITS, 4, 5, 6, 9, 17):
        shown, against = float(f"{value:.{digits}g}"), float(f"{bound:.{digits}g}")
        written = not exact or digits >= 6 or against == float(f"{bound:.6g}")
        if written and (shown < against, shown > against) == (value < bound, value > bound):
            return digits
    return _DIGITS


def _value(metrics: dict[str, float], metric: str, whose: str = "the evaluation") -> float:
    if metric not in metrics:
        raise UsageError(
            f"{whose} has no metric {metric!r}", hint=f"it has {', '.join(sorted(metrics)) or 'none'}"
        )
    return metrics[metric]

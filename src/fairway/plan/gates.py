"""Whether a model meets the gates it is registered with."""

from fairway.spec.errors import GateRefused, UsageError
from fairway.spec.evaluation import METRICS, Evaluation
from fairway.spec.model import Gates


def judge(name: str, gates: Gates, evaluation: Evaluation | None, rival: Evaluation | None) -> None:
    """Do nothing when every gate is met.

    Args:
        rival: evaluation of the version that `gates.better_than` names; None when no version has that alias.

    Raises:
        GateRefused: naming every gate that was not met, with the value and the bound.
        UsageError: a gate names a metric that one of the evaluations does not have.
    """
    metrics = evaluation.metrics if evaluation is not None else {}
    refused: list[str] = []
    for metric, bound in gates.at_least.items():
        if not _value(metrics, metric) >= bound:
            refused.append("{} {} is below {}".format(metric, *_apart(_value(metrics, metric), bound)))
    for metric, bound in gates.at_most.items():
        if not _value(metrics, metric) <= bound:
            refused.append("{} {} is above {}".format(metric, *_apart(_value(metrics, metric), bound)))
    if gates.better_than:
        metric = compared(gates, evaluation)
        ours = _value(metrics, metric)
        if rival is not None:
            theirs = _value(rival.metrics, metric, f"the evaluation of {name}@{gates.better_than}")
            if not (ours < theirs if _lower_is_better(gates, metric) else ours > theirs):
                texts = _apart(ours, theirs)
                refused.append(
                    f"{metric} {texts[0]} is not better than {texts[1]} of {name}@{gates.better_than}"
                )
    if refused:
        raise GateRefused(
            f"{name} was not registered: {'; '.join(refused)}",
            hint="train a better model, or lower the gate in `fw.register`",
        )


def compared(gates: Gates, evaluation: Evaluation | None) -> str:
    """The metric by which `better_than` compares: the one named, the first gated one, or the main one.

    Raises:
        UsageError: none is named and the evaluation has none of Fairway's own.
    """
    metrics = evaluation.metrics if evaluation is not None else {}
    for metric in (gates.metric, *gates.at_least, *gates.at_most, *METRICS):
        if metric and (metric in metrics or metric == gates.metric):
            return metric
    raise UsageError("there is no metric to compare by", hint='name one: `fw.register(…, metric="accuracy")`')


def _lower_is_better(gates: Gates, metric: str) -> bool:
    """As the metric says of itself; one of the user's own is better low where it is gated from above."""
    known = METRICS.get(metric)
    return known.lower_is_better if known is not None else metric in gates.at_most


def _apart(value: float, bound: float) -> tuple[str, str]:
    """Both numbers as texts with as many digits as it takes to tell them apart."""
    for digits in (4, 6, 9, 17):
        texts = f"{value:.{digits}g}", f"{bound:.{digits}g}"
        if texts[0] != texts[1]:
            return texts
    return f"{value:.4g}", f"{bound:.4g}"


def _value(metrics: dict[str, float], metric: str, whose: str = "the evaluation") -> float:
    if metric not in metrics:
        raise UsageError(
            f"{whose} has no metric {metric!r}", hint=f"it has {', '.join(sorted(metrics)) or 'none'}"
        )
    return metrics[metric]

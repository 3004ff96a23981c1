"""Whether a model meets the gates it is registered with."""

from fairway.spec.errors import GateRefused, UsageError
from fairway.spec.evaluation import METRICS, Evaluation
from fairway.spec.model import Gates


def judge(name: str, gates: Gates, evaluation: Evaluation | None, rival: Evaluation | None) -> None:
    """Do nothing when every gate is met.

    Args:
        rival: evaluation of the version that `gates.better_than` names; None when no version has that alias yet.

    Raises:
        GateRefused: naming every gate that was not met, with the value and the bound.
        UsageError: a gate names a metric that the evaluation does not have.
    """
    if not (gates.at_least or gates.at_most or gates.better_than):
        return
    metrics = evaluation.metrics if evaluation is not None else {}
    refused: list[str] = []
    for metric, bound in gates.at_least.items():
        if not _value(metrics, metric) >= bound:
            refused.append(f"{metric} {_value(metrics, metric):.4g} is below {bound:g}")
    for metric, bound in gates.at_most.items():
        if not _value(metrics, metric) <= bound:
            refused.append(f"{metric} {_value(metrics, metric):.4g} is above {bound:g}")
    if gates.better_than and rival is not None:
        metric = compared(gates, evaluation)
        ours, theirs = _value(metrics, metric), _value(rival.metrics, metric)
        better = ours < theirs if metric in METRICS and METRICS[metric].lower_is_better else ours > theirs
        if not better:
            refused.append(
                f"{metric} {ours:.4g} is not better than {theirs:.4g} of {name}@{gates.better_than}"
            )
    if refused:
        raise GateRefused(
            f"{name} was not registered: {'; '.join(refused)}",
            hint="train a better model, or lower the gate in `fw.register`",
        )


def compared(gates: Gates, evaluation: Evaluation | None) -> str:
    """The metric by which `better_than` compares: the one named, the first gated one, or the evaluation's main one."""
    metrics = evaluation.metrics if evaluation is not None else {}
    for metric in (gates.metric, *gates.at_least, *gates.at_most, *METRICS):
        if metric and (metric in metrics or metric == gates.metric):
            return metric
    raise UsageError("there is no metric to compare by", hint='name one: `fw.register(…, metric="accuracy")`')


def _value(metrics: dict[str, float], metric: str) -> float:
    if metric not in metrics:
        raise UsageError(
            f"the evaluation has no metric {metric!r}", hint=f"it has {', '.join(sorted(metrics)) or 'none'}"
        )
    return metrics[metric]

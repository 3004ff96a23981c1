"""Registered versions beside each other: the figure that counts, the facts that may differ, and the verdicts of the gates."""

from typing import Literal

import msgspec

from fairway.spec.endpoint import EndpointStatus
from fairway.spec.model import ModelVersion

Relation = Literal["at least", "at most", "better than"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A gate that a version passed: a metric, its value, and the bound or the alias that it was held against."""

    metric: str
    value: float | None
    relation: Relation
    bound: str


def main_metric(version: ModelVersion) -> str:
    """Return the name of the most important metric of a version. It is empty without any."""
    if version.evaluation is None:
        return ""
    metrics, gates = version.evaluation.metrics, version.candidate.gates
    named = (gates.metric, *gates.at_least, *gates.at_most, *metrics)
    return next((name for name in named if name in metrics), "")


def headline(version: ModelVersion) -> str:
    """Return the most important metric of a version with its value, such as "accuracy 0.912"."""
    metric = main_metric(version)
    if not metric or version.evaluation is None:
        return ""
    return f"{metric} {version.evaluation.metrics[metric]:.3g}"


def facts(version: ModelVersion) -> dict[str, str]:
    """Return the facts by which versions are compared, each as a text by its name."""
    lineage = version.lineage
    found = {"run": lineage.run, "code": lineage.code[:12], "environment": lineage.environment[:12]}
    found["framework"] = version.candidate.framework
    found |= {f"source {file.path}": file.digest[:12] for file in version.candidate.sources}
    found |= {f"parameter {key}": value for key, value in lineage.parameters.items()}
    found |= {f"data {key}": value[:24] for key, value in lineage.data.items()}
    if version.evaluation is not None:
        found |= {f"metric {key}": f"{value:.6g}" for key, value in version.evaluation.metrics.items()}
    return found


def differences(first: ModelVersion, second: ModelVersion) -> dict[str, tuple[str, str]]:
    """Return the facts in which two versions differ, by name. A fact that one of them lacks is empty there."""
    here, there = facts(first), facts(second)
    keys = [key for key in dict.fromkeys([*here, *there]) if here.get(key) != there.get(key)]
    return {key: (here.get(key, ""), there.get(key, "")) for key in keys}


def verdicts(version: ModelVersion) -> list[Verdict]:
    """Return the gates of a version. It passed all of them, else it would not be registered."""
    gates = version.candidate.gates
    metrics = version.evaluation.metrics if version.evaluation is not None else {}
    found = [
        Verdict(metric=name, value=metrics.get(name), relation="at least", bound=f"{bound:g}")
        for name, bound in gates.at_least.items()
    ]
    found += [
        Verdict(metric=name, value=metrics.get(name), relation="at most", bound=f"{bound:g}")
        for name, bound in gates.at_most.items()
    ]
    if gates.better_than:
        metric = main_metric(version)
        found.append(
            Verdict(
                metric=metric,
                value=metrics.get(metric),
                relation="better than",
                bound=f"{version.name}@{gates.better_than}",
            )
        )
    return found


def served_at(endpoints: list[EndpointStatus]) -> dict[tuple[str, int], list[str]]:
    """Return the names of the endpoints that should serve each version, by model and number."""
    found: dict[tuple[str, int], list[str]] = {}
    for status in endpoints:
        model = status.revision.model if status.revision is not None and status.wanted else None
        if model is not None:
            found.setdefault((model.name, model.version), []).append(status.name)
    return found

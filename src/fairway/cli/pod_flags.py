"""The flags for the pods of an installation."""

from typing import Any

import click

from fairway.cluster.pod_options import PodOptions
from fairway.spec.errors import UsageError
from fairway.spec.quantities import parse_cpu, parse_duration

_OWN_LABELS = ("fairway.dev/", "app.kubernetes.io/")

POD_FLAGS = (
    click.option(
        "--user",
        type=int,
        metavar="NUMBER",
        help="User of all pods, 65532 by default; 0 lets the cluster choose, as OpenShift wants.",
    ),
    click.option(
        "--pod-label",
        "pod_labels",
        multiple=True,
        metavar="KEY=VALUE",
        help="Further label of all pods; repeat it for several.",
    ),
    click.option(
        "--trust",
        metavar="CONFIGMAP",
        help="ConfigMap whose ca.crt has the certificates that pods trust, public ones included.",
    ),
    click.option(
        "--pods-most", type=int, metavar="COUNT", help="Most pods of a run at a time, 64 by default."
    ),
    click.option(
        "--pods-kept", metavar="TIME", help="Time for which a pod waits for further steps, 60s by default."
    ),
    click.option("--driver-cpu", metavar="CORES", help="Cores of the pod of a run's pipeline, 1 by default."),
    click.option("--driver-memory", metavar="SIZE", help="Memory of that pod, 1Gi by default."),
)


def pod_options(given: dict[str, Any]) -> PodOptions:
    """Take the flags for pods out of the flags of a command, and return what they describe. Raises UsageError."""
    labels, kept, cpu = given.pop("pod_labels"), given.pop("pods_kept"), given.pop("driver_cpu")
    return PodOptions(
        user=given.pop("user"),
        labels=_labels(labels) if labels else None,
        trust=given.pop("trust"),
        most=given.pop("pods_most"),
        # A duration is more than nothing, and a pod may be kept for no time at all.
        kept=None if kept is None else 0.0 if kept == "0" else parse_duration(kept),
        driver_cpu=None if cpu is None else parse_cpu(cpu),
        driver_memory=given.pop("driver_memory"),
    )


def _labels(given: tuple[str, ...]) -> dict[str, str]:
    """Return the labels that were given as KEY=VALUE. One empty word takes all away."""
    if given == ("",):
        return {}
    found = dict[str, str]()
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is no label", hint="write it as `--pod-label KEY=VALUE`")
        if key.startswith(_OWN_LABELS):
            raise UsageError(f"the label {key} is one that Fairway sets itself", hint="take another key")
        found[key] = value
    return found

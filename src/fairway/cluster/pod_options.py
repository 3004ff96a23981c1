"""The options for the pods of an installation, and the check that Kubernetes can make pods of them."""

import math
import re
from typing import TypeVar

import msgspec

from fairway.spec.errors import UsageError
from fairway.spec.install import Install
from fairway.spec.quantities import parse_memory

T = TypeVar("T", bound=msgspec.Struct)

_LABEL_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_MOST_USER = 2**31 - 1
_MOST_PODS = 10_000


class PodOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options for the pods of an installation. None leaves what is there, or the default.

    Attributes:
        user: the number of the user of all pods. 0 leaves the choice to the cluster.
        labels: further labels of all pods. An empty dictionary takes them away.
        trust: the name of the ConfigMap with the certificates that pods trust. Empty for those of the image.
        most: the most pods of a run at a time, beside its driver.
        kept: the seconds for which a pod is kept for further steps of its run.
        driver_cpu: the cores of a run's driver.
        driver_memory: its memory, as Kubernetes writes it.
    """

    user: int | None = None
    labels: dict[str, str] | None = None
    trust: str | None = None
    most: int | None = None
    kept: float | None = None
    driver_cpu: float | None = None
    driver_memory: str | None = None

    def applied(self, install: Install) -> Install:
        """Return an installation with these options."""
        return msgspec.structs.replace(
            install,
            user=install.user if self.user is None else self.user,
            pod_labels=install.pod_labels if self.labels is None else self.labels,
            trust=install.trust if self.trust is None else self.trust,
            pods=_replaced(install.pods, most=self.most, kept=self.kept),
            driver=_replaced(install.driver, cpu=self.driver_cpu, memory=self.driver_memory),
        )


def check(install: Install) -> None:
    """Refuse what Kubernetes makes no pods of. Raises UsageError."""
    if not 0 <= install.user <= _MOST_USER:
        raise UsageError(
            f"{install.user} is not the number of a user",
            hint="`--user 65532`, or `--user 0` where the cluster chooses",
        )
    for key, value in install.pod_labels.items():
        if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
            raise UsageError(
                f"{key}={value} cannot be a label of a pod", hint="for example `--pod-label team=risk`"
            )
    if not 1 <= install.pods.most <= _MOST_PODS:
        raise UsageError(f"a run cannot have {install.pods.most} pods", hint="for example `--pods-most 64`")
    if not 0 <= install.pods.kept < math.inf:
        raise UsageError(
            f"a pod cannot be kept for {install.pods.kept} seconds", hint="for example `--pods-kept 1m`"
        )
    if not 0 < install.driver.cpu < math.inf:
        raise UsageError(
            f"a driver cannot have {install.driver.cpu} cores", hint="for example `--driver-cpu 2`"
        )
    if parse_memory(install.driver.memory) < 2**26:
        raise UsageError(
            f"a driver with {install.driver.memory} of memory cannot start Python",
            hint="for example `--driver-memory 1Gi`",
        )


def _replaced(there: T, **given: object) -> T:
    return msgspec.structs.replace(
        there, **{name: value for name, value in given.items() if value is not None}
    )

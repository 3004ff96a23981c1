"""The room that a namespace leaves: what its quotas and limit ranges allow, compared with what Fairway's pods ask for. Pure."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from fairway.cluster.podspec import Amounts

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,3}))?([numkMGTPE]i?|Ki)?")
_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{unit}i": 2.0 ** (10 * power) for power, unit in enumerate("KMGTPE", start=1)}


class QuotaStatus(msgspec.Struct, frozen=True):
    """The bounds of a quota, and how much of each is used."""

    hard: dict[str, str] = {}
    used: dict[str, str] = {}


class QuotaName(msgspec.Struct, frozen=True):
    """The name of an object."""

    name: str = ""


class QuotaView(msgspec.Struct, frozen=True):
    """A ResourceQuota."""

    metadata: QuotaName = QuotaName()
    status: QuotaStatus = QuotaStatus()


class LimitItem(msgspec.Struct, frozen=True, rename="camel"):
    """The bounds of one sort of object in a LimitRange."""

    type: str = ""
    max: dict[str, str] = {}
    min: dict[str, str] = {}
    default: dict[str, str] = {}


class LimitSpec(msgspec.Struct, frozen=True):
    """The bounds of a LimitRange."""

    limits: tuple[LimitItem, ...] = ()


class LimitView(msgspec.Struct, frozen=True):
    """A LimitRange."""

    metadata: QuotaName = QuotaName()
    spec: LimitSpec = LimitSpec()


def amount(text: str) -> float:
    """Return the number that a quantity of Kubernetes writes: "500m" gives 0.5. A text that is none gives 0."""
    found = _QUANTITY.fullmatch(text.strip())
    if not found:
        return 0.0
    number = float(found[1]) * 10.0 ** int(found[2] or 0)
    unit = found[3] or ""
    return number * _BINARY[unit] if unit in _BINARY else number * 10.0 ** _POWERS.get(unit, 0)


def asked(pods: Iterable[Amounts]) -> dict[str, float]:
    """Return what pods ask for together, by the names that a quota has for it."""
    total: dict[str, float] = {}
    for one in pods:
        parts = {"pods": 1.0, "count/pods": 1.0}
        for kind, given in (("requests", one.requests), ("limits", one.limits)):
            for name, text in given.items():
                parts[f"{kind}.{name}"] = amount(text)
                if kind == "requests" and name in ("cpu", "memory", "ephemeral-storage"):
                    parts[name] = amount(text)
        for name, value in parts.items():
            total[name] = total.get(name, 0.0) + value
    return total


def beyond_quota(quota: QuotaView, wanted: Mapping[str, float]) -> list[str]:
    """Return what a quota has no room for, in words: "requests.cpu: 1.1 wanted, 0.5 of 2 left"."""
    found: list[str] = []
    for name, text in quota.status.hard.items():
        left = amount(text) - amount(quota.status.used.get(name, "0"))
        need = wanted.get(name, 0.0)
        if need > left + 1e-9:
            used = quota.status.used.get(name, "0")
            found.append(f"{name}: {used} of {text} are used, and {_short(need)} more are needed")
    return found


def beyond_limits(limits: LimitView, pods: Iterable[Amounts]) -> list[str]:
    """Return which bounds of a LimitRange the containers of pods break, in words."""
    found: dict[str, None] = {}
    for item in limits.spec.limits:
        if item.type not in ("Container", "Pod"):
            continue
        for one in pods:
            for name, most in item.max.items():
                if amount(one.limits.get(name, "0")) > amount(most):
                    found[
                        f"at most {most} of {name} for a {item.type.lower()}, {one.limits[name]} needed"
                    ] = None
            for name, least in item.min.items():
                if name in one.requests and amount(one.requests[name]) < amount(least):
                    found[
                        f"at least {least} of {name} for a {item.type.lower()}, {one.requests[name]} asked"
                    ] = None
    return list(found)


def _short(value: float) -> str:
    for unit, size in (("Gi", 2**30), ("Mi", 2**20)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"

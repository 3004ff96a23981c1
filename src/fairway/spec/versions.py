"""The version of this Fairway, and which versions understand each other over the API of a platform."""

from fairway.spec import VERSION

HEADER = "x-fairway-version"
"""The header with the version in each answer of a platform."""


def this() -> str:
    """Return the version of this Fairway."""
    return VERSION


def fit(one: str, other: str) -> bool:
    """Tell whether a command and a platform of these versions understand each other: all but the last number is equal."""
    return one.split(".")[:2] == other.split(".")[:2]


def is_older(one: str, other: str) -> bool:
    """Tell whether the first version is older than the second one."""
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int("".join(filter(str.isdigit, part)) or 0) for part in version.split(".")[:3]]

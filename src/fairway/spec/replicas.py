"""The number of replicas of an endpoint, as people write it: "3", "1-10", `replicas=3` or `replicas=(1, 10)`."""

import re

import msgspec

from fairway.spec.errors import UsageError

MOST = 64
"""The most replicas of an endpoint."""

_TEXT = re.compile(r"(?P<low>[0-9]{1,9})(?:-(?P<high>[0-9]{1,9}))?", re.ASCII)
_HINT = f"a number from 1 to {MOST}, or a lowest and a highest one: `--replicas 2`, `--replicas 1-10`"


class Bounds(msgspec.Struct, frozen=True):
    """The number of replicas that a revision may have. If the bounds differ, an autoscaler chooses the number.

    A replica is a process on this machine, and a pod on a cluster.
    """

    low: int = 1
    high: int = 1

    @classmethod
    def exactly(cls, count: int) -> "Bounds":
        """Return the bounds of a fixed number."""
        return cls(count, count)

    @classmethod
    def parse(cls, text: str) -> "Bounds":
        """Read "3" or "1-10". Raises UsageError."""
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise UsageError(f"{text[:40]!r} is no number of replicas", hint=_HINT)
        low = int(found["low"])
        return checked(cls(low, int(found["high"] or low)))

    @classmethod
    def of(cls, value: object) -> "Bounds":
        """Return the bounds that a value of Python code means: 3 or (1, 10). Raises UsageError."""
        if type(value) is int:
            return checked(cls(value, value))
        if type(value) is tuple and len(value) == 2:  # pyright: ignore[reportUnknownArgumentType]
            low, high = value  # pyright: ignore[reportUnknownVariableType]
            if type(low) is int and type(high) is int:  # pyright: ignore[reportUnknownArgumentType]
                return checked(cls(low, high))
        raise UsageError(
            f"replicas={value!r} is no number of replicas", hint="write `replicas=3` or `replicas=(1, 10)`"
        )

    def __contains__(self, count: int) -> bool:
        return self.low <= count <= self.high

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"

    def nearest(self, count: int) -> int:
        """Return the allowed number that is nearest to `count`."""
        return max(self.low, min(count, self.high))


def checked(bounds: Bounds) -> Bounds:
    """Return bounds that an endpoint can have. Raises UsageError."""
    if not 1 <= bounds.low <= bounds.high <= MOST:
        raise UsageError(f"an endpoint cannot have {bounds} replicas", hint=_HINT)
    return bounds

"""The resources of a step, the replicas of an endpoint, and the amounts as people write them: "2Gi", "500m", "1h30m", "1-10"."""

import contextlib
import math
import re

import msgspec

from fairway.spec.errors import UsageError
from fairway.spec.nodes import NodeChoice

_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTPE]i?|k)?B?")
_DECIMAL = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_MEMORY_UNITS = _DECIMAL | {f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("KMGTPE", start=1)}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

MOST_REPLICAS = 64
"""The most replicas of an endpoint."""

_BOUNDS = re.compile(r"(?P<low>[0-9]{1,9})(?:-(?P<high>[0-9]{1,9}))?", re.ASCII)
_REPLICAS_HINT = (
    f"a number from 1 to {MOST_REPLICAS}, or a lowest and a highest one: `--replicas 2`, `--replicas 1-10`"
)


class Resources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The resources of one attempt. The default is one CPU, any memory and no GPU.

    Attributes:
        cpu: the number of cores; fractions are allowed.
        memory: the number of bytes; 0 means not limited.
        gpu: the number of whole GPUs.
        disk: the bytes that may be written to disk; 0 leaves the bound to the target.
        nodes: the choice of nodes. None is no choice.
    """

    cpu: float = 1.0
    memory: int = 0
    gpu: int = 0
    disk: int = 0
    nodes: NodeChoice | None = None

    def fits(self, other: "Resources") -> bool:
        """Tell whether this can be taken out of `other`, which is a machine or the rest of one."""
        return (
            self.cpu <= other.cpu + 1e-9
            and self.memory <= other.memory
            and self.gpu <= other.gpu
            and self.suits(other)
        )

    def suits(self, other: "Resources") -> bool:
        """Tell whether `other` has the disk and the nodes that are asked for. They do not become less by use."""
        return self.disk <= other.disk and (self.nodes is None or self.nodes.met_by(other.nodes))

    def joined(self, other: "Resources") -> "Resources":
        """Return the larger part of each resource, on the nodes of `other`."""
        return Resources(
            cpu=max(self.cpu, other.cpu),
            memory=max(self.memory, other.memory),
            gpu=max(self.gpu, other.gpu),
            disk=max(self.disk, other.disk),
            nodes=other.nodes,
        )


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The share of one attempt in a place that several runs use.

    Attributes:
        resources: the resources.
        lease: the token with which a run that the attempt starts may use this share. Empty when nothing is shared.
        gpus: the devices to use, in the form of `CUDA_VISIBLE_DEVICES`. Empty leaves the choice to the code.
    """

    resources: Resources
    lease: str = ""
    gpus: tuple[str, ...] = ()


_LONGEST = 40
"""The largest number of digits, leading zeros included."""


def whole_number(digits: str | bytes, most: int = 2**63 - 1) -> int | None:
    """Return the number that decimal digits write. Other texts, and numbers above `most`, give None.

    Digits are counted first, because Python answers thousands of them with an error of its own.
    """
    if len(digits) > _LONGEST or not (digits.isascii() and digits.isdigit()):
        return None
    number = int(digits)
    return number if number <= most else None


def parse_memory(text: str | float) -> int:
    """Return the bytes of "2Gi", "512Mi", "1.5G" or a plain number of bytes. Kubernetes writes quantities in this way.

    Raises:
        UsageError: it is none of these, negative, or less than a byte. 0 stands for "not limited".
    """
    return _parse_bytes("memory", text)


def parse_disk(text: str | float) -> int:
    """Return the bytes of "20Gi" or a plain number of bytes. 0 leaves the bound to the target. Raises UsageError."""
    return _parse_bytes("disk", text)


def _parse_bytes(word: str, text: str | float) -> int:
    size = -1.0
    if isinstance(text, str):
        match = _MEMORY.fullmatch(text.strip())
        if match:
            size = float(match[1]) * _MEMORY_UNITS[match[2] or ""]
    elif _is_number(text):
        size = text
    if not (size == 0 or 1 <= size < math.inf):
        raise UsageError(f"{word}={text!r} is not an amount of {word}", hint='write it like "512Mi" or "2Gi"')
    return int(size)


def parse_cpu(text: str | float) -> float:
    """Return the cores of 2, 0.5, "2" or "500m". 0 stands for a step that only waits. Raises UsageError."""
    value = math.nan
    if isinstance(text, str):
        with contextlib.suppress(ValueError):
            value = float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    elif _is_number(text):
        value = float(text)
    if not value >= 0 or math.isinf(value):
        raise UsageError(f"cpu={text!r} is not a number of CPUs", hint='write it like 2, 0.5 or "500m"')
    return value


def parse_duration(text: str | float) -> float:
    """Return the seconds of "90s", "10m", "1h30m", "250ms" or a plain number of seconds.

    Raises:
        UsageError: it is none of these, or not more than 0.
    """
    value = math.nan
    if isinstance(text, str):
        bare = text.replace(" ", "")
        parts = _DURATION.findall(bare)
        if parts and "".join(number + unit for number, unit in parts) == bare:
            value = sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)
    elif _is_number(text):
        value = float(text)
    if not value > 0 or math.isinf(value):
        raise UsageError(f"timeout={text!r} is not a duration", hint='write it like "90s", "10m" or "1h30m"')
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def format_memory(size: float) -> str:
    """Format bytes for people: "1.5 TiB", "0.3 GiB", "12 MiB", "640 B"."""
    if size >= 2**40:
        return f"{size / 2**40:.1f} TiB"
    if size >= 2**30 / 10:
        return f"{size / 2**30:.1f} GiB"
    if size >= 2**20:
        return f"{size / 2**20:.0f} MiB"
    return f"{size / 1024:.0f} KiB" if size >= 1024 else f"{size:.0f} B"


def format_duration(seconds: float) -> str:
    """Format seconds for people: "1.4 s", "2 min 05 s", "3 h 10 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


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
        found = _BOUNDS.fullmatch(text.strip())
        if found is None:
            raise UsageError(f"{text[:40]!r} is no number of replicas", hint=_REPLICAS_HINT)
        low = int(found["low"])
        return cls(low, int(found["high"] or low)).check()

    @classmethod
    def of(cls, value: object) -> "Bounds":
        """Return the bounds that a value of Python code means: 3 or (1, 10). Raises UsageError."""
        if type(value) is int:
            return cls(value, value).check()
        if type(value) is tuple and len(value) == 2:  # pyright: ignore[reportUnknownArgumentType]
            low, high = value  # pyright: ignore[reportUnknownVariableType]
            if type(low) is int and type(high) is int:  # pyright: ignore[reportUnknownArgumentType]
                return cls(low, high).check()
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

    def check(self) -> "Bounds":
        """Return these bounds if an endpoint can have them. Raises UsageError."""
        if not 1 <= self.low <= self.high <= MOST_REPLICAS:
            raise UsageError(f"an endpoint cannot have {self} replicas", hint=_REPLICAS_HINT)
        return self

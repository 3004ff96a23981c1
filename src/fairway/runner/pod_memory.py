"""Memory and processors of a container, as its control group shows them: version 1 and version 2.

Use is counted as anonymous and shared memory. The group's own peak also counts the cache of files that were read, which
the system gives back when somebody needs the memory.
"""

import contextlib
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_UNLIMITED = 2**60
"""A limit from here on is no limit. Version 1 writes the largest number of pages instead of a word."""


class ControlGroup:
    """The control group of this container."""

    def __init__(self, root: Path = _ROOT) -> None:
        self._second = (root / "cgroup.controllers").exists()
        self._memory = root if self._second else root / "memory"
        self._cpu = root if self._second else root / "cpu"

    def limit(self) -> int:
        """Return the most bytes of memory that the container may use. 0 is no limit."""
        name = "memory.max" if self._second else "memory.limit_in_bytes"
        found = _number(_text(self._memory / name))
        return found if 0 < found < _UNLIMITED else 0

    def used(self) -> int:
        """Return the bytes of memory that the processes of the container hold. 0 if the system does not tell."""
        found = _table(self._memory / "memory.stat")
        names = ("anon", "shmem") if self._second else ("total_rss", "total_shmem")
        return sum(found.get(name, 0) for name in names)

    def kills(self) -> int:
        """Return how many processes of the container the system has killed because the memory was used up."""
        name = "memory.events" if self._second else "memory.oom_control"
        return _table(self._memory / name).get("oom_kill", 0)

    def cpu(self) -> float:
        """Return the number of cores that the container may use. 0 is no limit."""
        if self._second:
            quota, _, period = _text(self._cpu / "cpu.max").partition(" ")
        else:
            quota, period = _text(self._cpu / "cpu.cfs_quota_us"), _text(self._cpu / "cpu.cfs_period_us")
        return _number(quota) / _number(period) if _number(quota) > 0 and _number(period) > 0 else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


def _table(path: Path) -> dict[str, int]:
    """Return the numbers of a file with a name and a number in each line."""
    found: dict[str, int] = {}
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        with contextlib.suppress(ValueError):
            found[name] = int(value)
    return found

"""Takes turns: each round measures every side once, the order turning, and figures are compared within their round.

A machine is never quiet, and what disturbs one side of a round disturbs the other too; so a ratio is the median of the
rounds' ratios, and its spread is the lowest and the highest of them.
"""

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Sample = dict[str, float]
Samples = dict[str, list[Sample]]
_LIMIT = 600.0


def alternate(sides: Mapping[str, Callable[[], Sample]], rounds: int, warm: int = 1) -> Samples:
    """Measure all sides in turns; the first `warm` rounds are thrown away."""
    names = list(sides)
    seen: Samples = {name: [] for name in names}
    for turn in range(warm + rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            sample = sides[name]()
            if turn >= warm:
                seen[name].append(sample)
    return seen


@dataclass(frozen=True)
class Spread:
    """A middle and its extremes."""

    middle: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def of(samples: Samples, side: str, key: str = "wall") -> Spread:
    """The spread of one figure of one side."""
    return spread([sample[key] for sample in samples[side]])


def ratio(samples: Samples, side: str, other: str, key: str = "wall") -> Spread:
    """The spread of the rounds' ratios of two sides."""
    pairs = zip(samples[side], samples[other], strict=True)
    return spread([mine[key] / theirs[key] for mine, theirs in pairs])


def command(
    words: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> Sample:
    """Run a command to its end: seconds of wall time, seconds of CPU of it and what it waited for, MB at its peak.

    Raises:
        RuntimeError: it ended with a status other than 0; its last words are in the message.
    """
    log = folder / "command.log"
    with open(log, "wb") as out:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in words], cwd=folder, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, env={**clean(), **(environment or {})},
        )  # fmt: skip
        overdue = threading.Timer(_LIMIT, process.kill)
        overdue.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        finally:
            overdue.cancel()
        wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = log.read_text("utf-8", "replace").strip()[-600:]
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {process.returncode}: {last}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def clean() -> dict[str, str]:
    """This process's environment without what would change what is measured."""
    dropped = ("FAIRWAY_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


def milliseconds(seconds: float) -> str:
    """Seconds as they read best: in ms below one, else in s."""
    if seconds >= 10:
        return f"{seconds:.0f} s"
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    digits = 0 if seconds >= 0.01 else 1 if seconds >= 0.001 else 2
    return f"{1000 * seconds:.{digits}f} ms"


def times(value: Spread | float) -> str:
    """A ratio, with its spread when there is one."""
    if not isinstance(value, Spread):
        return f"{_digits(value)}×"
    if value.low == value.high:
        return f"{_digits(value.middle)}×"
    return f"{_digits(value.middle)}× ({_digits(value.low)} to {_digits(value.high)})"


def percents(value: Spread) -> str:
    """A share, with its spread."""
    return f"{value.middle:.0%} ({value.low:.0%} to {value.high:.0%})"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"

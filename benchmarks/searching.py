"""A search of 200 trials of 50 ms, next to Optuna alone, to MLflow that records them, and to a bare pool of two processes.

Two shares are measured. The share of the cores is the work of the trials by the time that two cores had: what a person
waits for, and what anything else on the machine takes part in. The share of the CPU is the same work by what all processes
of the search used, which other processes change little.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import (
    Sample,
    Samples,
    Spread,
    alternate,
    command,
    milliseconds,
    of,
    percents,
    ratio,
    spread,
    times,
)
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

_PROJECT = counting.PROJECTS / "searching.py"
_CORES, _SECONDS = 2, 0.05
_OURS, _OPTUNA, _POOL, _MLFLOW = "Fairway", "Optuna alone", "a bare pool", "MLflow in a bare pool"
_START = ", one trial"


def measure(bench: Bench) -> Figures:
    """The same trials in turns."""
    trials, folder = bench.size(200, 20), bench.folder
    ways = {
        _OURS: _search,
        _OPTUNA: partial(_beside, "alone"),
        _POOL: partial(_beside, "pooled"),
    }
    python = bench.peer("MLflow")
    if python:
        ways[_MLFLOW] = partial(_recorded, python)
    sides: dict[str, Callable[[], Sample]] = {}
    for name, way in ways.items():
        sides[name] = partial(way, folder, trials)
        sides[name + _START] = partial(way, folder, 1)
    bench.say(f"{trials} trials")
    return {"trials": trials, "search": alternate(sides, bench.size(3, 1), warm=0)}


def _search(folder: Path, trials: int) -> Sample:
    """A search with Fairway: the seconds that it took, the share of two cores that the trials had, and the CPU of the command."""
    own = counting.fresh(folder)
    words = [counting.FAIRWAY, "run", f"{_PROJECT}:search", "--trials", str(trials), "--out", own / "seconds"]
    return _sample(own, trials, command(words, own, {"FAIRWAY_HOME": str(own / "store")}))


def _beside(way: str, folder: Path, trials: int) -> Sample:
    own = counting.fresh(folder)
    return _sample(own, trials, command([sys.executable, _PROJECT, way, str(trials), own / "seconds"], own))


def _recorded(python: Path, folder: Path, trials: int) -> Sample:
    own = counting.fresh(folder)
    words = [
        python,
        counting.PROJECTS / "searching_mlflow.py",
        own / "mlflow.db",
        str(trials),
        own / "seconds",
    ]
    return _sample(own, trials, command(words, own))


def _sample(own: Path, trials: int, ran: Sample) -> Sample:
    wall = float((own / "seconds").read_text())
    return {"wall": wall, "busy": trials * _SECONDS / (_CORES * wall), "cpu": ran["cpu"]}


def _share(found: Samples, name: str, trials: int) -> Spread:
    """Return the share of the trials' own work in the CPU time of a side, without its start."""
    pairs = zip(found[name], found[name + _START], strict=True)
    return spread([(trials - 1) * _SECONDS / (whole["cpu"] - start["cpu"]) for whole, start in pairs])


def tell(figures: Figures) -> Told:
    """The share of the cores and of the CPU, beside Optuna, MLflow and the pool."""
    found, trials = figures["search"], figures["trials"]
    busy = of(found, _OURS, "busy").middle
    names = [name for name in found if not name.endswith(_START)]
    shares = {name: _share(found, name, trials) for name in names}
    rows = tuple(
        (name, milliseconds(of(found, name).middle), percents(of(found, name, "busy")), percents(shares[name]),
         f"{1000 * _SECONDS * (1 / shares[name].middle - 1):.1f} ms", times(ratio(found, name, _POOL)))
        for name in names
    )  # fmt: skip
    beside = [f"{name} {of(found, name, 'busy').middle:.0%}" for name in names if name != _OURS]
    return Told(
        (
            Seen(
                f"{busy:.0%} of two cores",
                ", ".join(beside),
                times(ratio(found, _OURS, _OPTUNA)),
                busy >= 0.7,
                f"Of the CPU time that the search used, {shares[_OURS].middle:.0%} were its trials' own. What the bare pool "
                "lacks is what the rest of the machine took while it was measured.",
            ),
        ),
        (
            Table(
                ("Side", f"{trials} trials", "of two cores", "of the CPU used", "CPU a trial beside it", "beside a pool"),
                rows,
            ),
        ),
        (
            "A trial is busy while it uses its 50 ms of a core. The share of two cores is the sum of that by twice the seconds "
            "that the trials took; the share of the CPU used is the same sum by the CPU time of all processes, less that of "
            "one trial.",
            "Optuna alone runs the trials in two threads of one process, without isolation, record or resume. The bare pool "
            "chooses no parameters; beside MLflow it records a run, two parameters and a metric for each trial in SQLite.",
        ),
    )  # fmt: skip


SUBJECT = Subject(
    name="searching",
    title="A search over parameters",
    says="Trials that need 50 ms of a core each, chosen by the same sampler.",
    goals=(Goal("200 trials of 50 ms in a search", "≥ 70 % of two cores busy with trials"),),
    measure=measure,
    tell=tell,
)

"""A file of a run, brought back with `fairway get`, next to `cp` and to `mlflow artifacts download`."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import Sample, alternate, command, milliseconds, of, ratio, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

_PROJECT = counting.PROJECTS / "storing.py"
_GET, _CHECKED, _COPY = "`fairway get -o`", "`fairway get -o --check`", "`cp`"
_MLFLOW = "`mlflow artifacts download`"


def measure(bench: Bench) -> Figures:
    """A run leaves a file; then it is copied in turns from the same place to the same place, from a warm cache."""
    size, own = bench.size(1000, 50), counting.fresh(bench.folder)
    bench.say(f"storing a file of {size} MB")
    environment = {"FAIRWAY_HOME": str(own / "store")}
    command([counting.FAIRWAY, "run", _PROJECT, "--megabytes", str(size)], own, environment)
    command([counting.FAIRWAY, "runs", "--json"], own, environment)
    run = json.loads((own / "command.log").read_text())[0]["name"]
    stored = max((own / "store" / "blobs").rglob("*"), key=lambda path: path.stat().st_size)
    sides = {
        _GET: partial(_copy, own, [counting.FAIRWAY, "get", run, "-o", "copy"], environment),
        _CHECKED: partial(_copy, own, [counting.FAIRWAY, "get", run, "-o", "copy", "--check"], environment),
        _COPY: partial(_copy, own, ["cp", stored, "copy"], environment),
    }
    python = bench.peer("MLflow")
    if python:
        bench.say("storing it with MLflow")
        sides[_MLFLOW] = _downloading(python, own, size)
    return {"mb": size, "copied": alternate(sides, bench.size(9, 1))}


def _downloading(python: Path, own: Path, size: int) -> Callable[[], Sample]:
    """Return the download of such a file from a run of MLflow on this disk."""
    place = own / "mlflow"
    place.mkdir()
    command([python, counting.PROJECTS / "storing_mlflow.py", place, str(size), own / "run"], own)
    words = [python.parent / "mlflow", "artifacts", "download", "-r", (own / "run").read_text()]
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{place / 'mlflow.db'}"}
    return partial(_copy, own, [*words, "-a", "large.bin", "-d", "downloaded"], environment)


def _copy(own: Path, words: list[str | Path], environment: dict[str, str]) -> Sample:
    (own / "copy").unlink(missing_ok=True)
    shutil.rmtree(own / "downloaded", ignore_errors=True)
    # The pages of the copy before are written back first, or the next copy would wait for them.
    os.sync()
    return command(words, own, environment)


def tell(figures: Figures) -> Told:
    """One row, and both sides."""
    copied = figures["copied"]
    rows = tuple(
        (name, milliseconds(of(copied, name).middle), milliseconds(of(copied, name, "cpu").middle),
         times(ratio(copied, name, _COPY)), times(ratio(copied, name, _COPY, "cpu")))
        for name in copied
    )  # fmt: skip
    beside = ratio(copied, _GET, _COPY)
    said = [
        f"{name.strip('`')} {milliseconds(of(copied, name).middle)}"
        for name in (_COPY, _MLFLOW)
        if name in copied
    ]
    return Told(
        (
            Seen(
                milliseconds(of(copied, _GET).middle),
                ", ".join(said),
                times(beside),
                beside.middle <= 1.2,
                "The command starts and reads the record before it copies.",
            ),
        ),
        (Table(("Command", f"{figures['mb']} MB", "CPU", "beside cp", "CPU beside cp"), rows),),
        (
            "A file over 256 MiB is compared with its digest only with `--check`, since SHA-256 takes longer than the copy. "
            "The hash is made beside the copy then, on another core. MLflow compares nothing.",
        ),
    )


SUBJECT = Subject(
    name="getting",
    title="A file of a run",
    says="A file of 1 GB that a step returned, written to the working folder.",
    goals=(Goal("`fairway get` of a file of 1 GB", "≤ 1.2 × cp"),),
    measure=measure,
    tell=tell,
)

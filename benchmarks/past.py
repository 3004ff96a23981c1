"""Runs of the past from Python, next to MLflow's `search_runs` over the same runs."""

import json
import sys
from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import Sample, alternate, command, milliseconds, of, ratio, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told

_OURS, _THEIRS = "Fairway", "MLflow"
_CONDITIONS = {"all runs": ("", ""), "half of them": ("accuracy > 0.8", "metrics.accuracy > 0.8")}


def measure(bench: Bench) -> Figures:
    """Both stores get the same runs; then fresh processes ask for them, in turns. Large stores are made once and kept."""
    runs = bench.size(100_000, 1000)
    own = bench.environments.folder / f"past-{runs}" if runs > 10_000 else counting.fresh(bench.folder)
    own.mkdir(parents=True, exist_ok=True)
    filling = counting.PROJECTS / "remembering.py"
    _fill(bench, _OURS, [sys.executable, filling, "fill"], own / "store", runs)
    asking: dict[str, list[str | Path]] = {_OURS: [sys.executable, filling, "ask", own / "store"]}
    python = bench.peer("MLflow")
    if python:
        beside = counting.PROJECTS / "remembering_mlflow.py"
        _fill(bench, _THEIRS, [python, beside, "fill"], own / "mlflow.db", runs)
        asking[_THEIRS] = [python, beside, "ask", own / "mlflow.db"]
    figures: Figures = {"runs": runs}
    for place, (title, conditions) in enumerate(_CONDITIONS.items()):
        sides = {
            name: partial(_ask, own, words, conditions[name == _THEIRS]) for name, words in asking.items()
        }
        figures[title] = alternate(sides, bench.size(5 - 2 * place, 1), warm=1 - place)
    return figures


def _fill(bench: Bench, name: str, words: list[str | Path], store: Path, runs: int) -> None:
    done = store.with_name(f"{store.name}.filled")
    if not done.exists():
        bench.say(f"recording {runs:,} runs with {name}")
        command([*words, store, str(runs)], store.parent)
        done.touch()


def _ask(own: Path, words: list[str | Path], condition: str) -> Sample:
    command([*words, condition, own / "seen"], own)
    return json.loads((own / "seen").read_text())


def tell(figures: Figures) -> Told:
    """One row, and both sides."""
    found, runs = figures["all runs"], figures["runs"]
    rows: list[tuple[str, ...]] = []
    for title in _CONDITIONS:
        for name in figures[title]:
            seen = {key: of(figures[title], name, key) for key in ("wall", "cpu", "frame", "count")}
            rows.append(
                (
                    f"{name}, {title}",
                    f"{seen['count'].middle:,.0f}",
                    milliseconds(seen["wall"].middle),
                    milliseconds(seen["cpu"].middle),
                    milliseconds(seen["frame"].middle),
                )
            )
    listed = of(found, _OURS).middle
    beside = f"MLflow {milliseconds(of(found, _THEIRS).middle)}" if _THEIRS in found else "not measured"
    return Told(
        (
            Seen(
                milliseconds(listed),
                beside,
                times(ratio(found, _OURS, _THEIRS)) if _THEIRS in found else "",
                listed <= 0.5,
                "SQLite reads the rows in a quarter of it; the rest makes an object of each, in memory that is touched first.",
            ),
        ),
        (Table(("Side", "Runs", "The list", "CPU of it", "A frame of pandas"), tuple(rows)),),
        (
            f"Each of the {runs:,} runs has two parameters and two metrics. `mlflow.search_runs` makes a frame and no list, so "
            "its time counts as that of the list.",
        ),
    )  # fmt: skip


SUBJECT = Subject(
    name="past",
    title="Runs of the past",
    says="`fw.runs` over a store with 100,000 runs, in a process that has opened it, beside `mlflow.search_runs`.",
    goals=(Goal("`fw.runs` over 100,000 runs", "≤ 0.5 s"),),
    measure=measure,
    tell=tell,
)

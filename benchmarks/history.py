"""Listing runs from a long history, which a fresh one tells nothing about."""

import sys
from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import Sample, alternate, command, milliseconds, of, ratio, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told


def measure(bench: Bench) -> Figures:
    """Two stores are filled with events as runs record them; then commands look at each, in turns."""
    runs, steps, folder = bench.size(1000, 30), bench.size(100, 20), bench.folder
    stores = {count: counting.fresh(folder) for count in (10, runs)}
    for count, store in stores.items():
        bench.say(f"recording {count} runs of {steps} steps")
        filling = counting.PROJECTS / "recording.py"
        command([sys.executable, filling, store, str(count), str(steps)], folder)
    sides = {"bare Python": partial(counting.bare, folder)}
    for count, store in stores.items():
        for words in ("runs", "runs --limit 1000", "show"):
            sides[f"fairway {words}, {count} runs"] = partial(_ask, store, words)
    size = sum(path.stat().st_size for path in stores[runs].rglob("*") if path.is_file())
    return {"runs": runs, "steps": steps, "mb": size / 1e6, "asked": alternate(sides, bench.size(7, 1))}


def _ask(store: Path, words: str) -> Sample:
    return command([counting.FAIRWAY, *words.split()], store, {"FAIRWAY_HOME": str(store)})


def tell(figures: Figures) -> Told:
    """One row, and the commands."""
    asked, runs = figures["asked"], figures["runs"]
    listed = of(asked, f"fairway runs, {runs} runs").middle
    rows = tuple(
        (name if name == "bare Python" else "`{}`, {}".format(*name.split(", ")),
         milliseconds(of(asked, name).middle), milliseconds(of(asked, name, "cpu").middle))
        for name in asked
    )  # fmt: skip
    few = f"fairway runs, {min(10, runs)} runs"
    return Told(
        (Seen(milliseconds(listed), f"{milliseconds(of(asked, few).middle)} over 10 runs",
              times(ratio(asked, f"fairway runs, {runs} runs", few)), listed <= 0.3),),
        (Table(("Command", "Time", "CPU"), rows),),
        (f"The store of {runs:,} runs has {figures['mb']:.0f} MB. Its events are recorded through the store as runs do "
         "it, without running the steps.",),
    )  # fmt: skip


SUBJECT = Subject(
    name="history",
    title="Many runs",
    says="Looking at a store with 1,000 runs of 100 steps, beside one with 10.",
    goals=(Goal("`fairway runs` over 1,000 runs of 100 steps", "≤ 0.3 s"),),
    measure=measure,
    tell=tell,
)

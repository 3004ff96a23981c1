"""What an isolated step costs when each waits for the one before, beside peers and a bare fork of the same warm host."""

import os
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import Sample, alternate, milliseconds, of, ratio, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told


def measure(bench: Bench) -> Figures:
    """Chains in turns; a step's cost is what a long run takes more than a short one."""
    folder = bench.folder
    steps = bench.size(200, 40)
    metaflow, luigi = bench.peer("Metaflow"), bench.peer("Luigi")
    sides = {
        "bare Python": partial(counting.bare, folder),
        "Fairway": lambda: counting.step_cost(partial(counting.fairway, folder, "chain"), steps),
        "bare fork": partial(counting.sketch, folder, "bare", steps, 1),
        "fork with a record": partial(counting.sketch, folder, "recorded", steps, 1),
        "fsync of a small file": partial(_fsync, folder, steps),
    }
    if luigi:
        sides["Luigi"] = lambda: counting.step_cost(partial(counting.luigi, luigi, folder, "chain"), steps, 1)
    bench.say(f"chains of {steps}")
    figures: Figures = {"steps": steps, "chain": alternate(sides, bench.size(7, 1))}
    if metaflow:
        few = bench.size(32, 6)
        bench.say(f"a chain of {few} with Metaflow")
        run = partial(counting.metaflow_chain, metaflow, folder)
        pair = {
            "Fairway": lambda: counting.step_cost(partial(counting.fairway, folder, "chain"), steps),
            "Metaflow": lambda: counting.step_cost(run, few, 2),
        }
        figures |= {"metaflow_steps": few, "metaflow": alternate(pair, bench.size(2, 1), warm=0)}
    return figures


def _fsync(folder: Path, count: int) -> Sample:
    """Seconds of creating a small file durably, as part of what any record costs on this disk."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        begun = time.perf_counter()
        for number in range(count):
            fd = os.open(f"{place}/{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, b"0" * 200)
            os.fsync(fd)
            os.close(fd)
        return {"step": (time.perf_counter() - begun) / count}


def tell(figures: Figures) -> Told:
    """One row for each of the two goals, and all sides."""
    chain = figures["chain"]
    step = of(chain, "Fairway", "step")
    python = [
        {"step": mine["step"], "wall": theirs["wall"]}
        for mine, theirs in zip(chain["Fairway"], chain["bare Python"], strict=True)
    ]
    start = ratio({"a": [{"v": one["step"]} for one in python], "b": [{"v": one["wall"]} for one in python]},
                  "a", "b", "v")  # fmt: skip
    fork = ratio(chain, "Fairway", "bare fork", "step")
    rows = [
        (name, milliseconds(of(chain, name, "step").middle), times(ratio(chain, "Fairway", name, "step")))
        for name in chain
        if name not in ("bare Python", "Fairway")
    ]
    beside = f"bare Python {milliseconds(of(chain, 'bare Python').middle)}"
    if "metaflow" in figures:
        pair = figures["metaflow"]
        said = times(ratio(pair, "Fairway", "Metaflow", "step"))
        rows.append(("Metaflow", milliseconds(of(pair, "Metaflow", "step").middle), said))
        beside += f", {rows[-1][0]} {rows[-1][1]}"
    if "Luigi" in chain:
        beside += f", Luigi {milliseconds(of(chain, 'Luigi', 'step').middle)}"
    cpu = milliseconds(of(chain, "Fairway", "step_cpu").middle)
    return Told(
        (
            Seen(f"{milliseconds(step.middle)} a step", beside, times(start), start.middle <= 0.4),
            Seen(f"{milliseconds(step.middle)} a step",
                 f"bare fork {milliseconds(of(chain, 'bare fork', 'step').middle)}, with a durable record "
                 f"{milliseconds(of(chain, 'fork with a record', 'step').middle)}",
                 times(fork), fork.middle <= 2.5),
        ),
        (
            Table(("Side", "A step", "Fairway beside it"),
                  (("Fairway", milliseconds(step.middle), f"CPU {cpu}"), *rows)),
        ),
        (
            f"Chains of {figures['steps']} steps; Metaflow's has {figures.get('metaflow_steps', 0)}, since its cost a "
            "step does not depend on their number. The start of a command is not counted on any side.",
            "Luigi forks for every task here, and keeps neither a record nor a durable result. The bare fork calls the "
            "function and ends; the other one writes a file with the result, syncs it and has it read.",
        ),
    )  # fmt: skip


SUBJECT = Subject(
    name="chain",
    title="Steps one after the other",
    says="A step adds one to a number, in a process of its own, with a durable record; the next one waits for it.",
    goals=(
        Goal("a step of a chain of 200, isolated and durable", "≤ 0.4× bare Python"),
        Goal("a step of a chain of 200, beside a bare fork of the same warm host", "≤ 2.5×"),
    ),
    measure=measure,
    tell=tell,
)

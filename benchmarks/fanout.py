"""A thousand steps side by side, ten thousand in one run, and their Refs held in a list."""

import subprocess
import time
from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import Sample, alternate, clean, milliseconds, of, ratio, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told


def measure(bench: Bench) -> Figures:
    """Fan-outs in turns, then long runs with the engine's memory."""
    folder = bench.folder
    steps, scaled = bench.size(1000, 60), bench.size(1000, 6)
    metaflow, luigi = bench.peer("Metaflow"), bench.peer("Luigi")
    sides = {
        "bare Python": partial(counting.bare, folder),
        "Fairway": partial(counting.fairway, folder, "fan", steps),
        "Fairway, refs in a list": partial(counting.fairway, folder, "held", steps),
        "fork with a record": partial(counting.sketch, folder, "recorded", steps, 2),
    }
    if luigi:
        sides["Luigi"] = partial(counting.luigi, luigi, folder, "fan", steps)
    bench.say(f"{steps} steps")
    figures: Figures = {"steps": steps, "fan": alternate(sides, bench.size(3, 1), warm=0)}
    if metaflow:
        bench.say(f"{scaled} steps with Metaflow")
        pair = {
            "Fairway": partial(counting.fairway, folder, "fan", scaled),
            "Metaflow": partial(counting.metaflow_fan, metaflow, folder, scaled),
        }
        figures |= {"scaled": scaled, "metaflow": alternate(pair, 1, warm=0)}
    many = bench.size(10_000, 600)
    bench.say(f"{many} steps in one run")
    lengths = {str(count): partial(_long, folder, count) for count in (many // 10, many)}
    figures |= {"many": many, "long": alternate(lengths, bench.size(2, 1), warm=0)}
    return figures


def _long(folder: Path, steps: int) -> Sample:
    """A run, and the most memory that its engine had."""
    own = counting.fresh(folder)
    words = [str(counting.FAIRWAY), "run", f"{counting.PROJECTS / 'counting.py'}:fan", "--steps", str(steps)]
    begun = time.perf_counter()
    with open(own / "log", "wb") as log:
        run = subprocess.Popen(
            words, cwd=own, stdout=log, stderr=log, env={**clean(), "FAIRWAY_HOME": str(own / "store")}
        )
    peak = 0
    while run.poll() is None:
        peak = max(peak, _peak(run.pid))
        time.sleep(0.02)
    if run.returncode:
        raise RuntimeError((own / "log").read_text("utf-8", "replace")[-600:])
    wall = time.perf_counter() - begun
    return {"wall": wall, "step": wall / steps, "engine_mb": peak / 1024}


def _peak(pid: int) -> int:
    """KB of memory at the peak of a process; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def tell(figures: Figures) -> Told:
    """The fan-out, its growth, and the engine's memory."""
    fan, long, steps, many = figures["fan"], figures["long"], figures["steps"], figures["many"]
    few = many // 10
    wall = of(fan, "Fairway").middle
    growth = ratio(long, str(many), str(few), "step")
    memory = [
        1024 * (more["engine_mb"] - less["engine_mb"]) / (many - few)
        for more, less in zip(long[str(many)], long[str(few)], strict=True)
    ]
    kilobytes = sorted(memory)[len(memory) // 2]
    beside = f"sketch {milliseconds(of(fan, 'fork with a record').middle)}"
    rows = [(name, milliseconds(of(fan, name).middle), times(ratio(fan, "Fairway", name))) for name in fan]
    if "Luigi" in fan:
        beside += f", Luigi {milliseconds(of(fan, 'Luigi').middle)}"
    if "metaflow" in figures:
        pair, scaled = figures["metaflow"], figures["scaled"]
        rows.append((f"Metaflow, {scaled} steps", milliseconds(of(pair, "Metaflow").middle),
                     f"{times(ratio(pair, 'Fairway', 'Metaflow'))} at {scaled} steps"))  # fmt: skip
        beside += f", Metaflow {milliseconds(of(pair, 'Metaflow').middle)} for {scaled}"
    starts = ratio(fan, "Fairway", "bare Python")
    each = milliseconds(of(long, str(many), "step").middle)
    return Told(
        (
            Seen(milliseconds(wall), beside, f"{times(starts)} bare Python", wall <= 3,
                 "Both cores are at work all the time. Two fifths of that is the kernel copying pages that forked processes "
                 "touch: 700 in that of a step, 250 in their host (`perf record -e page-faults`); the rest is what the "
                 "functions need, records and syncs, and 15 % the engine. The sketch has no engine and little to copy."),
            Seen(f"{each} a step at {many:,}", f"{milliseconds(of(long, str(few), 'step').middle)} at {few:,}",
                 times(growth), growth.middle <= 1.25),
            Seen(f"{kilobytes:.2f} KB a step", f"{of(long, str(many), 'engine_mb').middle:.0f} MB at {many:,} steps",
                 "", kilobytes <= 1,
                 "What the engine keeps of a step until its run ends: its key, its state and the digest of its result."),
        ),
        (Table(("Side", f"{steps:,} steps", "Fairway beside it"), tuple(rows)),),
        (
            "Two steps run at a time on every side. The sketch forks a warm process for each, which writes a durable "
            "record that is read. The cost of the start of a command is counted here, but not for the sketch.",
        ),
    )  # fmt: skip


SUBJECT = Subject(
    name="fanout",
    title="Steps side by side",
    says="Steps that do not wait for one another, in processes of their own, each with a durable record.",
    goals=(
        Goal("fan-out of 1,000 isolated steps", "≤ 3 s on 2 quiet cores"),
        Goal("time of a step in a run of 10,000", "as in one of 1,000 (≤ 1.25×)"),
        Goal("memory of the engine in a run of 10,000 steps", "≤ 1 KB a step"),
    ),
    measure=measure,
    tell=tell,
)

"""Where the time of a step and of a cached step goes, stage by stage, and what the start of a run consists of."""

import itertools
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import command, milliseconds
from benchmarks.subjects import Bench, Figures, Subject, Table, Told

STAGES = (
    ("ordered", "begun", "the order reaches a waiting child, which wakes up"),
    ("begun", "inputs", "its inputs are loaded"),
    ("inputs", "function", "the function is found and called"),
    ("function", "outputs", "the output is encoded"),
    ("outputs", "leaving", "streams are flushed, the record is made"),
    ("leaving", "record", "the record is written and synced"),
    ("record", "heard", "the engine hears of it"),
    ("heard", "ordered", "the engine decides, records, and orders the next step"),
)

START = (
    ("begun", "launched", "Python has started; so has the host, with the import of the project"),
    ("launched", "asked", "the command line is loaded, the arguments are read"),
    ("asked", "loaded", "the engine is loaded"),
    ("loaded", "described", "the host describes the project"),
    ("described", "bound", "parameters are bound, the run gets its name and its lease"),
    ("bound", "ordered", "the pipeline starts and calls its step"),
    ("ordered", "heard", "the step, as above but in a host that has forked nothing yet"),
    ("heard", "ended", "the pipeline returns, the end is recorded durably"),
    ("ended", "left", "the host is let go, the command ends"),
)


def measure(bench: Bench) -> Figures:
    """A chain whose processes note the time, and runs of cached steps whose engine is timed."""
    steps = bench.size(200, 40)
    rounds = bench.size(5, 1)
    bench.say("a step")
    seen: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, seconds in _chain(bench.folder, steps).items():
            seen[name].append(seconds)
    bench.say("a cached step")
    parts = _cached(bench.folder, bench.size(500, 50), rounds)
    step = {name: statistics.median(values) for name, values in seen.items()}
    bench.say("the start of a run")
    started: dict[str, list[float]] = defaultdict(list)
    for _ in range(bench.size(15, 2)):
        for name, seconds in _start(bench.folder).items():
            started[name].append(seconds)
    start = {name: statistics.median(values) for name, values in started.items()}
    return {"steps": steps, "step": step, "cached": parts, "start": start}


def _start(folder: Path) -> dict[str, float]:
    own = counting.fresh(folder)
    words = [
        sys.executable,
        counting.PROJECTS / "profiled.py",
        "start",
        f"{counting.PROJECTS / 'counting.py'}:chain",
    ]
    command([*words, "1", own / "engine.json"], own, {"FAIRWAY_HOME": str(own / "store")})
    at = {name: seconds for _, name, seconds in json.loads((own / "engine.json").read_bytes())["marks"]}
    told = {says: at[second] - at[first] for first, second, says in START}
    return {**told, "all": at["left"] - at["begun"]}


def _chain(folder: Path, steps: int) -> dict[str, float]:
    own = counting.fresh(folder)
    out, marks = own / "engine.json", own / "marks"
    words = [sys.executable, counting.PROJECTS / "profiled.py", "marks"]
    settings = {"FAIRWAY_HOME": str(own / "store"), "MARKS": str(marks)}
    command([*words, counting.PROJECTS / "marked.py", str(steps), out], own, settings)
    times: dict[str, dict[str, float]] = defaultdict(dict)
    order: list[str] = []
    for step, name, at in json.loads(out.read_bytes())["marks"]:
        times[step][name] = at
        if name == "ordered":
            order.append(step)
    for line in marks.read_text().splitlines():
        step, name, at = line.split()
        times[step][name] = float(at)
    found: dict[str, list[float]] = defaultdict(list)
    for step, following in itertools.pairwise(order):
        for first, second, says in STAGES:
            end = times[following]["ordered"] if second == "ordered" else times[step][second]
            found[says].append(end - times[step][first])
        found["all"].append(times[following]["ordered"] - times[step]["ordered"])
    return {name: statistics.median(values) for name, values in found.items()}


def _cached(folder: Path, steps: int, rounds: int) -> dict[str, float]:
    own = counting.fresh(folder)
    out, store = own / "engine.json", {"FAIRWAY_HOME": str(own / "store")}
    words = [sys.executable, counting.PROJECTS / "profiled.py", "parts"]
    file = f"{counting.PROJECTS / 'counting.py'}:cached"
    seen: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        command([*words, file, str(steps), out], own, store)
        told = json.loads(out.read_bytes())
        if turn:
            for name, seconds in {**told["parts"], "CPU of the command's process": told["cpu"]}.items():
                seen[name].append(seconds / steps)
    return {name: statistics.median(values) for name, values in seen.items()}


def tell(figures: Figures) -> Told:
    """Two tables."""
    step, cached = dict(figures["step"]), dict(figures["cached"])
    whole, cpu = step.pop("all"), cached.pop("CPU of the command's process")
    known = sum(cached.values())
    start = dict(figures["start"])
    run = start.pop("all")
    return Told(
        (),
        (
            Table(
                ("Stage of a step in a chain", "Time", "Share"),
                (
                    *(
                        (name, milliseconds(value), f"{100 * value / whole:.0f} %")
                        for name, value in step.items()
                    ),
                    ("from one order to the next", milliseconds(whole), ""),
                ),
                f"Medians over chains of {figures['steps']} steps",
            ),
            Table(
                ("Part of the engine, for a cached step", "Time", "Share"),
                (
                    *(
                        (name, milliseconds(value), f"{100 * value / known:.0f} %")
                        for name, value in sorted(cached.items(), key=lambda pair: -pair[1])
                    ),
                    (
                        "CPU of the whole process, its start and its writing thread included",
                        milliseconds(cpu),
                        "",
                    ),
                ),
                "What a part calls is counted where it belongs",
            ),
            Table(
                ("Stage of a run of one step", "Time", "Share"),
                (
                    *(
                        (name, milliseconds(value), f"{100 * value / run:.0f} %")
                        for name, value in start.items()
                    ),
                    ("from the first line of Python to the last", milliseconds(run), ""),
                ),
                "Medians of whole commands",
            ),
        ),
        (
            "The stages of a step follow one another, in three processes with one clock. The fork is not among them: "
            "the host forks the next child while the last one works.",
            "Noting the time costs some microseconds a stage, so the whole is a little more than in the comparison above.",
        ),
    )


SUBJECT = Subject(
    name="steps",
    title="A step, a cached step, a run of one step",
    says="The product's own functions, timed from outside in a real run.",
    goals=(),
    measure=measure,
    tell=tell,
    profile=True,
)

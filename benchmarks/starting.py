"""What it costs to import Fairway, to ask it for help, and to run one step, beside bare Python and peers."""

import sys
from functools import partial

from benchmarks import counting
from benchmarks.measuring import Samples, alternate, command, milliseconds, of, ratio, times
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told


def measure(bench: Bench) -> Figures:
    """Whole commands, in turns."""
    folder = bench.folder
    metaflow, luigi = bench.peer("Metaflow"), bench.peer("Luigi")
    loading = {
        "bare Python": partial(counting.bare, folder),
        "import fairway": partial(command, [sys.executable, "-c", "import fairway"], folder),
        "fairway --help": partial(command, [counting.FAIRWAY, "--help"], folder),
    }
    one = {
        "bare Python": partial(counting.bare, folder),
        "fairway run": partial(counting.fairway, folder, "chain", 1),
    }
    if metaflow:
        loading["import metaflow"] = partial(command, [metaflow, "-c", "import metaflow"], folder)
        loading["metaflow --help"] = partial(command, [metaflow.parent / "metaflow", "--help"], folder)
        one["Metaflow"] = partial(counting.metaflow_chain, metaflow, folder, 2)
    if luigi:
        loading["import luigi"] = partial(command, [luigi, "-c", "import luigi"], folder)
        one["Luigi"] = partial(counting.luigi, luigi, folder, "chain", 1, 1)
    bench.say("imports")
    figures: Figures = {"loading": alternate(loading, bench.size(15, 2))}
    bench.say("runs of one step")
    figures["one"] = alternate(one, bench.size(7, 1))
    return figures


def tell(figures: Figures) -> Told:
    """Three rows, and every command."""
    loading: Samples = figures["loading"]
    one: Samples = figures["one"]
    cpu = of(loading, "import fairway", "cpu").middle
    helped, python = of(loading, "fairway --help").middle, of(loading, "bare Python").middle
    run = ratio(one, "fairway run", "bare Python")
    rows = tuple(
        (f"`{name}`" if "fairway" in name or "metaflow" in name or "luigi" in name else name,
         milliseconds(of(samples, name).middle), milliseconds(of(samples, name, "cpu").middle),
         times(ratio(samples, name, "bare Python")))
        for samples, names in ((loading, loading), (one, list(one)[1:]))
        for name in names
    )  # fmt: skip
    return Told(
        (
            Seen(f"{milliseconds(cpu)} CPU", _beside(loading, "cpu", "bare Python", "import metaflow"),
                 times(ratio(loading, "import fairway", "bare Python", "cpu")), cpu <= 0.060),
            Seen(milliseconds(helped), _beside(loading, "wall", "bare Python", "metaflow --help"),
                 times(ratio(loading, "fairway --help", "bare Python")), helped <= 3 * python + 0.060),
            Seen(milliseconds(of(one, "fairway run").middle),
                 _beside(one, "wall", "bare Python", "Metaflow", "Luigi"), times(run), run.middle <= 10,
                 "Most of it is Python starting twice, for the command and for the steps, and what each has to import before it "
                 "begins, the project included; the stages of a run below tell them apart."),
        ),
        (Table(("Command", "Time", "CPU", "Time beside bare Python"), rows),),
        (
            "A run of Fairway is isolated and on record when the command ends. Luigi runs the step in its own process "
            "and keeps no record; a flow of Metaflow has at least two steps.",
        ),
    )  # fmt: skip


def _beside(samples: Samples, key: str, *names: str) -> str:
    there = [name for name in names if name in samples]
    return ", ".join(f"{name} {milliseconds(of(samples, name, key).middle)}" for name in there)


SUBJECT = Subject(
    name="starting",
    title="Starting",
    says="Whole commands, from the start of the process to its end, and the CPU time that they and their children used.",
    goals=(
        Goal("`import fairway`", "≤ 60 ms of CPU"),
        Goal("`fairway --help`", "≤ 3× bare Python + 60 ms"),
        Goal("a run of one step, whole command, durable", "≤ 10× bare Python"),
    ),
    measure=measure,
    tell=tell,
)

"""Running again what is cached already, beside peers that look up what is done."""

from functools import partial
from pathlib import Path

from benchmarks import counting
from benchmarks.measuring import Sample, alternate, milliseconds, of, times
from benchmarks.projects import counting_metaflow
from benchmarks.subjects import Bench, Figures, Goal, Seen, Subject, Table, Told


def measure(bench: Bench) -> Figures:
    """Everything is run once; then runs that find it done, in turns."""
    folder = bench.folder
    steps, scaled = 100, bench.size(20, 4)
    store = counting.fresh(folder) / "store"
    metaflow, luigi = bench.peer("Metaflow"), bench.peer("Luigi")
    again = partial(counting.fairway, folder, "cached", store=store)
    again(steps)
    sides = {"Fairway": lambda: counting.step_cost(again, steps)}
    if luigi:
        place = counting.fresh(folder)
        words = partial(_luigi_again, luigi, place)
        words(steps)
        sides["Luigi"] = lambda: counting.step_cost(words, steps, 1)
    bench.say(f"{steps} cached steps")
    figures: Figures = {"steps": steps, "again": alternate(sides, bench.size(7, 1))}
    if metaflow:
        bench.say(f"resuming {scaled} steps with Metaflow")
        own = counting.fresh(folder)
        try:
            counting.metaflow(metaflow, own, counting_metaflow.chain(scaled, fails=True))
        except RuntimeError as error:
            if "not yet" not in str(error) and "failed" not in str(error).lower():
                raise
        text = counting_metaflow.chain(scaled, fails=True)
        resume = {"Metaflow": lambda: _resumed(metaflow, own, text, scaled)}
        figures |= {"scaled": scaled, "resumed": alternate(resume, 1, warm=0)}
    return figures


def _luigi_again(python: Path, place: Path, steps: int) -> Sample:
    words = [python, counting.PROJECTS / "counting_luigi.py", "fan", str(steps), "1", place]
    return counting.command(words, place)


def _resumed(python: Path, place: Path, text: str, steps: int) -> Sample:
    again = counting.metaflow(python, place, text, "resume", healed=True)
    return {**again, "step": again["wall"] / steps}


def tell(figures: Figures) -> Told:
    """One row."""
    again = figures["again"]
    step = of(again, "Fairway", "step")
    rows = [(name, milliseconds(of(again, name, "step").middle),
             milliseconds(of(again, name, "step_cpu").middle)) for name in again]  # fmt: skip
    if "resumed" in figures:
        took = of(figures["resumed"], "Metaflow", "step").middle
        rows.append(
            (f"Metaflow, `resume` of {figures['scaled']} steps, with its start", milliseconds(took), "")
        )
    beside = ", ".join(f"{name.split(',')[0]} {figure}" for name, figure, _ in rows[1:])
    others = [of(again, name, "step").middle for name in again if name != "Fairway"]
    return Told(
        (Seen(f"{milliseconds(step.middle)} a step", beside,
              times(step.middle / others[0]) if others else "", step.middle <= 0.001),),
        (Table(("Side", "A step", "CPU of a step"), tuple(rows)),),
        (
            "Fairway compares code, inputs and environment of each step with what is on record, and records the hit. "
            "Luigi asks only whether the output file exists; Metaflow has no cache, and takes over the steps of a run "
            "that failed at its end.",
        ),
    )  # fmt: skip


SUBJECT = Subject(
    name="caching",
    title="Running again",
    says="A pipeline of 100 steps whose results are known: what a step costs beyond the start of the command.",
    goals=(Goal("a re-run of 100 cached steps", "≤ 1 ms a step over start"),),
    measure=measure,
    tell=tell,
)

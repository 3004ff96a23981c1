"""Runs the same small steps with Fairway, its peers and the sketch, each in an empty folder, for several subjects."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import Sample, command
from benchmarks.projects import counting_metaflow

PROJECTS = Path(__file__).parent / "projects"
FAIRWAY = Path(sys.executable).parent / "fairway"
_numbers = itertools.count()


def fresh(folder: Path) -> Path:
    """A new empty folder."""
    made = folder / f"at-{next(_numbers)}"
    made.mkdir()
    return made


def bare(folder: Path) -> Sample:
    """Python that starts and ends."""
    return command([sys.executable, "-c", "pass"], folder)


def fairway(folder: Path, pipeline: str, steps: int, store: Path | None = None) -> Sample:
    """`fairway run` of a pipeline of `projects/counting.py`, in a new store or a given one."""
    words = [FAIRWAY, "run", f"{PROJECTS / 'counting.py'}:{pipeline}", "--steps", str(steps)]
    return command(words, folder, {"FAIRWAY_HOME": str(store or fresh(folder) / "store")})


def luigi(python: Path, folder: Path, shape: str, steps: int, workers: int = 2) -> Sample:
    """The same with Luigi, in a new folder."""
    words = [python, PROJECTS / "counting_luigi.py", shape, str(steps), str(workers), fresh(folder)]
    return command(words, folder)


def metaflow(python: Path, folder: Path, text: str, *words: str, healed: bool = False) -> Sample:
    """A flow of Metaflow, in a given folder that keeps its store."""
    (folder / "flow.py").write_text(text)
    settings = {
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder),
        "USERNAME": "bench",
        "METAFLOW_USER": "bench",
    }
    settings |= {"HEALED": "1"} if healed else {}
    return command(
        [python, "flow.py", "--no-pylint", *(words or ("run",)), "--max-workers", "2"], folder, settings
    )


def metaflow_chain(python: Path, folder: Path, steps: int) -> Sample:
    """A chain of so many steps, the first and the last among them."""
    return metaflow(python, fresh(folder), counting_metaflow.chain(steps))


def metaflow_fan(python: Path, folder: Path, steps: int) -> Sample:
    """So many steps side by side, and three around them."""
    words = ("run", "--max-num-splits", "100000")
    return metaflow(python, fresh(folder), counting_metaflow.fan(steps), *words)


def sketch(folder: Path, mode: str, steps: int, workers: int) -> Sample:
    """Seconds that the sketch took, without its start."""
    place = fresh(folder)
    command([sys.executable, PROJECTS / "sketch.py", mode, str(steps), str(workers), place], place)
    took = float((place / "command.log").read_text())
    return {"wall": took, "step": took / steps}


def step_cost(run: Callable[[int], Sample], many: int, few: int = 0) -> Sample:
    """Seconds for each step beyond what a run costs anyway: a long run and a short one, one after the other."""
    short, long = run(few), run(many)
    return {
        "wall": long["wall"],
        "step": (long["wall"] - short["wall"]) / (many - few),
        "step_cpu": (long["cpu"] - short["cpu"]) / (many - few),
    }

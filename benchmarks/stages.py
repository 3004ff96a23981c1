"""Where the time of an infer request goes inside the model server, stage by stage."""

import json
import subprocess
import sys

from benchmarks.serving_servers import HERE
from benchmarks.subjects import Bench, Figures, Subject, Table, Told


def measure(bench: Bench) -> Figures:
    """Microseconds by stage, in one process, without a network."""
    subprocess.run([sys.executable, str(HERE / "serving_models.py"), str(bench.folder)], check=True)
    told = subprocess.check_output([sys.executable, str(HERE / "serving_stages.py"), str(bench.folder)])
    return {"us": json.loads(told)}


def tell(figures: Figures) -> Told:
    """A table of stages."""
    rows = tuple((name, f"{value:.1f} µs") for name, value in figures["us"].items())
    return Told((), (Table(("Stage", "Time"), rows),))


SUBJECT = Subject(
    name="stages",
    title="An infer request",
    says="A JSON request of one row to the small model, inside the application; the rest of a request is uvicorn and the kernel.",
    goals=(),
    measure=measure,
    tell=tell,
    profile=True,
)

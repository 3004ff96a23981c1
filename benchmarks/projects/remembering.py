"""Fills a store with runs of the past, and asks for them: `remembering.py fill STORE RUNS` and `ask STORE CONDITION OUT`."""

import hashlib
import json
import sys
import time
from concurrent.futures import Future
from pathlib import Path

METRICS = {"accuracy": 0.8, "loss": 0.4}
"""The metrics of a run with their middle, around which the runs lie."""


def name(place: int) -> str:
    """The name of a run, which says nothing about when it began, as names do that are drawn."""
    return hashlib.md5(str(place).encode(), usedforsecurity=False).hexdigest()


def parameters(place: int) -> dict[str, float]:
    """The parameters of a run."""
    return {"depth": place % 12, "rate": (1 + place % 97) / 1000}


def metrics(place: int) -> dict[str, float]:
    """The last values of its metrics."""
    return {name: middle + ((place * 7919) % 1000 - 500) / 5000 for name, middle in METRICS.items()}


def fill(store: str, runs: int) -> None:
    """Record the beginnings, metrics and ends of runs, oldest first."""
    from fairway.spec.artifact import Artifact
    from fairway.spec.event import Event, MetricsLogged, RunEnded, RunStarted
    from fairway.spec.run import MetricPoint, Phase, RunSpec
    from fairway.spec.wire import DRIVER
    from fairway.stores import Layout
    from fairway.stores.metadata import SqliteMetadata

    layout = Layout(Path(store))
    layout.prepare()
    with SqliteMetadata(layout) as metadata:
        waiting: list[Future[int]] = []
        for place in range(runs):
            given = {
                name: Artifact(
                    format="json", digest="0" * 64, size=8, inline=json.dumps(value).encode(), kind="float"
                )
                for name, value in parameters(place).items()
            }
            run = name(place)[:10]
            spec = RunSpec(name=run, pipeline="main", project="/home/somebody/project.py", parameters=given)
            points = tuple(MetricPoint(name=name, value=value) for name, value in metrics(place).items())
            begun = 1.7e9 + place
            waiting.append(
                metadata.submit(
                    [
                        Event(body=RunStarted(spec), run=run, time=begun),
                        Event(body=MetricsLogged(points), run=run, step=DRIVER, time=begun + 1),
                        Event(body=RunEnded(Phase.SUCCEEDED), run=run, time=begun + 2),
                    ]
                )
            )
            if len(waiting) > 20:
                waiting.pop(0).result()
        for future in waiting:
            future.result()


def ask(store: str, condition: str, out: str) -> None:
    """Ask for runs once, in a process that has done nothing before, and then for one frame of them."""
    import fairway as fw

    fw.runs(project=store, limit=1)
    begun, used = time.perf_counter(), time.process_time()
    found = fw.runs(project=store, where=condition)
    listed, listed_cpu = time.perf_counter() - begun, time.process_time() - used
    count = len(found)
    begun, used = time.perf_counter(), time.process_time()
    found.frame("pandas")
    framed, framed_cpu = time.perf_counter() - begun, time.process_time() - used
    seen = {"wall": listed, "cpu": listed_cpu, "frame": framed, "frame_cpu": framed_cpu, "count": count}
    Path(out).write_text(json.dumps(seen))


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.argv[2], int(sys.argv[3]))
    else:
        ask(*sys.argv[2:])

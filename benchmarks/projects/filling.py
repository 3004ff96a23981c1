"""Fills a store with the events of runs as they are recorded, without running them: `filling.py STORE --runs 1000000`.

The runs are of two pipelines, the newest ended a minute ago, and every 40th failed. One more run has many steps, one many names
of metrics, and one many points of a metric, where they are asked for.
"""

import argparse
import hashlib
import math
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from fairway.spec.artifact import Artifact
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    Body,
    Event,
    MetricsLogged,
    RunEnded,
    RunStarted,
    StepCalled,
    StepEnded,
)
from fairway.spec.run import Failure, MetricPoint, Phase, Reason, RunSpec, StepResult, StepSpec, Usage
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata

EVERY = 40
SECONDS = 60.0
WAITING = 20
TOGETHER = 200
NO_LUCK = Failure(reason=Reason.USER, message="ValueError: a share of 1.5 is more than all", hint="fix it")


def number(value: float) -> Artifact:
    """Return a small artifact."""
    data = str(value).encode()
    digest = hashlib.sha256(data).hexdigest()
    return Artifact(format="json", digest=digest, size=len(data), kind="float", inline=data)


def run_of_a_list(place: int, at: float) -> list[Event]:
    """Return what a short run records."""
    name, epochs, rate = f"n{place:07}", 5 + place % 20, 0.001 * (1 + place % 7)
    pipeline = "churn" if place % 3 else "prices"
    spec = RunSpec(
        name=name, pipeline=pipeline, project="/home/somebody/project.py", source="0" * 64,
        parameters={"epochs": number(epochs), "rate": number(rate), "rows": number(400)},
        shown={"epochs": str(epochs), "rate": f"{rate:g}", "rows": "400"},
    )  # fmt: skip
    auc = round(0.5 + 0.4999 * math.sin(place * 0.7) ** 2, 6)
    points = (MetricPoint(name="auc", value=auc), MetricPoint(name="loss", value=1 - auc))
    failed = place % EVERY == 7
    end = RunEnded(Phase.FAILED, NO_LUCK) if failed else RunEnded(Phase.SUCCEEDED)
    bodies: list[tuple[Body, str, float]] = [
        (RunStarted(spec), "", 0.0), (MetricsLogged(points), "pipeline", 1.0), (end, "", 2.0),
    ]  # fmt: skip
    return [Event(body=body, run=name, step=step, time=at + later) for body, step, later in bodies]


def run_of_steps(name: str, steps: int, at: float) -> list[Event]:
    """Return what a run of a map of many steps records."""
    spec = RunSpec(name=name, pipeline="wide", project="/home/somebody/project.py", source="0" * 64)
    made: list[tuple[Body, str]] = [(RunStarted(spec), "")]
    for count in range(1, steps + 1):
        step = "score" if count == 1 else f"score-{count}"
        usage = Usage(wall=0.1, cpu=0.1, memory=40_000_000)
        result = StepResult(run=name, step=step, attempt=1, outputs=(number(count),), usage=usage)
        called = StepSpec(name=step, task="score", inputs={"n": number(count - 1)}, label=f"n={count - 1}")
        made += [
            (StepCalled(called), step), (AttemptStarted(1, "host-1"), step), (AttemptEnded(1, result), step),
            (StepEnded(phase=Phase.SUCCEEDED, outputs=result.outputs), step),
        ]  # fmt: skip
    made.append((RunEnded(Phase.SUCCEEDED), ""))
    return [Event(body=body, run=name, step=step, time=at + 0.001 * i) for i, (body, step) in enumerate(made)]


def run_of_metrics(name: str, keys: int, points: int, at: float) -> list[Event]:
    """Return what a run records that logs values under many names, many times each."""
    spec = RunSpec(name=name, pipeline="metrics", project="/home/somebody/project.py", source="0" * 64)
    made: list[Body] = [RunStarted(spec)]
    for key in range(keys):
        values = tuple(
            MetricPoint(name=f"loss_{key:05}", value=1 / (1 + 0.01 * i), index=i) for i in range(points)
        )
        made.append(MetricsLogged(values))
    made.append(RunEnded(Phase.SUCCEEDED))
    steps = ["" if isinstance(body, RunStarted | RunEnded) else "pipeline" for body in made]
    return [Event(body=body, run=name, step=step, time=at) for body, step in zip(made, steps, strict=True)]


def everything(asked: argparse.Namespace) -> Iterator[list[Event]]:
    """Yield events that belong into one commit."""
    end = time.time() - 60
    if asked.steps:
        yield run_of_steps("wide", asked.steps, end - 3 * SECONDS * (asked.runs + 1))
    if asked.keys:
        yield run_of_metrics("keys", asked.keys, 1, end - 2 * SECONDS * (asked.runs + 1))
    if asked.points:
        yield run_of_metrics("points", 1, asked.points, end - 2 * SECONDS * (asked.runs + 1))
    batch: list[Event] = []
    for place in range(asked.runs):
        batch += run_of_a_list(place, end - SECONDS * (asked.runs - place))
        if len(batch) >= 3 * TOGETHER:
            yield batch
            batch = []
    yield batch


def main() -> None:
    """Write all runs, oldest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    for word in ("runs", "steps", "keys", "points"):
        parser.add_argument(f"--{word}", type=int, default=0)
    asked = parser.parse_args()
    layout = Layout(asked.store)
    layout.prepare()
    with SqliteMetadata(layout) as metadata:
        waiting: list[Future[int]] = []
        for events in everything(asked):
            waiting.append(metadata.submit(events))
            if len(waiting) > WAITING:
                waiting.pop(0).result()
        for future in waiting:
            future.result()


if __name__ == "__main__":
    main()

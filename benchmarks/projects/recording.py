"""Fills a store with the events of finished runs: `recording.py STORE RUNS STEPS`."""

import hashlib
import sys
from concurrent.futures import Future
from pathlib import Path

from fairway.spec.artifact import Artifact
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    Body,
    Event,
    RunEnded,
    RunStarted,
    StepCalled,
    StepEnded,
)
from fairway.spec.run import Phase, RunSpec, StepResult, StepSpec, Usage
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata


def number(value: int) -> Artifact:
    """A small artifact."""
    data = str(value).encode()
    return Artifact(
        format="json", digest=hashlib.sha256(data).hexdigest(), size=len(data), kind="int", inline=data
    )


def events(run: str, steps: int, now: float) -> list[Event]:
    """What a run records."""
    bodies: list[tuple[Body, str]] = []
    spec = RunSpec(name=run, pipeline="main", project="/home/somebody/project.py", source="0" * 64)
    bodies.append((RunStarted(spec), ""))
    for step in range(1, steps + 1):
        name = f"more-{step}"
        usage = Usage(wall=0.1, cpu=0.1, memory=40_000_000)
        result = StepResult(run=run, step=name, attempt=1, outputs=(number(step),), usage=usage)
        called = StepSpec(name=name, task="more", inputs={"number": number(step - 1)}, label=f"number={step}")
        bodies.append((StepCalled(called), name))
        bodies.append((AttemptStarted(1, "host-1"), name))
        bodies.append((AttemptEnded(1, result), name))
        bodies.append((StepEnded(phase=Phase.SUCCEEDED, outputs=result.outputs), name))
    bodies.append((RunEnded(Phase.SUCCEEDED), ""))
    return [Event(body=body, run=run, step=step, time=now) for body, step in bodies]


def main(store: str, runs: int, steps: int) -> None:
    """All runs, oldest first."""
    layout = Layout(Path(store))
    layout.prepare()
    with SqliteMetadata(layout) as metadata:
        waiting: list[Future[int]] = []
        for place in range(runs):
            waiting.append(metadata.submit(events(f"r{place:04}", steps, 1.7e9 + place)))
            if len(waiting) > 20:
                waiting.pop(0).result()
        for future in waiting:
            future.result()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

"""Events of a run as a log of metadata is given them."""

from fairway.spec.artifact import Artifact, RefData
from fairway.spec.evaluation import Evaluation
from fairway.spec.event import Event, RunEnded, RunStarted, StepCalled, StepEnded
from fairway.spec.model import Candidate
from fairway.spec.run import Phase, RunSpec, StepResult, StepSpec


def blob(name, size=10_000):
    return Artifact(format="npy", digest=(name.encode().hex() * 64)[:64], size=size)


def started(run="r1", pipeline="churn", time=1.0):
    return Event(body=RunStarted(RunSpec(name=run, pipeline=pipeline, project="/p.py")), run=run, time=time)


def ended(run="r1", phase=Phase.SUCCEEDED, time=9.0, failure=None):
    return Event(body=RunEnded(phase, failure, RefData("a")), run=run, time=time)


def called(step, run="r1", time=2.0, **spec):
    spec.setdefault("task", step.split("-")[0])
    return Event(
        body=StepCalled(StepSpec(name=step, inputs=spec.pop("inputs", {}), **spec)),
        run=run,
        step=step,
        time=time,
    )


def event(step, body, run="r1", time=3.0):
    return Event(body=body, run=run, step=step, time=time)


def result(step, run="r1", attempt=1, **fields):
    return StepResult(run=run, step=step, attempt=attempt, **fields)


def succeeded(step, run="r1", key="", parts=None, outputs=(), **fields):
    body = StepEnded(phase=Phase.SUCCEEDED, outputs=outputs, key=key, parts=parts or {}, **fields)
    return event(step, body, run)


def candidate(name="churn", accuracy=0.9, **fields):
    evaluation = Evaluation(kind="classification", count=10, metrics={"accuracy": accuracy})
    return Candidate(name=name, artifact=blob("model"), evaluation=evaluation, **fields)


def accept(rival):
    return None

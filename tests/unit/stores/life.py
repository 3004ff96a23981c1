"""A random life of a store as events, and the tables that follow from its log."""

import random
import sqlite3

from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.event import (
    AliasMoved,
    AttemptEnded,
    AttemptStarted,
    EndpointPointed,
    Event,
    MetricsLogged,
    RunEnded,
    RunNoted,
    RunRemoved,
    RunResumed,
    RunStarted,
    RunTagged,
    ScheduleDue,
    ScheduleRemoved,
    ScheduleSet,
    StepCalled,
    StepEnded,
    VersionRemoved,
)
from fairway.spec.model import Candidate, Lineage
from fairway.spec.run import Failure, MetricPoint, Phase, Reason, RunRequest, RunSpec, StepResult, StepSpec
from fairway.spec.schedule import Due, Fate, ScheduleSpec
from fairway.stores import Layout, schema


def blob(number):
    return Artifact(format="npy", digest=f"{number:064x}", size=10)


def called(step, run="r1"):
    return Event(body=StepCalled(StepSpec(name=step, task="t", inputs={"x": blob(1)})), run=run, step=step)


def started(run="r1"):
    return Event(body=RunStarted(RunSpec(name=run, pipeline="p", project="/p.py")), run=run, time=1.5)


def a_life(store, seed):
    """A few hundred events of every kind, in an order that chance decides."""
    rng = random.Random(seed)
    events = []
    for run in range(4):
        name = f"{seed}-{run}"
        events.append(started(name))
        for step in rng.sample(range(20), 12):
            key = {"run": name, "step": f"s-{step}", "time": rng.random()}
            failure = Failure(reason=Reason.USER, message="no") if rng.random() < 0.3 else None
            phase = Phase.SUCCEEDED if failure is None else Phase.FAILED
            result = StepResult(run=name, step=key["step"], attempt=1, outputs=(blob(step),), failure=failure)
            events += [
                called(key["step"], name),
                Event(body=AttemptStarted(1, "h"), **key),
                Event(body=MetricsLogged((MetricPoint(name="x", value=rng.random()),)), **key),
                Event(body=AttemptEnded(1, result), **key),
                Event(
                    body=StepEnded(phase, (blob(step),), failure, f"key {step}", {"code": str(run)}), **key
                ),
            ]
        events.append(
            Event(body=RunEnded(Phase.FAILED, Failure(reason=Reason.USER, message="s: no")), run=name)
        )
        if rng.random() < 0.5:
            events += [Event(body=RunResumed(), run=name), called("s-1", name)]
    store.append(events)
    for number in range(5):
        candidate = Candidate(name=f"m{number % 2}", artifact=blob(1000 + number))
        store.register(
            candidate, Lineage(run=f"{seed}-1", step=f"s-{number}"), lambda _: None, ("a", f"b{number}")
        )
        store.create_revision(RevisionSpec(endpoint=f"e{number % 2}", number=0))
    store.append([Event(body=RunTagged(word), run=f"{seed}-0") for word in ("good", "old")])
    store.append(
        [Event(body=RunTagged("old", False), run=f"{seed}-0"), Event(body=RunNoted("x"), run=f"{seed}-1")]
    )
    store.append(
        [
            started(f"{seed}-gone"),
            Event(body=RunRemoved(), run=f"{seed}-gone"),
            Event(body=VersionRemoved("m1", 2)),
        ]
    )
    daily = [
        ScheduleSpec(name=name, cron="0 6 * * *", request=RunRequest(file="p.py"))
        for name in ("often", "gone")
    ]
    store.append([Event(body=ScheduleSet(one)) for one in daily])
    store.append(
        [
            Event(body=ScheduleDue("often", Due(at=60, fate=Fate.STARTED, run=f"{seed}-1"))),
            Event(body=ScheduleDue("often", Due(at=120, fate=Fate.OVERLAPPED, run=f"{seed}-1", missed=2))),
            Event(body=ScheduleRemoved("gone")),
        ]
    )
    store.append([Event(body=AliasMoved("m0", "a", 0)), Event(body=EndpointPointed("e1", 2))])
    store.append([Event(body=EndpointPointed("e0", 1)), Event(body=EndpointPointed("e0", 0, "gone"))])


def tables(root):
    with sqlite3.connect(Layout(root).database) as db:
        return {table: sorted(db.execute(f"SELECT * FROM {table}")) for table in schema.TABLES}

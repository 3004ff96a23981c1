"""The facts by which runs are found, and the marks and removals of runs and versions."""

import math
import sqlite3

import pytest

from fairway.spec.artifact import Artifact
from fairway.spec.errors import NotFound
from fairway.spec.evaluation import Evaluation
from fairway.spec.event import (
    AttemptEnded,
    Event,
    MetricsLogged,
    RunEnded,
    RunNoted,
    RunRemoved,
    RunResumed,
    RunStarted,
    RunTagged,
    StepCalled,
    StepEnded,
    VersionRemoved,
)
from fairway.spec.history import START, Facts, RunQuery
from fairway.spec.model import Candidate, Lineage
from fairway.spec.run import MetricPoint, Phase, RunSpec, StepResult, StepSpec
from fairway.spec.wire import DRIVER
from fairway.stores import Layout, schema
from fairway.stores.metadata import SqliteMetadata


@pytest.fixture
def store(root):
    with SqliteMetadata(Layout(root)) as opened:
        yield opened


def value(data: bytes) -> Artifact:
    return Artifact(format="json", digest="0" * 64, size=len(data), inline=data, kind="x", note="note")


def blob(number: int) -> Artifact:
    return Artifact(format="npy", digest=f"{number:064x}", size=10)


def begun(name: str, time: float = 1.0, pipeline: str = "p", **parameters: bytes) -> Event:
    spec = RunSpec(
        name=name, pipeline=pipeline, project="/p.py",
        parameters={key: value(data) for key, data in parameters.items()},
    )  # fmt: skip
    return Event(body=RunStarted(spec), run=name, time=time)


def logged(run: str, step: str, **values: float) -> Event:
    points = tuple(MetricPoint(name=name, value=number) for name, number in values.items())
    return Event(body=MetricsLogged(points), run=run, step=step)


def ended(run: str, time: float = 2.0) -> Event:
    return Event(body=RunEnded(Phase.SUCCEEDED), run=run, time=time)


def facts(store: SqliteMetadata, name: str) -> Facts:
    return next(run.known for run in store.past(RunQuery())[0] if run.name == name)


def test_parameters_keep_their_types_and_what_is_no_scalar_is_shown(store):
    store.append([begun("a", depth=b"3", rate=b"0.5", word=b'"x"', deep=b"true", many=b"[1,2]")])
    assert facts(store, "a").parameters == {
        "depth": 3,
        "rate": 0.5,
        "word": "x",
        "deep": True,
        "many": "note",
    }


def test_the_last_value_counts_and_that_of_the_pipeline_before_that_of_a_step(store):
    store.append([begun("a"), logged("a", "train", loss=3.0), logged("a", "train", loss=2.0)])
    store.append([logged("a", DRIVER, best=1.0), logged("a", "train", best=9.0)])
    assert facts(store, "a").metrics == {"loss": 2.0, "best": 1.0}
    store.append([ended("a")])
    assert facts(store, "a").metrics == {"loss": 2.0, "best": 1.0}


def test_a_value_that_is_no_number_is_kept_as_none(store):
    store.append([begun("a"), logged("a", "train", loss=math.nan), ended("a")])
    assert facts(store, "a").metrics == {"loss": None}


def test_the_evaluation_that_a_step_returned_counts_also_when_the_step_is_cached(store):
    step = StepSpec(name="judge", task="judge", inputs={})
    result = StepResult(run="a", step="judge", attempt=1, metrics={"accuracy": 0.9})
    store.append([begun("a"), Event(body=StepCalled(step), run="a", step="judge")])
    store.append([Event(body=AttemptEnded(1, result), run="a", step="judge"), ended("a")])
    cached = StepEnded(Phase.SUCCEEDED, cached=True, source_run="a", source_step="judge")
    store.append([begun("b"), Event(body=StepCalled(step), run="b", step="judge")])
    store.append([Event(body=cached, run="b", step="judge"), ended("b")])
    assert facts(store, "a").metrics == facts(store, "b").metrics == {"accuracy": 0.9}


def test_the_registered_model_comes_first(store):
    store.append([begun("a"), logged("a", DRIVER, accuracy=0.1)])
    evaluation = Evaluation(kind="classification", count=3, metrics={"accuracy": 0.8})
    candidate = Candidate(name="m", artifact=blob(1), evaluation=evaluation)
    store.register(candidate, Lineage(run="a", step="register"), lambda _: None, ())
    store.append([ended("a")])
    assert facts(store, "a") == Facts({}, {"accuracy": 0.8}, ("m:1",))


def test_a_run_that_goes_on_again_is_found_by_its_newest_values(store):
    store.append([begun("a", depth=b"3"), logged("a", "train", loss=3.0), ended("a")])
    store.append([Event(body=RunResumed(), run="a"), logged("a", "train", loss=1.0)])
    assert facts(store, "a") == Facts({"depth": 3}, {"loss": 1.0})


def test_runs_are_chosen_by_pipeline_time_tag_and_phase_and_listed_in_parts(store):
    store.append([begun(f"r{n}", float(n), "even" if n % 2 == 0 else "odd") for n in range(1, 8)])
    store.append(
        [ended("r3"), Event(body=RunTagged("good"), run="r2"), Event(body=RunTagged("good"), run="r5")]
    )

    def names(**asked):
        return [run.name for run in store.past(RunQuery(**asked))[0]]

    assert names(pipeline="even") == ["r6", "r4", "r2"]
    assert names(since=3.0, until=5.0) == ["r4", "r3"]
    assert names(tag="good") == ["r5", "r2"]
    assert names(phase=Phase.SUCCEEDED) == ["r3"]
    assert names(before="r3") == ["r2", "r1"]
    some, at = store.past(RunQuery(), most=3)
    more, at = store.past(RunQuery(), (), at, 3)
    last, end = store.past(RunQuery(), (), at, 3)
    assert [run.name for run in (*some, *more, *last)] == [f"r{n}" for n in range(7, 0, -1)]
    assert end == START


def test_tags_and_a_note_are_shown_with_the_run(store):
    store.append([begun("a"), Event(body=RunTagged("good"), run="a"), Event(body=RunTagged("best"), run="a")])
    store.append([Event(body=RunTagged("good", False), run="a"), Event(body=RunNoted("why"), run="a")])
    (run,) = store.past(RunQuery())[0]
    assert (run.tags, run.note) == (("best",), "why")
    assert (store.run("a").tags, store.run("a").note) == (("best",), "why")


def test_a_removed_run_is_nowhere_but_in_the_log_and_keeps_no_content_that_others_do_not_need(store):
    def makes(run, *numbers):
        step = Event(body=StepCalled(StepSpec(name="s", task="t", inputs={})), run=run, step="s")
        done = StepEnded(Phase.SUCCEEDED, tuple(map(blob, numbers)), key=f"key {run}")
        return [begun(run), step, Event(body=done, run=run, step="s"), ended(run)]

    store.append([*makes("a", 1, 2), *makes("b", 2, 3)])
    store.append([Event(body=RunRemoved(), run="a")])
    assert list(store.digests()) == [blob(2).digest, blob(3).digest]
    assert store.run_names() == ["b"]
    assert store.cached("key a") is None
    with pytest.raises(NotFound):
        store.run("a")
    assert len(list(store.events(run="a"))) == 5
    assert store.verify().problems == ()


def test_the_number_of_a_removed_version_is_not_given_again(store):
    for number in range(2):
        store.register(
            Candidate(name="m", artifact=blob(number)), Lineage(run="", step=""), lambda _: None, ()
        )
    store.append([Event(body=VersionRemoved("m", 2))])
    assert [version.version for version in store.versions("m")] == [1]
    assert store.resolve("m").version == 1
    assert list(store.digests()) == [blob(0).digest]
    with pytest.raises(NotFound, match="has no version 2"):
        store.resolve("m:2")
    again = store.register(
        Candidate(name="m", artifact=blob(5)), Lineage(run="", step=""), lambda _: None, ()
    )
    assert again.version == 3


def test_a_store_of_the_version_before_is_read_and_brought_up_to_date(root):
    with SqliteMetadata(Layout(root)) as store:
        store.append([begun("a", depth=b"3"), logged("a", "train", loss=1.0), ended("a")])
    with sqlite3.connect(Layout(root).database) as db:
        for table in schema.TABLES:
            db.execute(f"DROP TABLE {table}")
        db.execute("CREATE TABLE ref(digest TEXT PRIMARY KEY) WITHOUT ROWID")
        db.execute(
            "CREATE TABLE run(name TEXT PRIMARY KEY, seq INTEGER NOT NULL, pipeline TEXT NOT NULL, phase TEXT NOT NULL,"
            " started REAL NOT NULL, ended REAL NOT NULL, steps INTEGER NOT NULL, failed INTEGER NOT NULL,"
            " message TEXT NOT NULL) WITHOUT ROWID"
        )
        db.execute("PRAGMA user_version = 2")
    with SqliteMetadata(Layout(root)) as store:
        assert facts(store, "a") == Facts({"depth": 3}, {"loss": 1.0})
        store.append([Event(body=RunTagged("kept"), run="a")])
        assert store.verify().problems == ()
    with sqlite3.connect(Layout(root).database) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)

"""What every metadata store promises: one log without gaps, and answers that follow from it."""

import os
import threading

import msgspec
import pytest
from events import accept, blob, called, candidate, ended, event, result, started, succeeded

from fairway.spec.artifact import Artifact, RefData
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.errors import NotFound, StorageError
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    Event,
    MetricsLogged,
    PictureShown,
    RunCancelling,
    RunEnded,
    RunResumed,
    RunStarted,
    StepEnded,
)
from fairway.spec.model import Lineage
from fairway.spec.run import Failure, MetricPoint, Phase, Reason, RunSpec, Usage


def test_an_empty_store_answers_everything(store, tmp_path):
    assert store.run_names() == store.runs() == store.models() == store.endpoints() == []
    assert list(store.events()) == list(store.digests()) == []
    assert store.cached("key") is None
    assert store.last_parts("p", "t", "") == store.aliases() == {}
    for ask in (store.run, store.versions, store.resolve, store.revisions):
        with pytest.raises(NotFound) as caught:
            ask("x")
        assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_runs_are_found_by_the_beginning_of_their_names_newest_first(store):
    for name in ("ab", "abc", "abd", "b", "a"):
        store.append([started(name)])
    assert store.run_names("ab") == ["abd", "abc", "ab"]
    assert store.run_names("abd") == ["abd"]
    assert store.run_names("a_") == store.run_names("ac") == store.run_names("a%") == []
    assert store.run_names() == ["a", "b", "abd", "abc", "ab"]


def test_the_log_counts_without_gaps(store):
    assert store.append([started(), called("a")]) == 2
    assert store.submit([called("b")]).result() == 3
    assert store.append([]) == 3
    assert [found.seq for found in store.events()] == [1, 2, 3]


def test_the_log_gives_back_what_it_was_given(store, make):
    given = [
        started(),
        called("a", inputs={"x": RefData("b"), "y": blob("in")}, label="y=1", code={"function a": "f"}),
        event("a", AttemptStarted(1, "host-1")),
        event("a", AttemptEnded(1, result("a", outputs=(blob("out"),), usage=Usage(wall=1.5, memory=7)))),
        event("a", MetricsLogged((MetricPoint(name="loss", value=0.5, index=3),))),
        succeeded("a", outputs=(blob("out"),)),
        Event(body=RunCancelling(), run="r1", who="ada with cli"),
        ended(failure=Failure(reason=Reason.USER, message="nö", details="Traceback\n …")),
    ]
    store.append(given)
    found = list(make().events())
    assert [msgspec.structs.replace(one, seq=0) for one in found] == given


def test_events_from_behind_a_seq_and_of_one_run(store):
    store.append([started("r1"), started("r2"), called("a", run="r1"), called("b", run="r2")])
    assert [found.seq for found in store.events(after=2)] == [3, 4]
    assert [found.seq for found in store.events(run="r2")] == [2, 4]
    assert [found.seq for found in store.events(after=2, run="r2")] == [4]
    assert list(store.events(after=4)) == []
    assert list(store.events(run="r")) == []


def test_many_events_come_in_order(store):
    futures = [store.submit([called(f"s-{number}")]) for number in range(3000)]
    assert [future.result() for future in futures] == list(range(1, 3001))
    assert [found.step for found in store.events()] == [f"s-{number}" for number in range(3000)]


def test_threads_append_at_once(store):
    seqs = []

    def work(thread):
        seqs.extend(store.append([called(f"t{thread}-{number}")]) for number in range(50))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 401))
    for thread in range(8):
        own = [found.step for found in store.events() if found.step.startswith(f"t{thread}-")]
        assert own == [f"t{thread}-{number}" for number in range(50)]


def test_order_is_that_of_the_log_whatever_the_clock_said(store):
    store.append([started("old", time=1e9), started("new", time=-86400.0), called("a", run="new", time=5e9)])
    assert store.run_names() == ["new", "old"]
    assert [found.name for found in store.runs()] == ["new", "old"]
    assert [found.time for found in store.events()] == [1e9, -86400.0, 5e9]


def test_a_run_as_it_goes(store):
    store.append(
        [started(), called("a"), called("b", inputs={"x": RefData("a")}), event("a", AttemptStarted(1))]
    )
    found = store.run("r1")
    assert (found.phase, found.started, found.ended) == (Phase.RUNNING, 1.0, 0.0)
    assert [(step.spec.name, step.phase) for step in found.steps] == [
        ("a", Phase.RUNNING),
        ("b", Phase.PENDING),
    ]
    out = (blob("out"),)
    store.append(
        [
            event("a", MetricsLogged((MetricPoint(name="loss", value=1.0),))),
            event("a", MetricsLogged((MetricPoint(name="loss", value=0.5),))),
            event("a", AttemptEnded(1, result("a", outputs=out, shown={"picture": blob("svg")})), time=4.0),
            succeeded("a", outputs=out, cached=True, why="same code", source_run="r0", source_step="a"),
        ]
    )
    step = store.run("r1").steps[0]
    assert (step.phase, step.outputs, step.cached, step.why, step.source_run) == (
        Phase.SUCCEEDED, out, True, "same code", "r0"
    )  # fmt: skip
    assert [point.value for point in step.metrics] == [1.0, 0.5]
    assert step.shown == {"picture": blob("svg")}
    assert [(a.number, a.phase, a.started, a.ended) for a in step.attempts] == [
        (1, Phase.SUCCEEDED, 3.0, 4.0)
    ]
    store.append([ended(time=7.0)])
    found = store.run("r1")
    assert (found.phase, found.ended, found.result) == (Phase.SUCCEEDED, 7.0, RefData("a"))


def pipeline_logged(name, *values):
    points = tuple(MetricPoint(name=name, value=value, index=at) for at, value in enumerate(values))
    return event("pipeline", MetricsLogged(points))


@pytest.mark.parametrize("again", ["resumed", "its process was lost"])
def test_what_a_pipeline_logs_and_shows_is_the_runs_and_not_doubled_when_it_is_repeated(store, again):
    store.append([started(), pipeline_logged("loss", 3.0, 2.0), pipeline_logged("early", 1.0)])
    store.append([event("pipeline", PictureShown("curve", blob("one")))])
    store.append([event("", RunResumed()) if again == "resumed" else event("pipeline", AttemptStarted(2))])
    kept = store.run("r1")
    assert [(point.name, point.value) for point in kept.metrics] == [("loss", 3), ("loss", 2), ("early", 1)]

    store.append([pipeline_logged("loss", 3.0), pipeline_logged("loss", 2.0), pipeline_logged("late", 0.5)])
    store.append([event("pipeline", PictureShown("curve", blob("two")))])
    found = store.run("r1")
    assert [(point.name, point.value) for point in found.metrics] == [
        ("loss", 3), ("loss", 2), ("early", 1), ("late", 0.5),
    ]  # fmt: skip
    assert found.shown == {"curve": blob("two")}
    assert {blob("one").digest, blob("two").digest} <= set(store.digests())


def test_failed_attempts_are_kept(store):
    failure = Failure(reason=Reason.USER, message="no", details="Traceback")
    again = Failure(reason=Reason.CANCELLED, message="cancelled")
    store.append(
        [
            started(),
            called("a", retries=1),
            event("a", AttemptStarted(1)),
            event("a", AttemptEnded(1, result("a", failure=failure, usage=Usage(wall=2.0)))),
            event("a", AttemptStarted(2)),
            event("a", AttemptEnded(2, result("a", attempt=2, failure=again))),
            event("a", StepEnded(phase=Phase.CANCELLED, failure=again)),
            ended(phase=Phase.CANCELLED, failure=again),
        ]
    )
    step = store.run("r1").steps[0]
    assert [(a.phase, a.failure) for a in step.attempts] == [
        (Phase.FAILED, failure),
        (Phase.CANCELLED, again),
    ]
    assert step.attempts[0].usage.wall == 2.0
    assert (step.phase, step.failure) == (Phase.CANCELLED, again)
    assert store.run("r1").failure == again


def test_summaries_count_steps(store):
    failed = StepEnded(phase=Phase.FAILED, failure=Failure(reason=Reason.USER, message="no"))
    store.append([started(), called("a"), called("b"), called("c"), succeeded("a"), event("b", failed)])
    store.append(
        [event("c", failed), ended(phase=Phase.FAILED, failure=Failure(reason=Reason.USER, message="b: no"))]
    )
    (found,) = store.runs()
    assert (found.steps, found.failed, found.phase, found.message) == (3, 2, Phase.FAILED, "b: no")
    assert (found.pipeline, found.started, found.ended) == ("churn", 1.0, 9.0)


def test_a_resumed_run_ends_again(store):
    no = Failure(reason=Reason.USER, message="no")
    store.append([started(), called("a"), event("a", AttemptStarted(1)), succeeded("a")])
    store.append(
        [called("b"), event("b", AttemptStarted(1)), event("b", StepEnded(phase=Phase.FAILED, failure=no))]
    )
    store.append([called("c"), event("c", AttemptStarted(1)), ended(phase=Phase.FAILED, failure=no)])
    store.append([event("", RunResumed("source"), time=10.0)])
    found = store.run("r1")
    assert (found.phase, found.ended, found.failure, found.result) == (Phase.RUNNING, 0.0, None, None)
    a, b, c = found.steps
    assert (a.phase, b.phase, b.failure, c.phase) == (Phase.SUCCEEDED, Phase.FAILED, no, Phase.PENDING)
    assert c.attempts[0].phase is Phase.FAILED
    assert c.attempts[0].failure.reason is Reason.HOST
    assert (store.runs()[0].phase, store.runs()[0].failed, store.runs()[0].message) == (Phase.RUNNING, 1, "")
    store.append(
        [event("b", AttemptStarted(2)), succeeded("b"), event("c", AttemptStarted(2)), succeeded("c")]
    )
    store.append([ended(time=20.0)])
    found = store.run("r1")
    assert (found.phase, found.ended) == (Phase.SUCCEEDED, 20.0)
    assert [step.phase for step in found.steps] == [Phase.SUCCEEDED] * 3
    assert found.steps[1].failure is None
    assert [attempt.number for attempt in found.steps[1].attempts] == [1, 2]
    assert (store.runs()[0].steps, store.runs()[0].failed) == (3, 0)


def test_a_step_called_again_with_another_call(store):
    store.append([started(), called("a", label="x=1"), event("a", AttemptStarted(1)), succeeded("a")])
    store.append([event("", RunResumed()), called("a", label="x=2")])
    (step,) = store.run("r1").steps
    assert (step.spec.label, step.phase, step.outputs) == ("x=2", Phase.PENDING, ())
    assert store.runs()[0].steps == 1


def test_run_names_by_prefix(store):
    store.append([started(name) for name in ("ab1", "ab2", "xab", "a%", "AB3")])
    assert store.run_names("ab") == ["ab2", "ab1"]
    assert store.run_names("a%") == ["a%"]
    assert store.run_names() == ["AB3", "a%", "xab", "ab2", "ab1"]
    assert [found.name for found in store.runs(2)] == ["AB3", "a%"]


def test_a_run_starts_once_and_others_are_not_harmed(store):
    good = [store.submit([called("before")]), store.submit([started()]), store.submit([called("x")])]
    bad = store.submit([started()])
    after = store.submit([called("after")])
    assert [future.result() for future in good] == [1, 2, 3]
    with pytest.raises(StorageError):
        bad.result()
    assert after.result() == 4
    assert [found.seq for found in store.events()] == [1, 2, 3, 4]


def test_cache_gives_the_newest_success(store):
    out = [(blob(name),) for name in ("one", "two")]
    store.append([started("r1"), called("a"), succeeded("a", key="k", outputs=out[0])])
    assert (store.cached("k").run, store.cached("k").outputs) == ("r1", out[0])
    store.append([started("r2"), called("b", run="r2"), succeeded("b", run="r2", key="k", outputs=out[1])])
    hit = store.cached("k")
    assert (hit.run, hit.step, hit.outputs) == ("r2", "b", out[1])
    no = StepEnded(phase=Phase.FAILED, key="k2", failure=Failure(reason=Reason.USER, message=""))
    store.append([started("r3"), called("a", run="r3"), event("a", no, run="r3")])
    assert store.cached("k2") is None
    assert store.cached("") is None


def test_last_parts_are_those_of_the_newest_like_step(store):
    store.append([started(), called("a", label="x=1"), succeeded("a", key="k", parts={"code a": "1"})])
    assert store.last_parts("churn", "a", "x=1") == {"code a": "1"}
    store.append(
        [started("r2"), called("a", run="r2", label="x=1"), succeeded("a", run="r2", parts={"code a": "2"})]
    )
    assert store.last_parts("churn", "a", "x=1") == {"code a": "2"}
    assert store.last_parts("churn", "a", "x=2") == {}
    assert store.last_parts("other", "a", "x=1") == {}


def test_digests_of_everything_that_is_a_file(store):
    inline = Artifact(format="json", digest="f" * 64, size=1, inline=b"1")
    spec = RunSpec(name="r1", pipeline="p", project="", parameters={"x": blob("parameter"), "y": inline})
    store.append([Event(body=RunStarted(spec), run="r1")])
    store.append([called("a", inputs={"x": blob("input"), "y": RefData("b")})])
    store.append(
        [event("a", AttemptEnded(1, result("a", outputs=(blob("out"),), shown={"t": blob("shown")})))]
    )
    store.append([succeeded("a", outputs=(blob("out"), inline))])
    store.append([Event(body=RunEnded(Phase.SUCCEEDED, result=blob("result")), run="r1")])
    store.register(
        candidate(samples=blob("samples"), compiled=blob("onnx")), Lineage(run="r1", step="a"), accept, ()
    )
    store.create_revision(RevisionSpec(endpoint="e", number=0, source=blob("source")))
    names = ["parameter", "input", "out", "shown", "result", "samples", "onnx", "model", "source"]
    assert sorted(store.digests()) == sorted(blob(name).digest for name in names)


def test_two_stores_see_each_other(store, make):
    other = make()
    assert store.append([started()]) == 1
    assert other.append([called("a")]) == 2
    assert store.append([called("b")]) == 3
    assert [step.spec.name for step in other.run("r1").steps] == ["a", "b"]


def test_processes_append_at_once(make):
    children = []
    for child in range(3):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                own = make()
                for number in range(60):
                    own.submit([called(f"p{child}-{number}")])
                    if number % 7 == 0:
                        own.append([])
                made = own.register(candidate(), Lineage(run=f"r{child}", step="s"), accept, ())
                own.close()
                status = 0 if made.version in (1, 2, 3) else 2
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    store = make()
    found = list(store.events())
    assert [one.seq for one in found] == list(range(1, 184))
    for child in range(3):
        assert [one.step for one in found if one.step.startswith(f"p{child}-")] == [
            f"p{child}-{number}" for number in range(60)
        ]
    assert [one.version for one in store.versions("churn")] == [1, 2, 3]


def test_a_closed_store_takes_nothing(store):
    store.append([started()])
    store.close()
    store.close()
    with pytest.raises(StorageError):
        store.append([called("a")])

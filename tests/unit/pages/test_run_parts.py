"""The parts of the pages about runs that are pure: steps, graph, time line, columns, curves and forms."""

import re

import pytest

from fairway.pages import columns, curves, steps, timeline
from fairway.pages.graph import graph, nodes_of
from fairway.pages.packed_steps import PackedSteps
from fairway.pages.parameters import fields_of, flags_of, typed, values_of
from fairway.pages.run import carried
from fairway.pages.tracebacks import frame_of
from fairway.spec.artifact import Artifact, Group, RefData
from fairway.spec.errors import NotFound
from fairway.spec.history import Facts
from fairway.spec.project import Parameter, PipelineSpec
from fairway.spec.run import (
    AttemptStatus,
    Failure,
    MetricPoint,
    Phase,
    Reason,
    RunSpec,
    RunStatus,
    StepSpec,
    StepStatus,
    Usage,
)

HOSTILE = '"><script>alert(1)</script>'


def step(
    name: str, task: str = "", uses: tuple[str, ...] = (), phase: Phase = Phase.SUCCEEDED, **more
) -> StepStatus:
    inputs = {"data": Group(container="list", items=tuple(RefData(one) for one in uses))}
    return StepStatus(spec=StepSpec(name=name, task=task or name, inputs=inputs), phase=phase, **more)


def run(*made: StepStatus, **more) -> RunStatus:
    spec = RunSpec(name="k7m2", pipeline="churn", project="/p.py")
    return RunStatus(spec=spec, phase=Phase.SUCCEEDED, started=100.0, steps=made, **more)


def failed(message: str, cause: str = "") -> Failure:
    return Failure(reason=Reason.USER, message=message, cause=cause)


def test_many_steps_of_a_task_are_one_row_with_their_numbers_failures_first():
    made = [step(f"fit-{place}", "fit") for place in range(7)]
    made += [step("fit-8", "fit", phase=Phase.FAILED, failure=failed("no label"))] * 2
    rows = steps.rows([step("load"), *made])
    assert [type(row).__name__ for row in rows] == ["StepRow", "FoldRow"]
    assert rows[1].states == [("failed", 2), ("done", 7)]
    assert rows[1].told == "2 × no label"


def test_the_steps_of_a_task_are_paged_with_failures_first():
    made = [step(f"fit-{place}", "fit") for place in range(250)]
    made.append(step("fit-250", "fit", phase=Phase.FAILED))
    packed = PackedSteps.of(made)
    first, last = packed.page("fit", 1), packed.page("fit", 99)
    assert (first.rows[0].name, first.pages, len(first.rows), first.total) == ("fit-250", 3, 100, 251)
    assert (last.page, last.first, len(last.rows)) == (3, 201, 51)
    with pytest.raises(NotFound):
        packed.page("other", 1)


def test_the_step_at_which_a_run_failed_is_the_cause_and_not_what_was_refused_because_of_it():
    refused = step("b", phase=Phase.FAILED, failure=failed("a failed", "a"))
    cause = step("a", phase=Phase.FAILED, failure=failed("boom"))
    assert steps.failed_step(run(refused, cause)) is cause
    assert steps.failed_step(run(refused, cause, failure=failed("x", "b"))) is refused
    assert steps.failed_step(run(step("c"))) is None


def test_a_graph_folds_maps_and_goes_from_left_to_right():
    mapped = [step(f"fit-{place}", "fit", ("load",)) for place in range(9)]
    status = run(step("load"), *mapped, step("best", uses=tuple(one.spec.name for one in mapped)))
    nodes = nodes_of(status)
    assert [node.title for node in nodes.values()] == ["load", "fit × 9", "best"]
    assert nodes["best"].before == {"task fit"}
    drawn = graph(status)
    assert [nodes.column for nodes in nodes_of(status).values()] == [0, 0, 0]
    assert drawn.count("<path") == 2
    assert 'href="/runs/k7m2?task=fit#steps"' in drawn


def test_a_graph_of_tasks_that_use_one_another_ends():
    made: list[StepStatus] = []
    for place in range(12):
        made.append(step(f"play-{place}", "play", (f"learn-{place - 1}",) if place else ()))
        made.append(step(f"learn-{place}", "learn", (f"play-{place}",)))
    assert "play × 12" in graph(run(*made))


def test_names_of_steps_and_labels_are_escaped_in_pictures():
    evil = step(
        HOSTILE, attempts=(AttemptStatus(number=1, started=101.0, ended=102.0, phase=Phase.SUCCEEDED),)
    )
    drawn = graph(run(evil, step("b", uses=(HOSTILE,)))) + timeline.timeline(run(evil))
    assert "<script" not in drawn
    assert "alert(1)" in drawn


def test_a_time_line_tells_waiting_starting_and_working_apart():
    attempt = AttemptStatus(
        number=1, phase=Phase.SUCCEEDED, started=103.0, ended=110.0, usage=Usage(wall=5.0)
    )
    spans = timeline.spans_of(step("a", called=101.0, attempts=(attempt,)), 110.0)
    assert [(span.kind, span.start, span.end) for span in spans] == [
        ("waiting", 101.0, 103.0), ("starting", 103.0, 105.0), ("done", 105.0, 110.0),
    ]  # fmt: skip


def test_a_time_line_tells_storing_from_working_where_the_record_does():
    used = Usage(wall=5.0, storing=2.0)
    attempt = AttemptStatus(number=1, phase=Phase.SUCCEEDED, started=103.0, ended=110.0, usage=used)
    spans = timeline.spans_of(step("a", called=103.0, attempts=(attempt,)), 110.0)
    assert [(span.kind, span.start, span.end) for span in spans] == [
        ("starting", 103.0, 105.0), ("done", 105.0, 108.0), ("storing", 108.0, 110.0),
    ]  # fmt: skip
    drawn = timeline.timeline(run(step("a", called=103.0, attempts=(attempt,))))
    assert "storing 2.00 s" in drawn
    assert drawn.index("storing 2.00 s") < drawn.index("done 3.00 s"), "a state is drawn above the others"


def test_a_time_line_holds_more_storing_than_there_was_time_for():
    used = Usage(wall=9.0, storing=9.0)
    attempt = AttemptStatus(number=1, phase=Phase.FAILED, started=103.0, ended=104.0, usage=used)
    spans = timeline.spans_of(step("a", called=103.0, attempts=(attempt,)), 104.0)
    assert [(span.kind, span.start, span.end) for span in spans] == [
        ("failed", 103.0, 103.0), ("storing", 103.0, 104.0),
    ]  # fmt: skip


def test_a_time_line_shows_every_attempt_and_one_that_runs_still():
    first = AttemptStatus(number=1, phase=Phase.FAILED, started=101.0, ended=102.0, usage=Usage(wall=1.0))
    second = AttemptStatus(number=2, started=104.0)
    spans = timeline.spans_of(step("a", called=101.0, attempts=(first, second)), 109.0)
    assert [(span.kind, span.end) for span in spans] == [
        ("failed", 102.0),
        ("waiting", 104.0),
        ("running", 109.0),
    ]


def test_columns_without_a_choice_are_two_parameters_that_vary_and_two_metrics():
    known = [
        Facts(
            {"rows": 400, "depth": place, "rate": place / 2, "seed": place},
            {"auc": 0.5, "loss": 0.1, "f1": 0.2},
        )
        for place in range(3)
    ]
    assert [one.name for one in columns.chosen(known, "", "")] == ["depth", "rate", "auc", "loss"]
    assert [one.name for one in columns.chosen(known, "rows, auc", "-f1")] == ["rows", "auc", "f1"]
    assert columns.chosen(known, "parameter.depth", "")[0].cell(known[2]) == "2"


def test_a_column_of_a_run_without_the_value_is_empty_and_no_number_is_nan():
    known = [Facts({}, {"auc": None}), Facts()]
    (column,) = columns.chosen(known, "auc", "")
    assert [column.cell(facts) for facts in known] == ["nan", ""]


def test_curves_have_a_table_that_is_thinned_and_singles_are_numbers():
    points = tuple(MetricPoint(name="loss", value=1 / (1 + place), index=place) for place in range(10_000))
    status = run(step("fit", metrics=(*points, MetricPoint(name="auc", value=0.5))))
    found = curves.logged(curves.series_of(status))
    assert found.singles == [("fit/auc", 0.5)]
    assert (found.curves[0].title, found.curves[0].points, len(found.curves[0].rows)) == (
        "fit/loss",
        10_000,
        201,
    )
    assert len(found.curves[0].svg) < 20_000


def test_runs_are_laid_over_one_another_where_they_logged_the_same():
    points = [(0.0, 1.0), (1.0, 0.5)]
    (one,) = curves.overlaid({"a": {"loss": points}, "b": {"loss": [(0.0, 2.0), (2.0, 1.0)]}})
    assert one.names == ["a", "b"]
    assert one.rows == [(0.0, [1.0, 2.0]), (1.0, [0.5, None]), (2.0, [None, 1.0])]


def test_the_frame_of_a_traceback_is_the_last_of_a_persons_own_code():
    details = (
        'Traceback (most recent call last):\n  File "/home/ana/churn.py", line 42, in fit\n    model.fit(x)\n'
        '  File "/x/site-packages/sklearn/base.py", line 7, in fit\n    raise ValueError\nValueError\n'
    )
    assert frame_of(details) == "churn.py:42 in fit"
    assert frame_of("no traceback") == ""


PIPELINE = PipelineSpec(
    name="churn",
    parameters=(
        Parameter(name="rows", kind="int", default="400", annotation="int"),
        Parameter(name="fast", kind="bool", default="false"),
        Parameter(name="kinds", kind="list", item="str", default="a b"),
        Parameter(name="kind", kind="choice", choices=("x", "y"), required=True),
    ),
)


def test_a_form_gives_the_texts_that_flags_would_give_and_leaves_defaults_out():
    form = {
        "parameter.rows": "7",
        "parameter.fast": "true",
        "parameter.kinds": "a c\r\nd",
        "parameter.kind": "y",
    }
    texts = typed(PIPELINE, form)
    assert texts == {"rows": ["7"], "fast": ["true"], "kinds": ["a c", "d"], "kind": ["y"]}
    assert flags_of(PIPELINE, texts) == ["--rows", "7", "--fast", "--kinds", "a c", "d", "--kind", "y"]
    default = {field.name: field.value for field in fields_of(PIPELINE, {"kind": "x"})}
    assert typed(PIPELINE, default) == {"kind": ["x"]}


def test_a_form_is_filled_with_the_values_of_a_run():
    kinds = Artifact(format="json", digest="0" * 64, size=9, inline=b'["a b","c"]')
    spec = RunSpec(
        name="k7m2", pipeline="churn", project="/p.py", parameters={"kinds": kinds},
        shown={"kinds": "a b c", "rows": "9"},
    )  # fmt: skip
    values = values_of(spec)
    assert values == {"kinds": "a b\nc", "rows": "9"}
    assert [field.value for field in fields_of(PIPELINE, values)] == ["9", "false", "a b\nc", ""]


def test_the_way_back_leads_to_a_list_of_runs_and_nowhere_else():
    assert carried({"list": "pipeline=churn&sort=-auc"}) == (
        "pipeline=churn&sort=-auc",
        "/runs?pipeline=churn&sort=-auc",
    )
    assert carried({"list": "//evil.example/&next=x"}) == ("", "/runs")
    assert not re.search(r"[\"<>]", carried({"list": "text=" + HOSTILE})[1])

"""Lists of runs: sorted and narrowed by what the runs are found by."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from fairway.plan import conditions
from fairway.spec.artifact import Artifact
from fairway.spec.errors import UsageError
from fairway.spec.event import Event, MetricsLogged, RunEnded, RunNoted, RunRemoved, RunStarted, RunTagged
from fairway.spec.history import ALL, START, Comparison, RunQuery
from fairway.spec.run import Failure, MetricPoint, Phase, Reason, RunSpec
from fairway.spec.wire import DRIVER
from fairway.stores import Layout, listing, run_rows
from fairway.stores.metadata import SqliteMetadata


@pytest.fixture(params=["few runs", "many runs", "most runs"])
def store(root, request, monkeypatch):
    """A store, in which lists are made as those of a few runs, as those of very many, or as those of most runs in the store."""
    if request.param == "most runs":
        monkeypatch.setattr(run_rows, "_SCANNED", 0)
        monkeypatch.setattr(run_rows, "_DENSE", 10**9)
    if request.param == "many runs":
        monkeypatch.setattr(listing, "_RARE", -1)
        monkeypatch.setattr(listing, "_WINDOW", 1)
    with SqliteMetadata(Layout(root)) as opened:
        yield opened


def begun(name: str, time: float = 1.0, pipeline: str = "p", **parameters: bytes) -> Event:
    values = {
        key: Artifact(format="json", digest="0" * 64, size=len(data), inline=data, kind="x", note="note")
        for key, data in parameters.items()
    }
    spec = RunSpec(name=name, pipeline=pipeline, project="/p.py", parameters=values)
    return Event(body=RunStarted(spec), run=name, time=time)


def logged(run: str, step: str = DRIVER, **values: float) -> Event:
    points = tuple(MetricPoint(name=name, value=number) for name, number in values.items())
    return Event(body=MetricsLogged(points), run=run, step=step)


def ended(run: str, time: float = 2.0) -> Event:
    return Event(body=RunEnded(Phase.SUCCEEDED), run=run, time=time)


def names(store: SqliteMetadata, bounds: tuple[Comparison, ...] = (), **asked: object) -> list[str]:
    return [run.name for run in store.past(RunQuery(**asked), bounds)[0]]  # type: ignore[arg-type]


def test_runs_are_sorted_by_a_metric_and_those_without_it_are_left_out(store):
    for name, auc in (("a", 0.5), ("b", 0.9), ("c", 0.7), ("d", math.nan)):
        store.append([begun(name), logged(name, auc=auc), ended(name)])
    store.append([begun("e"), ended("e")])
    assert names(store, sort="-auc") == ["b", "c", "a"]
    assert names(store, sort="auc") == ["a", "c", "b"]
    assert names(store, sort="-metric.auc") == ["b", "c", "a"]


def test_runs_are_sorted_by_parameters_and_times(store):
    for place, name in enumerate("abc"):
        store.append([begun(name, float(place + 1), depth=b"%d" % (10 - place)), ended(name, 20.0 - place)])
    assert names(store, sort="depth") == ["c", "b", "a"]
    assert names(store, sort="started") == ["a", "b", "c"]
    assert names(store, sort="-took") == ["a", "b", "c"]
    assert names(store, sort="-parameter.depth") == ["a", "b", "c"]


def test_a_sorted_list_goes_on_behind_a_run_also_among_equal_values(store):
    for place in range(9):
        store.append([begun(f"r{place}"), logged(f"r{place}", auc=float(place // 3))])
    whole = names(store, sort="-auc")
    assert whole == ["r8", "r7", "r6", "r5", "r4", "r3", "r2", "r1", "r0"]
    for place, name in enumerate(whole):
        assert names(store, sort="-auc", before=name) == whole[place + 1 :]
    rising = names(store, sort="auc")
    assert rising == whole[::-1]
    assert names(store, sort="auc", before=rising[3]) == rising[4:]
    found, at = [], START
    while True:
        some, at = store.past(RunQuery(sort="-auc"), (), at, 2)
        found += [run.name for run in some]
        if at == START:
            break
    assert found == whole


def test_all_runs_are_listed_newest_first_whatever_their_names(store):
    for name in ("m", "b", "z", "a"):
        store.append([begun(name), logged(name, auc=0.5), ended(name)])
    store.append([begun("going", depth=b"3"), logged("going", auc=0.7)])
    store.append([Event(body=RunTagged("good", present=True), run="b")])
    store.append([Event(body=RunNoted("a note"), run="z")])
    everything, at = store.past(RunQuery(), (), START, ALL)
    assert [run.name for run in everything] == ["going", "a", "z", "b", "m"]
    assert everything == store.past(RunQuery(), (), START, 5)[0]
    assert everything[0].known.metrics == {"auc": 0.7}
    assert everything[2].note == "a note"
    assert everything[3].tags == ("good",)
    assert at == START


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"pipeline": "p"}, ["e", "c", "a"]),
        ({"since": 3.0}, ["e", "d", "c"]),
        ({"until": 3.0}, ["b", "a"]),
        ({"tag": "good"}, ["d"]),
        ({"text": "D"}, ["d"]),
        ({"before": "c"}, ["b", "a"]),
        ({"sort": "depth"}, ["e", "d", "c", "b", "a"]),
        ({"phase": Phase.RUNNING}, ["e"]),
    ],
)
def test_all_runs_that_are_asked_for_are_found_without_a_limit(store, asked, found):
    for place, name in enumerate("abcde", 1):
        pipeline = "p" if place % 2 else "q"
        store.append([begun(name, float(place), pipeline, depth=b"%d" % (9 - place))])
        if name != "e":
            store.append([ended(name)])
    store.append([Event(body=RunTagged("good", present=True), run="d")])
    assert [run.name for run in store.past(RunQuery(**asked), (), START, ALL)[0]] == found


def test_an_order_that_no_run_knows_is_refused(store):
    store.append([begun("a"), logged("a", auc=1.0)])
    with pytest.raises(UsageError, match="no run has a metric or parameter 'auk'"):
        names(store, sort="-auk")


def test_a_running_run_is_found_by_its_last_values(store):
    store.append([begun("a"), logged("a", auc=0.1), logged("a", auc=0.8), logged("a", "train", auc=0.3)])
    store.append([begun("b"), logged("b", auc=0.5)])
    assert names(store, sort="-auc") == ["a", "b"]
    assert names(store, (Comparison("", "auc", ">", 0.7),)) == ["a"]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("auc > 0.6", ["r9", "r8", "r7"]),
        ("0.6 < auc", ["r9", "r8", "r7"]),
        ("auc > 0.6 and depth < 9", ["r8", "r7"]),
        ("auc > 0.6 and not depth = 8", ["r9", "r7"]),
        ("auc > 0.6 or depth = 0", ["r9", "r8", "r7", "r0"]),
        ("kind = 'odd' and depth > 6", ["r9", "r7"]),
        ("flag = true and depth > 6", ["r8"]),
        ("parameter.depth >= 9", ["r9"]),
        ("metric.auc <= 0.1", ["r1", "r0"]),
        ("0.2 < auc < 0.5", ["r4", "r3"]),
        ("took > 3 and auc > 0.6", ["r9", "r8", "r7"]),
        ("pipeline = 'p' and depth in (1, 2)", ["r2", "r1"]),
        ("phase = 'succeeded' and auc > 0.75", ["r9", "r8"]),
        ("depth = 'deep'", []),
    ],
)
def test_bounds_leave_every_run_for_which_a_condition_holds(store, condition, found):
    for place in range(10):
        odd = b'"odd"' if place % 2 else b'"even"'
        flag = b"false" if place % 2 else b"true"
        store.append(
            [
                begun(f"r{place}", 1.0, "p" if place < 6 else "q", depth=b"%d" % place, kind=odd, flag=flag),
                logged(f"r{place}", auc=place / 10),
                ended(f"r{place}", 1.0 + place),
            ]
        )
    parsed = conditions.parse(condition)
    narrowed = store.past(RunQuery(), parsed.bounds)[0]
    assert [run.name for run in narrowed if parsed.holds(run)] == found
    everything = store.past(RunQuery())[0]
    assert [run.name for run in everything if parsed.holds(run)] == found
    if parsed.bounds:
        assert len(narrowed) < len(everything)


def test_a_name_that_is_a_metric_of_one_run_and_a_parameter_of_another_narrows_nothing(store):
    store.append([begun("a", loss=b"9"), ended("a"), begun("b"), logged("b", loss=7.0), ended("b")])
    parsed = conditions.parse("loss > 5")
    assert names(store, parsed.bounds) == ["b", "a"]


def test_a_metric_that_has_the_name_of_what_every_run_has_narrows_nothing(store):
    store.append([begun("a", 1.0), ended("a", 9.0), begun("b", 1.0), logged("b", took=8.0), ended("b", 2.0)])
    parsed = conditions.parse("took > 5")
    assert [run.name for run in store.past(RunQuery(), parsed.bounds)[0] if parsed.holds(run)] == ["b", "a"]


def test_runs_are_searched_by_text_in_any_case(store):
    failure = Failure(reason=Reason.USER, message="ValueError: No Label")
    store.append([begun("k7m2", pipeline="churn"), Event(body=RunEnded(Phase.FAILED, failure), run="k7m2")])
    store.append([begun("p3x8"), Event(body=RunNoted("best so far"), run="p3x8")])
    store.append([begun("q9z9"), Event(body=RunTagged("Gold"), run="q9z9")])
    assert names(store, text="no label") == ["k7m2"]
    assert names(store, text="CHURN") == ["k7m2"]
    assert names(store, text="3x8") == ["p3x8"]
    assert names(store, text="Best") == ["p3x8"]
    assert names(store, text="Gold") == ["q9z9"]
    assert names(store, text="100%") == []


def test_a_tag_an_order_and_a_bound_hold_together(store):
    for place in range(6):
        store.append([begun(f"r{place}", pipeline="even" if place % 2 == 0 else "odd")])
        store.append([logged(f"r{place}", auc=float(place), loss=float(-place))])
        store.append([Event(body=RunTagged("kept"), run=f"r{place}")] if place != 4 else [])
    bound = (Comparison("", "loss", "<", -0.5),)
    assert names(store, bound, tag="kept", sort="auc") == ["r1", "r2", "r3", "r5"]
    assert names(store, bound, tag="kept", sort="auc", pipeline="odd") == ["r1", "r3", "r5"]
    assert names(store, bound, tag="kept", sort="auc", before="r2") == ["r3", "r5"]
    assert names(store, bound, tag="kept") == ["r5", "r3", "r2", "r1"]


def test_a_removed_run_leaves_no_fact_behind(store):
    store.append([begun("a", depth=b"3"), logged("a", auc=1.0), ended("a"), begun("b", depth=b"4")])
    store.append([Event(body=RunRemoved(), run="a")])
    assert store.fact_names() == ["depth"]
    assert names(store, sort="-depth") == ["b"]


def test_a_parameter_beyond_all_whole_numbers_of_the_database_is_kept(store):
    store.append([begun("a", big=b"1" + b"0" * 30), begun("b", big=b"1" + b"0" * 400)])
    assert names(store, sort="-big") == ["a"]
    assert names(store, (Comparison("", "big", ">", 5.0),)) == ["a"]


HOSTILE = (
    "x' OR 1 = 1 --",
    'x" OR 1 = 1 --',
    "x; DROP TABLE run",
    "(SELECT 1)",
    "?1",
    ":name",
    "%",
    "_",
    "\\",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_person_becomes_a_part_of_a_query(store, text):
    store.append([begun("a"), logged("a", auc=1.0), ended("a"), begun("b"), ended("b")])
    for field in ("pipeline", "tag"):
        assert names(store, **{field: text}) == []
    assert set(names(store, text=text)) <= set()
    assert set(names(store, before=text)) <= {"a", "b"}
    for sort in (text, f"-{text}", f"metric.{text}"):
        with pytest.raises(UsageError, match="no run has a metric or parameter"):
            names(store, sort=sort)
    for mark in ("<", "="):
        assert names(store, (Comparison("metric", text, mark, 1.0),)) == []
        assert names(store, (Comparison("parameter", "x", mark, text),)) == []
    with pytest.raises(KeyError):
        names(store, (Comparison("metric", "auc", f"> 0 OR 1 = 1 {text}", 1.0),))
    assert names(store) == ["b", "a"]


def test_the_runs_of_a_list_are_read_by_a_few_statements_however_many_they_are(root):
    with SqliteMetadata(Layout(root)) as store:
        for place in range(40):
            store.append([begun(f"r{place:02}"), ended(f"r{place:02}")])
        store.append([Event(body=RunTagged(tag), run="r07") for tag in ("good", "best")])
        db = sqlite3.connect(Layout(root).database)
        seen: list[str] = []
        db.set_trace_callback(seen.append)
        found, _ = listing.past(db, RunQuery(), (), START, 5000)
        db.close()
    assert [run.name for run in found] == [f"r{place:02}" for place in reversed(range(40))]
    assert {run.name: run.tags for run in found if run.tags} == {"r07": ("best", "good")}
    assert len(seen) <= 5, seen


@pytest.fixture(scope="module")
def long_list(tmp_path_factory) -> Iterator[sqlite3.Connection]:
    """The database of a store with runs of which every hundredth took longer than the others."""
    layout = Layout(tmp_path_factory.mktemp("long"))
    events = [
        event
        for place in range(_MANY)
        for event in (
            begun(f"r{place:04}", float(place), "odd" if place % 2 else "even", rows=b"400"),
            ended(f"r{place:04}", place + (9.0 if place % 100 == 0 else 2.0)),
        )
    ]
    with SqliteMetadata(layout) as store:
        store.append(events)
        with closing(sqlite3.connect(layout.database)) as db:
            yield db


_MANY = 2000


def effort(db: sqlite3.Connection, **asked: object) -> tuple[list[str], int]:
    """Return the first runs of a list, and how many hundreds of operations the database needed for it."""
    seen: list[None] = []
    db.set_progress_handler(lambda: seen.append(None), 100)
    try:
        found, _ = listing.past(db, RunQuery(**asked), (), START, 5)  # type: ignore[arg-type]
    finally:
        db.set_progress_handler(None, 0)
    return [run.name for run in found], len(seen)


@pytest.mark.parametrize(
    ("sort", "before", "found"),
    [
        ("-took", "", ["r1900", "r1800", "r1700", "r1600", "r1500"]),
        ("-took", "r0000", ["r1999", "r1998", "r1997", "r1996", "r1995"]),
        ("-took", "r1000", ["r0900", "r0800", "r0700", "r0600", "r0500"]),
        ("took", "", ["r0001", "r0002", "r0003", "r0004", "r0005"]),
        ("took", "r1000", ["r1100", "r1200", "r1300", "r1400", "r1500"]),
        ("started", "r1000", ["r1001", "r1002", "r1003", "r1004", "r1005"]),
        ("-started", "", ["r1999", "r1998", "r1997", "r1996", "r1995"]),
        ("rows", "r1000", ["r1001", "r1002", "r1003", "r1004", "r1005"]),
        ("-rows", "r1000", ["r0999", "r0998", "r0997", "r0996", "r0995"]),
    ],
)
def test_a_page_of_any_order_is_read_without_looking_at_every_run(long_list, sort, before, found):
    names, hundreds = effort(long_list, sort=sort, before=before)
    assert names == found
    assert hundreds < 20


def test_a_page_of_some_runs_in_the_order_of_time_taken_is_read_from_the_top(long_list, monkeypatch):
    monkeypatch.setattr(listing, "_WINDOW", 50)
    names, hundreds = effort(long_list, sort="-took", pipeline="even")
    assert names == ["r1900", "r1800", "r1700", "r1600", "r1500"]
    assert hundreds < 40


def test_a_text_is_compared_with_the_name_of_a_pipeline_once_and_not_for_each_run(long_list):
    _, without = effort(long_list, text="nowhere", sort="")
    for text in ("EVEN", "odd"):
        assert len(effort(long_list, text=text)[0]) == 5
    assert without < 13 * _MANY / 100


def test_a_list_that_only_some_runs_are_on_is_read_from_the_index_with_all_columns_for_it(
    long_list, monkeypatch
):
    monkeypatch.setattr(listing, "_WINDOW", 1)
    statements: list[str] = []
    long_list.set_trace_callback(statements.append)
    for asked in ({"text": "nowhere"}, {"phase": Phase.FAILED}, {"sort": "-rows", "text": "nowhere"}):
        listing.past(long_list, RunQuery(**asked), (), START, 5)  # type: ignore[arg-type]
    long_list.set_trace_callback(None)
    plans = [
        row[3]
        for one in statements
        for row in long_list.execute(f"EXPLAIN QUERY PLAN {one}")
        if row[3].startswith("SCAN run")
    ]
    assert set(plans) == {"SCAN run USING COVERING INDEX run_seq"}


def test_a_store_without_the_indexes_of_the_orders_is_listed_and_gets_them_at_the_next_change(root):
    with SqliteMetadata(Layout(root)) as first:
        for place, name in enumerate("abc"):
            first.append([begun(name), ended(name, 9.0 - place)])
    with closing(sqlite3.connect(Layout(root).database)) as database:
        database.execute("DROP INDEX run_took")
        database.execute("DROP INDEX run_started")
    with SqliteMetadata(Layout(root)) as earlier:
        assert names(earlier, sort="-took") == ["a", "b", "c"]
        assert names(earlier, sort="started", pipeline="p") == ["a", "b", "c"]
        earlier.append([begun("d", 2.0), ended("d", 3.0)])
    with closing(sqlite3.connect(Layout(root).database)) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE name IN ('run_started', 'run_took')")
        assert len(found.fetchall()) == 2


def test_what_a_condition_compares_with_a_value_of_another_type_narrows_the_list_to_nothing(store):
    store.append([begun("a"), ended("a")])
    assert names(store, (Comparison("", "took", "<", "long"),)) == []
    assert names(store, (Comparison("", "name", "<", 5.0),)) == []


@pytest.mark.parametrize(("dense", "plan"), [(10**9, "SCAN run"), (0, "SEARCH run USING INDEX run_seq")])
def test_the_table_is_read_whole_for_most_of_its_runs_and_searched_for_few(root, monkeypatch, dense, plan):
    monkeypatch.setattr(run_rows, "_SCANNED", 0)
    monkeypatch.setattr(run_rows, "_DENSE", dense)
    with SqliteMetadata(Layout(root)) as store:
        store.append([begun("a"), begun("b")])
        with sqlite3.connect(Layout(root).database) as db:
            seen: list[str] = []
            db.set_trace_callback(seen.append)
            assert len(run_rows.at(db, [1, 2])) == 2
            db.set_trace_callback(None)
            statement = next(one for one in seen if "json_each" in one)
            steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
        db.close()
    assert any(step.startswith(plan) for step in steps), steps

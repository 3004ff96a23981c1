"""Who did what: every change that people ask for is told from the log, newest first, with the name of the person."""

import sqlite3
from pathlib import Path

import pytest

from fairway.engine.deeds import deeds
from fairway.spec.access import acting
from fairway.spec.artifact import Artifact
from fairway.spec.deeds import DeedQuery
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.event import (
    MARKS,
    AliasMoved,
    Body,
    EndpointPointed,
    Event,
    RunCancelling,
    RunNoted,
    RunRemoved,
    RunResumed,
    RunStarted,
    RunStopAsked,
    RunTagged,
    StoreCleaned,
    TokenGiven,
    TokenTaken,
    VersionRemoved,
    WebhookRemoved,
    WebhookSet,
)
from fairway.spec.run import RunSpec
from fairway.spec.webhook import Ending, Webhook
from fairway.stores import schema
from fairway.stores.layout import Layout
from fairway.stores.metadata import SqliteMetadata

SPEC = RunSpec(name="r1", pipeline="train", project="/p.py", source="", parameters={}, shown={})
TEAM = Webhook(
    name="team", place="https://chat.example", on=(Ending.FAILURE, Ending.SUCCESS), pipeline="train"
)
CHANGES: list[tuple[Body, str, str]] = [
    (RunStarted(SPEC), "r1", "run r1 started: train"),
    (RunTagged("good"), "r1", "run r1 tagged: good"),
    (RunTagged("good", False), "r1", "run r1 untagged: good"),
    (RunNoted("fine"), "r1", "run r1 noted: fine"),
    (RunStopAsked(), "r1", "run r1 cancelled: "),
    (RunResumed(), "r1", "run r1 resumed: "),
    (RunRemoved(), "r1", "run r1 removed: "),
    (VersionRemoved("churn", 2), "", "model churn removed: version 2"),
    (AliasMoved("churn", "champion", 3), "", "model churn moved alias: champion to version 3"),
    (AliasMoved("churn", "champion", 0), "", "model churn removed alias: champion"),
    (EndpointPointed("sums", 1, "deployed"), "", "endpoint sums deployed: revision 1: function add"),
    (EndpointPointed("sums", 1, "rolled back from 2"), "", "endpoint sums rolled back: revision 1: function add, from 2"),
    (EndpointPointed("sums", 0, "undeployed"), "", "endpoint sums undeployed: "),
    (StoreCleaned(blobs=3, size=2**20), "", "store  cleaned: 3 blobs, 1 MiB"),
    (TokenGiven("ana", "viewer"), "", "token ana given: viewer"),
    (TokenTaken("ana"), "", "token ana taken: "),
    (WebhookSet(TEAM), "", "webhook team set: https://chat.example on failure, success of train"),
    (WebhookRemoved("team"), "", "webhook team removed: "),
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path):
    with SqliteMetadata(Layout(tmp_path), who=lambda: "me") as made:
        made.create_revision(
            RevisionSpec(endpoint="sums", number=0, function="add", source=Artifact(format="folder", digest="d", size=1))
        )  # fmt: skip
        yield made


def test_every_change_is_told_with_the_name_of_the_person(store: SqliteMetadata) -> None:
    for number, (body, run, _) in enumerate(CHANGES):
        acting.set(f"person {number}")
        store.append([Event(body=body, run=run)])
    acting.set("")
    found = deeds(store, DeedQuery())
    told = [f"{one.kind} {one.name} {one.did}: {one.detail}" for one in reversed(found)]
    assert told == [words for _, _, words in CHANGES]
    assert [one.who for one in reversed(found)] == [f"person {number}" for number in range(len(CHANGES))]


def test_every_fact_that_only_people_cause_is_a_deed() -> None:
    told = {schema.kind_of(body) for body, _, _ in CHANGES}
    assert told == {word for word in schema.IS_DEED.split("'") if "." in word}
    assert {schema.kind_of(mark) for mark in MARKS} <= told  # type: ignore[arg-type]


def test_a_change_without_a_person_has_the_name_of_the_user_of_the_process(store: SqliteMetadata) -> None:
    store.append([Event(body=AliasMoved("churn", "champion", 3))])
    assert deeds(store, DeedQuery())[0].who == "me"


def test_deeds_are_chosen_by_person_and_thing_and_read_on_from_a_number(store: SqliteMetadata) -> None:
    for number in range(500):
        acting.set("ana" if number % 100 == 0 else "bo")
        store.append(
            [Event(body=RunTagged(str(number)), run=f"r{number % 2}"), Event(body=RunCancelling(), run="r0")]
        )
    acting.set("")
    of_ana = deeds(store, DeedQuery(who="ana", limit=3))
    assert [one.detail for one in of_ana] == ["400", "300", "200"]
    rest = deeds(store, DeedQuery(who="ana", before=of_ana[-1].number))
    assert [one.detail for one in rest] == ["100", "0"]
    assert len(deeds(store, DeedQuery(kind="run", name="r1", limit=1000))) == 250
    assert deeds(store, DeedQuery(kind="token")) == []


def test_a_long_log_is_not_read_through_for_the_last_deeds(tmp_path: Path, store: SqliteMetadata) -> None:
    store.append([Event(body=TokenTaken("ana"))])
    store.close()
    with sqlite3.connect(Layout(tmp_path).database) as database:
        for chosen in ("", " AND who = 'ana'"):
            sql = (
                f"SELECT body FROM event WHERE {schema.IS_DEED} AND seq < 9{chosen} ORDER BY seq DESC LIMIT 5"
            )
            (plan,) = database.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
            assert "event_deeds" in plan[3]


def test_a_store_without_the_index_is_told_as_well_and_gets_it_at_the_next_change(tmp_path: Path) -> None:
    with SqliteMetadata(Layout(tmp_path), who=lambda: "me") as first:
        first.append([Event(body=TokenTaken("ana"))])
    with sqlite3.connect(Layout(tmp_path).database) as database:
        database.execute("DROP INDEX event_deeds")
    with SqliteMetadata(Layout(tmp_path), who=lambda: "me") as earlier:
        assert [one.name for one in deeds(earlier, DeedQuery())] == ["ana"]
        earlier.append([Event(body=TokenTaken("bo"))])
        assert [one.name for one in deeds(earlier, DeedQuery())] == ["bo", "ana"]
    with sqlite3.connect(Layout(tmp_path).database) as database:
        assert database.execute("SELECT 1 FROM sqlite_master WHERE name = 'event_deeds'").fetchone()

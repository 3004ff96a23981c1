"""The run that a short name means, found without a look at every run."""

import sqlite3
from pathlib import Path

import pytest

from fairway.spec.errors import NotFound, UsageError
from fairway.spec.event import Event, RunStarted
from fairway.spec.history import RunQuery
from fairway.spec.run import RunSpec
from fairway.stores import queries
from fairway.wiring import machine


@pytest.fixture
def stores(tmp_path: Path):
    opened = machine.LocalStores(tmp_path / ".fairway").prepare()
    names = ["n1", *(f"n1{place:03}" for place in range(400)), "p7"]
    opened.metadata.append(
        [
            Event(body=RunStarted(RunSpec(name=name, pipeline="p", project="/p.py")), run=name, time=1.0)
            for name in names
        ]
    )
    yield opened
    opened.close()


def test_a_short_name_means_the_run_of_exactly_that_name_or_the_only_one_that_begins_so(stores):
    records = machine.records(stores)
    assert [records.find(name) for name in ("n1", "p", "n1399", "")] == ["n1", "p7", "n1399", "p7"]
    with pytest.raises(NotFound):
        records.find("q")


def test_a_short_name_that_fits_many_runs_is_refused_with_a_few_of_them(stores):
    with pytest.raises(UsageError) as refused:
        machine.records(stores).find("n10")
    assert refused.value.message == "'n10' fits more than 5 runs: n1005, n1004, n1003, n1002, n1001"
    with pytest.raises(UsageError, match="'n139' fits more than 5 runs"):
        machine.records(stores).find("n139")
    with pytest.raises(NotFound, match="there is no run 'n'"):
        machine.records(stores).past(RunQuery(before="n"))


def test_few_names_are_read_of_the_many_that_begin_alike(stores):
    with sqlite3.connect(stores.layout.database) as database:
        steps: list[None] = []
        database.set_progress_handler(lambda: steps.append(None), 100)
        assert queries.run_names(database, "n1", 3) == ["n1001", "n1000", "n1"]
        assert len(steps) < 5
        assert len(queries.run_names(database, "n1")) == 401

"""The facts of many runs, read at once."""

import msgspec
import pytest

from fairway.spec import history
from fairway.spec.history import Facts, RunRecord, read_all_facts
from fairway.spec.run import Phase


def record(facts: bytes) -> RunRecord:
    return RunRecord(
        name="r",
        pipeline="p",
        phase=Phase.SUCCEEDED,
        started=1.0,
        ended=2.0,
        facts=msgspec.Raw(facts),
    )


def test_the_facts_of_many_runs_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record(b'{"parameters":{"depth":%d},"metrics":{"auc":null}}' % place) for place in range(3)]
    monkeypatch.setattr(history, "read_facts", None)
    assert read_all_facts(records) == [Facts({"depth": place}, {"auc": None}) for place in range(3)]
    assert read_all_facts([]) == []


@pytest.mark.parametrize("damaged", [b"{", b"", b'{"metrics":3}', b"{},{}", b"{}],[{}", b"\xff"])
def test_facts_that_cannot_be_read_are_empty_and_spoil_no_others(damaged: bytes) -> None:
    good = b'{"metrics":{"auc":0.5}}'
    found = read_all_facts([record(good), record(damaged), record(good)])
    assert found == [Facts(metrics={"auc": 0.5}), Facts(), Facts(metrics={"auc": 0.5})]

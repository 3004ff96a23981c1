"""A run is followed by its record: in order, in bounded pieces, and from any position on."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.engine.following import RecordFollower
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    Body,
    Event,
    RunEnded,
    RunNoted,
    RunResumed,
    RunStarted,
    RunTagged,
    StepCalled,
)
from fairway.spec.run import Phase, RunSpec, StepResult, StepSpec
from fairway.spec.update import Over, Printed, Recorded, Update, Waits
from fairway.wiring.machine import LocalStores


class Record:
    """A run on record, written by hand."""

    def __init__(self, root: Path) -> None:
        self.stores = LocalStores(root).prepare()
        self.logs = self.stores.logs
        self.waiting = ("", "")
        self.at_work = "process 1"
        self.follower = RecordFollower(self.stores.metadata, self.logs, self, lambda run: self.waiting)  # type: ignore[arg-type]
        self.tell(RunStarted(RunSpec(name="r1", pipeline="main", project="")))

    def holder(self, run: str) -> str:
        return self.at_work

    def tell(self, *bodies: Body, step: str = "") -> None:
        self.stores.metadata.append(
            [Event(body=body, run="r1", step=step, time=time.time()) for body in bodies]
        )

    def print(self, step: str, text: str, attempt: int = 1) -> None:
        self.logs.append("r1", step, attempt, 1.0, text.encode())

    def begin(self, step: str, attempt: int = 1) -> None:
        self.tell(StepCalled(StepSpec(name=step, task="t", inputs={})), AttemptStarted(attempt), step=step)

    def end(self, step: str, attempt: int = 1) -> None:
        self.logs.close("r1", step, attempt)
        self.tell(AttemptEnded(attempt, StepResult(run="r1", step=step, attempt=attempt)), step=step)

    def over(self) -> None:
        self.tell(RunEnded(Phase.SUCCEEDED))

    def rest(
        self, after: str = "", take: Callable[[list[Update]], list[Update]] = lambda found: found
    ) -> list[Update]:
        """All updates there are behind a position, asked for again and again."""
        updates: list[Update] = []
        while found := take(self.follower.read("r1", after)):
            updates += found
            after = found[-1].position
            if isinstance(found[-1].news, Over):
                break
        return updates


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "store")


def printed(updates: list[Update]) -> str:
    return "".join(one.news.data.decode() for one in updates if isinstance(one.news, Printed))


def facts(updates: list[Update]) -> list[str]:
    return [type(one.news.event.body).__name__ for one in updates if isinstance(one.news, Recorded)]


def test_every_update_is_given_once_however_often_one_begins_again(record: Record) -> None:
    for step in ("a", "b", "c"):
        record.begin(step)
        record.print(step, f"{step} speaks\n")
    record.end("b")
    record.print("a", "a goes on\n")
    for step in ("a", "c"):
        record.end(step)
    record.over()
    whole = record.rest()
    one_by_one = record.rest(take=lambda found: found[:1])
    assert sorted(printed(one_by_one).splitlines()) == ["a goes on", "a speaks", "b speaks", "c speaks"]
    assert facts(one_by_one) == facts(whole)
    assert sorted(printed(whole).splitlines()) == sorted(printed(one_by_one).splitlines())
    assert isinstance(whole[-1].news, Over)


def test_much_output_comes_in_bounded_pieces_and_before_the_end_of_its_attempt(record: Record) -> None:
    record.begin("a")
    line = "x" * 1000 + "\n"
    record.print("a", line * 3000)
    record.end("a")
    first = record.follower.read("r1", "")
    assert len(printed(first)) < 2**20
    assert "AttemptEnded" not in facts(first)
    rest = record.rest(first[-1].position)
    assert len(printed(first)) + len(printed(rest)) == len(line) * 3000
    assert "AttemptEnded" in facts(rest)


def test_positions_stay_short_when_attempts_end(record: Record) -> None:
    for number in range(300):
        record.begin(f"s-{number}")
        record.print(f"s-{number}", "hello\n")
        record.end(f"s-{number}")
    record.over()
    updates = record.rest()
    assert printed(updates) == "hello\n" * 300
    assert max(len(update.position) for update in updates) < 60


def test_an_unfinished_line_waits_for_its_end(record: Record) -> None:
    record.begin("a")
    record.print("a", "half")
    found = record.rest()
    assert printed(found) == ""
    record.print("a", " a line\n")
    assert printed(record.rest(found[-1].position)) == "half a line\n"


def test_a_run_without_an_engine_is_over_without_an_end(record: Record) -> None:
    record.begin("a")
    record.print("a", "last words\n")
    record.at_work = ""
    found = record.rest()
    assert printed(found) == "last words\n"
    assert found[-1].news == Over()


def test_a_run_that_was_resumed_is_followed_through_both_tries(record: Record) -> None:
    record.tell(RunEnded(Phase.FAILED), RunResumed(""))
    record.begin("a")
    record.end("a")
    assert not isinstance(record.rest()[-1].news, Over)
    record.over()
    found = record.rest()
    assert facts(found).count("RunEnded") == 2
    assert isinstance(found[-1].news, Over)
    assert found[-1].news.ended == RunEnded(Phase.SUCCEEDED)


def test_a_run_is_over_although_somebody_put_words_on_it_afterwards(record: Record) -> None:
    record.over()
    ends = record.rest()[-1]
    record.tell(RunTagged("kept"), RunNoted("the best so far"))
    found = record.rest()
    assert [one.news for one in found][-1] == ends.news
    assert not {"RunTagged", "RunNoted"} & set(facts(found))
    assert record.rest(ends.position) == [ends]


def test_the_end_is_told_again_to_who_asks_behind_it(record: Record) -> None:
    record.over()
    found = record.rest()
    assert [update.news for update in record.follower.read("r1", found[-1].position)] == [found[-1].news]


def test_waiting_is_told_once_and_when_it_changes(record: Record) -> None:
    record.waiting = ("a", "run k7m2")
    found = record.rest()
    assert found[-1].news == Waits("a", "run k7m2")
    assert record.rest(found[-1].position) == []
    record.waiting = ("", "")
    assert record.rest(found[-1].position)[-1].news == Waits("", "")


def test_what_cannot_be_followed_is_refused(record: Record) -> None:
    with pytest.raises(NotFound):
        record.follower.read("nobody", "")
    with pytest.raises(UsageError):
        record.follower.read("r1", "rubbish")
    forged = record.follower.read("r1", "1.9999999.0.5-7,99-3")
    assert all(not isinstance(update.news, Printed) for update in forged)

"""What every store of attempts' records promises."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from planes import Plane

from fairway.ports import ResultStore
from fairway.spec.artifact import Artifact
from fairway.spec.run import Failure, Reason, StepResult, Usage
from fairway.stores import FileResults, Layout
from fairway.stores.opening import open_store, relayed_place

ADAPTERS = ("files", "relayed")

Make = Callable[[], ResultStore]


class OfRuns:
    """The records of a control plane, as pods of several runs see them: each has a credential of its own run."""

    def __init__(self, plane: Plane, cache: Path) -> None:
        self._plane = plane
        self._cache = cache

    def commit(self, result: StepResult) -> bool:
        return self._of(result.run).commit(result)

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        return self._of(run).read(run, step, attempt)

    def _of(self, run: str) -> ResultStore:
        return open_store(
            relayed_place(self._plane.url, str(self._cache), self._plane.credential(run))
        ).results


@pytest.fixture(params=ADAPTERS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Opens the same store again at each call, as another process would."""
    if request.param == "relayed":
        plane = request.getfixturevalue("fresh_plane")
        return lambda: OfRuns(plane, tmp_path / "cache")
    Layout(tmp_path / "store").prepare()
    return lambda: FileResults(tmp_path / "store")


def record(note: str = "", run: str = "r1", step: str = "train-2", attempt: int = 1) -> StepResult:
    inline = Artifact(format="json", digest="0" * 64, size=3, inline=b'"\n\xff', note=note)
    return StepResult(
        run=run,
        step=step,
        attempt=attempt,
        outputs=(inline,),
        failure=Failure(reason=Reason.OOM, message="nö\nsha256 x", details="Traceback"),
        usage=Usage(wall=1.5),
        shown={"title": inline},
    )


def test_there_is_none(make: Make) -> None:
    assert make().read("r1", "train-2", 1) is None


def test_what_was_committed_is_read_as_it_was_by_whoever_opens_the_store(make: Make) -> None:
    assert make().commit(record("first"))
    assert make().read("r1", "train-2", 1) == record("first")


def test_the_first_record_of_an_attempt_is_the_truth(make: Make) -> None:
    assert make().commit(record("first"))
    assert not make().commit(record("second"))
    assert not make().commit(record("first"))
    assert make().read("r1", "train-2", 1) == record("first")


def test_runs_steps_and_attempts_have_records_of_their_own(make: Make) -> None:
    several = [record(), record(attempt=2), record(step="train-21"), record(run="r2")]
    assert [make().commit(one) for one in several] == [True] * len(several)
    assert [make().read(one.run, one.step, one.attempt) for one in several] == several
    assert make().read("r2", "train-2", 2) is None


@pytest.mark.parametrize("step", ["../../../evil", "/etc/evil", "..", "ein Schritt", "*", "a" * 100])
def test_any_name_of_a_step_is_a_name_and_nothing_else(make: Make, tmp_path: Path, step: str) -> None:
    before = sorted(tmp_path.iterdir())
    assert make().commit(record(step=step))
    assert make().read("r1", step, 1) == record(step=step)
    assert sorted(tmp_path.iterdir()) == before


def test_of_many_at_the_same_moment_one_is_first(make: Make) -> None:
    racers, rounds = 8, 20
    gate, won = threading.Barrier(racers), [list[int]() for _ in range(rounds)]

    def race(who: int) -> None:
        store = make()
        for attempt in range(rounds):
            gate.wait(120)
            if store.commit(record(str(who), attempt=attempt)):
                won[attempt].append(who)

    threads = [threading.Thread(target=race, args=(who,)) for who in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for attempt, winners in enumerate(won):
        assert len(winners) == 1
        found = make().read("r1", "train-2", attempt)
        assert found is not None
        assert found.outputs[0].note == str(winners[0])

"""Views of runs: small whatever the number of steps, made once for each change, and never older than the run."""

import asyncio
import weakref

import msgspec
import pytest

from fairway.pages import run_view
from fairway.pages.packed_steps import PackedSteps
from fairway.pages.run_view import RunView, RunViews, view_of
from fairway.spec.artifact import RefData
from fairway.spec.errors import NotFound
from fairway.spec.run import Failure, MetricPoint, Phase, Reason, RunSpec, RunStatus, StepSpec, StepStatus


def step(name: str, *uses: str, task: str = "fit") -> StepStatus:
    inputs = {f"data{place}": RefData(one) for place, one in enumerate(uses)}
    return StepStatus(spec=StepSpec(name=name, task=task, inputs=inputs), phase=Phase.SUCCEEDED)


def run(steps: list[StepStatus], **more) -> RunStatus:
    spec = RunSpec(name="k7m2", pipeline="churn", project="/p.py")
    return RunStatus(
        **{"spec": spec, "phase": Phase.SUCCEEDED, "started": 1.0, "steps": tuple(steps), **more}
    )


class Recorded:
    """A platform with one run, which counts how often it is read."""

    def __init__(self, status: RunStatus) -> None:
        self.status = status
        self.at = 7
        self.reads = 0

    async def change(self, name: str) -> int:
        if self.at < 0:
            raise NotFound("there is no such page")
        return self.at

    async def run(self, name: str) -> RunStatus:
        self.reads += 1
        await asyncio.sleep(0)
        return self.status


def test_packed_steps_are_found_by_name_with_their_neighbours_and_users():
    made = [step(f"fit-{place}", *(["fit-0"] if place > 240 else [])) for place in range(250)]
    packed = PackedSteps.of(made)
    assert len(packed) == 250
    assert [packed.get(one.spec.name) for one in made] == made
    assert packed.get("fit-") is packed.get("") is packed.get("gone") is None
    assert packed.beside("fit-0") == ("", "fit-1")
    assert packed.beside("fit-249") == ("fit-248", "")
    assert packed.users("fit-0") == [f"fit-{place}" for place in range(241, 250)]
    assert packed.users("fit-1") == []
    with pytest.raises(NotFound, match="has no step 'gone'"):
        packed.step("k7m2", "gone")


def test_a_run_without_steps_is_packed_as_well():
    packed = PackedSteps.of([])
    assert (len(packed), packed.get("fit")) == (0, None)


def test_a_view_of_a_long_run_is_small_beside_the_run():
    points = tuple(MetricPoint(name=f"loss-{place}", value=1.0) for place in range(5000))
    status = run([step(f"fit-{place}") for place in range(5000)], metrics=points)
    view = view_of(status)
    assert view.run.steps == view.run.metrics == ()
    assert view.size < len(msgspec.json.encode(status)) / 3


def test_the_view_of_a_run_that_is_over_is_made_once_until_something_changes():
    async def look() -> None:
        platform, views = Recorded(run([step("fit")])), RunViews()
        first = await views.of(platform, "k7m2")
        assert await views.of(platform, "k7m2") is first
        assert platform.reads == 1
        platform.status, platform.at = run([], note="seen"), 8
        assert (await views.of(platform, "k7m2")).run.note == "seen"

    asyncio.run(look())


def test_the_view_of_a_run_that_goes_on_is_not_kept():
    async def look() -> None:
        platform, views = Recorded(run([], phase=Phase.RUNNING, alive=True)), RunViews()
        await views.of(platform, "k7m2")
        platform.status = run([], phase=Phase.RUNNING, alive=False)
        assert not (await views.of(platform, "k7m2")).run.alive

    asyncio.run(look())


def test_many_who_open_a_run_at_once_let_it_be_read_once():
    async def look() -> None:
        platform, views = Recorded(run([], phase=Phase.RUNNING)), RunViews()
        await asyncio.gather(*(views.of(platform, "k7m2") for _ in range(20)))
        assert platform.reads == 1

    asyncio.run(look())


def test_nothing_is_kept_of_a_platform_that_cannot_tell_whether_a_run_changed():
    async def look() -> None:
        platform, views = Recorded(run([])), RunViews()
        platform.at = -1
        await views.of(platform, "k7m2")
        await views.of(platform, "k7m2")
        assert platform.reads == 2

    asyncio.run(look())


class WatchedRun(RunStatus, frozen=True, kw_only=True, weakref=True):
    """A run that can be watched."""


def test_a_large_run_is_gone_before_memory_is_given_back_and_its_view_is_made_anew(monkeypatch):
    points = tuple(MetricPoint(name="loss", value=float(place), index=place) for place in range(9))
    steps = [step(f"fit-{place}", *(["fit-0"] if place else [])) for place in range(2500)]
    read: list[RunStatus] = [WatchedRun(**msgspec.structs.asdict(run(steps, metrics=points)))]
    watched = [weakref.ref(read[0])]
    left: list[object] = []

    class Collector:
        def collect(self) -> None:
            left.append([one() for one in watched])

    def viewed(status: RunStatus) -> RunView:
        view = view_of(status)
        watched.append(weakref.ref(view.run))
        return view

    monkeypatch.setattr(run_view, "gc", Collector())
    monkeypatch.setattr(run_view, "view_of", viewed)
    view = run_view._made(read)
    assert left == [[None, None]]
    assert (len(view.steps), view.counts) == (2500, [("done", 2500)])
    assert view.steps.step("k7m2", "fit-7").spec == step("fit-7", "fit-0").spec
    assert [(row.task, row.count) for row in view.rows] == [("fit", 2500)]
    assert view.logged.curves[0].points == 9


def test_the_view_of_a_large_run_equals_the_one_that_was_made_among_the_steps():
    points = tuple(MetricPoint(name=f"loss-{place % 7}", value=1.0, index=place) for place in range(2100))
    failed = Failure(reason=Reason.USER, message="ValueError: no", cause="fit-1")
    steps = [step("load", task="load"), *(step(f"fit-{place}", "load") for place in range(9))]
    status = run(steps, metrics=points, phase=Phase.FAILED, failure=failed, note="odd", tags=("a", "b"))
    assert run_view._made([status]) == view_of(status)

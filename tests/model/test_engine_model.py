"""What holds of every run that the engine carries out, whatever hosts, stores and its own deaths do to it; and planted bugs."""

import random
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from engine_fakes import POD
from engine_hosts import HERE
from engine_world import Task, World
from msgspec import structs
from schedules import a_plan, fate, some_crashes
from simulated_record import Plan

from fairway.engine import journal, pipeline, resume, room, run
from fairway.engine.run import RunEngine
from fairway.formats import decode
from fairway.ports import Host
from fairway.spec.event import RunEnded, StepEnded
from fairway.spec.model import ModelVersion
from fairway.spec.places import Gone
from fairway.spec.quantities import Resources
from fairway.spec.run import Phase, Reason
from fairway.spec.wire import DRIVER


def a_run(rng: random.Random, *, cancel: bool) -> Plan:
    """Return a random plan in which some steps register what the one before them made."""
    plan = a_plan(rng, cancel=cancel)
    steps: list[Task] = []
    for step in plan.steps:
        task = Task(**{field.name: getattr(step, field.name) for field in fields(step)})
        steps.append(replace(task, hit=False, register=len(task.after) == 1 and rng.random() < 0.5))
    return replace(plan, steps=steps)


def check(seed: int) -> World:
    """Carry out one random run and hold it against its plan. Raises AssertionError."""
    rng = random.Random(seed)
    plan = a_run(rng, cancel=seed % 4 == 3)
    crashes = frozenset(rng.randint(1, 250) for _ in some_crashes(rng)) if seed % 2 else frozenset[int]()
    places = (HERE, POD) if seed % 3 == 0 else (HERE,)
    world = World(plan, rng, crashes, places=places)
    ended = world.run()
    holds(world, ended)
    return world


def holds(world: World, ended: RunEnded) -> None:
    """Assert what must be true of a run that is over."""
    ends = world.ends()
    calls = {step.spec.name for step in world.status().steps}
    # A run that is resumed and stopped at once ends before its pipeline has called again what was called before.
    assert set(ends) == calls or world.cancelled, "a step that was called has not ended"
    expected = fate(world.plan)
    for name, end in ends.items():
        if not world.cancelled:
            assert end.phase is expected[name], name
        if world.steps[name].register:
            published(world, name, end)
    if world.cancelled:
        assert ended.phase in (Phase.CANCELLED, Phase.SUCCEEDED, Phase.FAILED)
        return
    calm = World(replace(world.plan, cancel_at=-1), random.Random(0), unruly=0.0)
    assert ended.phase is calm.run().phase
    for name, outputs in world.told.items():
        assert ends[name].outputs == outputs, f"{name} ended otherwise than was told"


def published(world: World, name: str, end: StepEnded) -> None:
    """Assert that a registration has succeeded exactly when there is its version."""
    if end.phase is Phase.SUCCEEDED:
        (output,) = end.outputs
        assert output.inline is not None
        assert decode("json", output.inline) == world.versions[name]
        assert isinstance(world.versions[name], ModelVersion)
    elif not world.cancelled:
        assert name not in world.versions, "a version of a registration that failed"


def wrong(seeds: range) -> list[str]:
    """Return what is wrong with the first seed of which something is."""
    for seed in seeds:
        try:
            check(seed)
        except Exception as error:
            return [f"seed {seed}: {error!r}"]
    return []


def test_every_run_ends_as_its_steps_say_under_any_misfortune(
    full: bool, measured: Callable[..., None]
) -> None:
    first, count = random.randrange(10**9), 20_000 if full else 500
    assert wrong(range(first, first + count)) == []
    measured(
        "T2-engine",
        "Simulated lives of the run engine: hosts and pipelines lost, steps that crash, slow writes, deaths at a port's call",
        goal="every run ends as its steps say, one version per registration, nothing told is taken back",
        schedules=count,
        first_seed=first,
    )


def test_a_death_at_every_call_of_a_port_leaves_a_registration_whole() -> None:
    steps = [Task("train"), Task("register", ("train",), register=True), Task("use", ("register",))]
    plan = Plan(list(steps), awaited=frozenset({"register"}))
    calm = World(plan, random.Random(0), unruly=0.0)
    assert calm.run().phase is Phase.SUCCEEDED
    for moment in range(1, calm.calls + 1):
        world = World(plan, random.Random(0), frozenset({moment}), unruly=0.0)
        ended = world.run()
        assert ended.phase is Phase.SUCCEEDED, moment
        holds(world, ended)


TINY = 1e-9
"""Nothing goes wrong by chance, but everything takes a time of its own."""


def test_a_death_at_every_call_of_a_port_takes_over_what_outlived_it() -> None:
    big = Resources(cpu=2)
    steps = [
        Task("load", resources=big),
        Task("left", ("load",), resources=big),
        Task("right", resources=big),
    ]
    plan = Plan(list(steps))
    calm = World(plan, random.Random(0), unruly=TINY, places=(HERE, POD))
    assert calm.run().phase is Phase.SUCCEEDED
    taken_over = 0
    for moment in range(1, calm.calls + 1):
        for seed in range(4):
            rng = random.Random(seed)
            world = World(plan, rng, frozenset({moment}), unruly=TINY, places=(HERE, POD))
            ended = world.run()
            assert ended.phase is Phase.SUCCEEDED, (moment, seed)
            holds(world, ended)
            taken_over += world.taken_over
    assert taken_over > 5


@pytest.mark.parametrize("fatal", ["deadly", DRIVER])
def test_what_loses_its_host_every_time_is_not_begun_for_ever(fatal: str) -> None:
    world = World(Plan([Task("deadly")]), random.Random(0), unruly=0.0, fatal=fatal)
    ended = world.run()
    assert ended.phase is Phase.FAILED
    assert ended.failure is not None
    assert ended.failure.reason is Reason.HOST
    assert 3 <= world.hosts_started <= 12


Patch = pytest.MonkeyPatch


def takes_a_packaged_model_for_a_registered_one(patch: Patch) -> None:
    patch.setattr(resume, "REGISTER", "no task")


def gives_no_room_back(patch: Patch) -> None:
    patch.setattr(room.Room, "free", lambda self, step, attempt: None)


def tells_no_answer(patch: Patch) -> None:
    patch.setattr(pipeline.Pipeline, "_answer", lambda self, question, name: None)


def gives_up_attempts_out_of_reach(patch: Patch) -> None:
    kept = RunEngine._gone

    def certainly(self: RunEngine, host: Host, gone: Gone) -> None:
        kept(self, host, structs.replace(gone, certain=True))

    patch.setattr(RunEngine, "_gone", certainly)


def begins_before_it_is_on_record(patch: Patch) -> None:
    patch.setattr(journal.Journal, "when_durable", lambda self, then: then())


def begins_again_what_still_runs(patch: Patch) -> None:
    kept = run.recorded_steps
    patch.setattr(run, "recorded_steps", lambda status, results, seen: kept(status, results))
    patch.setattr(RunEngine, "_adopt", lambda self, seen: {})


def begins_a_returned_pipeline_again(patch: Patch) -> None:
    patch.setattr(pipeline.Pipeline, "lost", lambda self, failure, words: self.begin())


@pytest.mark.parametrize(
    "plant",
    [
        takes_a_packaged_model_for_a_registered_one,
        gives_no_room_back,
        tells_no_answer,
        gives_up_attempts_out_of_reach,
        begins_before_it_is_on_record,
        begins_a_returned_pipeline_again,
    ],
)
def test_a_planted_bug_is_found(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    assert wrong(range(2_000)) != []


def test_the_deaths_at_every_call_see_an_attempt_that_is_begun_beside_the_one_that_still_runs(
    monkeypatch: Patch,
) -> None:
    begins_again_what_still_runs(monkeypatch)
    with pytest.raises(AssertionError, match="two attempts"):
        test_a_death_at_every_call_of_a_port_takes_over_what_outlived_it()

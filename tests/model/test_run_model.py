"""What holds of every run, whatever a platform and its engine's deaths do to it."""

import os
import random
from collections import Counter
from typing import ClassVar

import pytest
from msgspec import structs
from simulation import Plan, Simulation, Step, artifact

from fairway.plan.run import Begin, Conclude, Halt, RunState, Settle, decide
from fairway.spec.artifact import Artifact
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Phase, Reason, StepResult

RUNS = int(os.environ.get("FAIRWAY_MODEL_RUNS", "400"))
"""How many random runs each property is tried on."""

_FAULTS = (Reason.USER, Reason.CRASH, Reason.OOM, Reason.TIMEOUT)


def a_plan(rng: random.Random, *, cancel: bool = False) -> Plan:
    """A random graph of up to 14 steps: some fail for good, some for a while, some ask for more than there is."""
    steps: list[Step] = []
    for number in range(rng.randint(1, 14)):
        names = [step.name for step in steps]
        after = tuple(rng.sample(names, min(len(names), rng.choice([0, 0, 1, 1, 2, 3]))))
        retries = rng.choice([0, 0, 1, 2])
        reasons = tuple(rng.choice(_FAULTS) for _ in range(rng.randint(0, retries)))
        resources = Resources(
            cpu=rng.choice([0.5, 1, 1, 2, 4, 9 if rng.random() < 0.1 else 1]),
            memory=rng.choice([0, 1, 8]),
            gpu=rng.choice([0, 0, 1]),
        )
        cache = rng.random() < 0.3
        steps.append(
            Step(
                name=f"s{number}",
                after=after,
                reasons=reasons,
                forever=rng.random() < 0.15,
                retries=retries,
                resources=resources,
                cache=cache,
                hit=cache and rng.random() < 0.5,
            )
        )
    awaited = frozenset(step.name for step in steps if rng.random() < 0.2)
    return Plan(steps, awaited, caught=rng.random() < 0.7, cancel_at=rng.randint(0, 30) if cancel else -1)


def some_crashes(rng: random.Random) -> frozenset[int]:
    """After which of the run's first actions the engine dies."""
    return frozenset(rng.randint(1, 60) for _ in range(rng.randint(1, 4)))


def fate(plan: Plan) -> dict[str, Phase]:
    """How every step must end: by itself, or by a step it depends on."""
    found: dict[str, Phase] = {}
    for step in plan.steps:
        if not step.resources.fits(plan.capacity):
            found[step.name] = Phase.FAILED
        elif any(found[name] is not Phase.SUCCEEDED for name in step.after):
            found[step.name] = Phase.CANCELLED
        elif step.forever and not step.hit:
            found[step.name] = Phase.FAILED
        else:
            found[step.name] = Phase.SUCCEEDED
    return found


def outcome(simulation: Simulation) -> dict[str, Phase]:
    """How every called step ended."""
    return {name: end.phase for name, end in simulation.record.settled.items()}


@pytest.mark.parametrize("seed", range(RUNS))
def test_every_run_ends_as_its_steps_say_whatever_happens(seed: int) -> None:
    """The simulation itself asserts inputs, capacity, one result per step and unused attempt numbers."""
    rng = random.Random(seed)
    plan = a_plan(rng)
    simulation = Simulation(plan, rng, some_crashes(rng) if seed % 2 else frozenset())

    simulation.run()

    expected = fate(plan)
    called = list(simulation.state.steps)
    assert called == [step.name for step in plan.steps][: len(called)]
    assert outcome(simulation) == {name: expected[name] for name in called}


@pytest.mark.parametrize("seed", range(RUNS))
def test_a_run_concludes_the_same_with_and_without_deaths_of_its_engine(seed: int) -> None:
    rng = random.Random(seed)
    plan = a_plan(rng)
    calm = Simulation(plan, random.Random(seed), unruly=False)
    stormy = Simulation(plan, rng, some_crashes(rng))

    expected, found = calm.run(), stormy.run()

    assert (found.phase, found.failure is None) == (expected.phase, expected.failure is None)
    assert outcome(stormy) == outcome(calm)


@pytest.mark.parametrize("seed", range(RUNS))
def test_a_cancelled_run_starts_nothing_more_and_ends_cancelled(seed: int) -> None:
    rng = random.Random(seed)
    plan = a_plan(rng, cancel=True)
    simulation = Simulation(plan, rng, some_crashes(rng) if seed % 3 == 0 else frozenset())

    conclusion = simulation.run()

    assert conclusion.phase is Phase.CANCELLED or not simulation.record.cancelled
    assert all(step.phase.ended for step in simulation.state.steps.values())


@pytest.mark.parametrize("seed", range(RUNS // 4))
def test_only_the_users_faults_spend_retries(seed: int) -> None:
    rng = random.Random(seed)
    plan = a_plan(rng)
    simulation = Simulation(plan, rng)

    simulation.run()

    for name, step in simulation.by_name.items():
        end = simulation.record.settled.get(name)
        if end is not None and end.failure is not None and end.failure.reason in _FAULTS:
            assert simulation.faults[name] == step.retries + 1
        assert simulation.faults[name] <= step.retries + 1


@pytest.mark.parametrize("seed", range(RUNS // 4))
def test_what_is_skipped_names_the_step_that_failed_first(seed: int) -> None:
    rng = random.Random(seed)
    plan = a_plan(rng)
    simulation = Simulation(plan, rng, some_crashes(rng))

    simulation.run()

    expected = fate(plan)
    for end in simulation.record.settled.values():
        if end.phase is Phase.CANCELLED:
            assert end.failure is not None
            assert end.failure.reason is Reason.UPSTREAM
            assert expected[end.failure.cause] is Phase.FAILED


FIVE = Plan(
    [
        Step("load", cache=True),
        Step("left", ("load",), reasons=(Reason.USER,), retries=1),
        Step("right", ("load",), forever=True),
        Step("free"),
        Step("join", ("left", "right")),
    ],
    awaited=frozenset({"free"}),
)


def test_a_pipeline_of_five_steps_survives_a_death_after_every_action_and_every_pair() -> None:
    calm = Simulation(FIVE, random.Random(0), unruly=False)
    expected = calm.run()
    assert expected.phase is Phase.FAILED
    assert calm.actions > 10

    for first in range(1, calm.actions + 1):
        for second in range(first, calm.actions + 8):
            storm = Simulation(FIVE, random.Random(0), frozenset({first, second}), unruly=False)
            conclusion = storm.run()
            assert conclusion.phase is expected.phase, (first, second)
            assert conclusion.failure is not None
            assert conclusion.failure.cause == "right"
            assert outcome(storm) == outcome(calm), (first, second)


def test_a_finished_step_does_not_run_again_after_a_death() -> None:
    calm = Simulation(FIVE, random.Random(0), unruly=False)
    calm.run()
    for first in range(1, calm.actions + 1):
        storm = Simulation(FIVE, random.Random(0), frozenset({first}), unruly=False)
        storm.run()
        done = Counter(name for (name, _), result in storm.record.results.items() if result.failure is None)
        assert done == {"load": 1, "left": 1, "free": 1}, first


def test_a_step_that_needs_much_is_not_starved_by_those_that_need_little() -> None:
    state = RunState(Resources(cpu=2))
    state.called(Step("first").spec())
    decide(state, 0.0)
    state.called(Step("big", resources=Resources(cpu=2)).spec())
    for number in range(1000):
        state.called(Step(f"small{number}").spec())
    running = ["first"]
    overtook = 0
    while True:
        begun = [action.step for action in decide(state, 0.0) if isinstance(action, Begin)]
        if "big" in begun:
            break
        overtook += len(begun)
        running += begun
        name = running.pop(0)
        state.ended(name, 1, StepResult(run="r", step=name, attempt=1, outputs=(artifact(name),)), 0.0)
    assert 0 < overtook <= 64


class Counting(Resources, frozen=True):
    """Resources that count how often anything looked at them."""

    looks: ClassVar[list[int]] = [0]

    def __getattribute__(self, name: str) -> object:
        if name == "cpu":
            Counting.looks[0] += 1
        return object.__getattribute__(self, name)


@pytest.mark.parametrize("width", [1, 10_000])
def test_the_work_of_a_decision_does_not_grow_with_the_number_of_steps(width: int) -> None:
    """A chain, and a fan of steps that differ in what they need and mostly do not fit."""

    def looks_per_step(count: int) -> float:
        Counting.looks[0] = 0
        state = RunState(Resources(cpu=4, memory=10**9))
        before: tuple[str, ...] = ()
        for number in range(count):
            needs = Counting(cpu=3, memory=number) if width > 1 else Counting()
            state.called(Step(f"s{number}", before, resources=needs).spec())
            before = (f"s{number}",) if width == 1 else ()
        state.returned(None)
        ended = 0
        conclusion: Conclude | None = None
        while conclusion is None:
            for action in decide(state, 0.0):
                if isinstance(action, Begin):
                    outputs: tuple[Artifact, ...] = (artifact(action.step),)
                    result = StepResult(run="r", step=action.step, attempt=1, outputs=outputs)
                    state.ended(action.step, 1, result, 0.0)
                ended += isinstance(action, Settle)
                conclusion = action if isinstance(action, Conclude) else None
        assert (ended, conclusion) == (count, Conclude(Phase.SUCCEEDED))
        return Counting.looks[0] / count

    few, many = looks_per_step(500), looks_per_step(10_000)
    assert few > 0
    assert many < few * 1.2


def test_a_chain_of_ten_thousand_is_skipped_without_recursion() -> None:
    state = RunState(Resources(cpu=4))
    before: tuple[str, ...] = ()
    for number in range(10_000):
        state.called(Step(f"s{number}", before).spec())
        before = (f"s{number}",)
    assert decide(state, 0.0) == [Begin("s0", 1)]

    failure = Failure(reason=Reason.USER, message="no")
    state.ended("s0", 1, StepResult(run="r", step="s0", attempt=1, failure=failure), 0.0)

    ends = decide(state, 0.0)
    assert len(ends) == 10_000
    assert ends[-1].failure.cause == "s0"


def fail(state: RunState, name: str) -> None:
    """End the first attempt of a step by the user's error."""
    failure = Failure(reason=Reason.USER, message="no")
    state.ended(name, 1, StepResult(run="r", step=name, attempt=1, failure=failure), 0.0)


@pytest.mark.parametrize("first", ["left", "right"])
def test_a_failure_that_the_pipeline_forgave_counts_for_all_that_failed_before_it(first: str) -> None:
    """Whichever of two failed first: the pipeline saw one failure of the step that needed both."""
    state = RunState(Resources(cpu=4))
    for step in (Step("left"), Step("right"), Step("join", ("left", "right"))):
        state.called(step.spec())
    decide(state, 0.0)
    for name in sorted(("left", "right"), key=lambda name: name != first):
        fail(state, name)
    state.delivered("join")
    state.returned(None)
    assert decide(state, 0.0)[-1] == Conclude(Phase.SUCCEEDED)


def test_a_failure_that_nobody_was_told_of_fails_the_run_and_is_named() -> None:
    state = RunState(Resources(cpu=4))
    state.called(Step("one").spec())
    decide(state, 0.0)
    fail(state, "one")
    state.returned(None)
    conclusion = decide(state, 0.0)[-1]
    assert isinstance(conclusion, Conclude)
    assert conclusion.phase is Phase.FAILED
    assert conclusion.failure == Failure(reason=Reason.USER, message="no", cause="one")


def test_a_repeated_pipeline_may_not_ask_for_something_else() -> None:
    state = RunState(Resources(cpu=4))
    spec = Step("one").spec()
    state.called(structs.replace(spec, inputs={"seed": artifact("1")}))
    state.called(structs.replace(spec, inputs={"seed": artifact("1")}))
    assert decide(state, 0.0) == [Begin("one", 1)]

    state.called(structs.replace(spec, inputs={"seed": artifact("2")}))
    state.ended("one", 1, StepResult(run="r", step="one", attempt=1, outputs=(artifact("one"),)), 0.0)
    state.returned(None)

    conclusion = decide(state, 0.0)[-1]
    assert isinstance(conclusion, Conclude)
    assert conclusion.failure is not None
    assert "one" in conclusion.failure.message
    assert "inside a task" in conclusion.failure.hint


def test_a_repeated_call_may_pickle_differently() -> None:
    state = RunState(Resources(cpu=4))
    for digest in ("a", "b"):
        pickled = Artifact(format="pickle", digest=digest, size=1)
        state.called(structs.replace(Step("one").spec(), inputs={"model": pickled}))
    state.returned(None)
    decide(state, 0.0)
    state.ended("one", 1, StepResult(run="r", step="one", attempt=1, outputs=(artifact("one"),)), 0.0)
    assert decide(state, 0.0)[-1] == Conclude(Phase.SUCCEEDED)


def test_a_step_refused_while_the_run_is_cancelled_is_cancelled() -> None:
    state = RunState(Resources(cpu=4))
    state.called(Step("one").spec())
    decide(state, 0.0)
    state.cancel()
    state.refused("one", Failure(reason=Reason.CANCELLED, message="cancelled"))
    state.returned(None)
    assert [type(action) for action in decide(state, 0.0)] == [Halt, Settle, Conclude]
    assert state.steps["one"].phase is Phase.CANCELLED


def test_pauses_between_attempts_grow_and_end_at_a_minute() -> None:
    state = RunState(Resources(cpu=4))
    state.called(Step("one", retries=9).spec())
    now, pauses = 0.0, []
    for attempt in range(1, 10):
        assert decide(state, now) == [Begin("one", attempt)]
        failure = Failure(reason=Reason.USER, message="no")
        state.ended("one", attempt, StepResult(run="r", step="one", attempt=attempt, failure=failure), now)
        due = state.next_time()
        assert due is not None
        assert decide(state, due - 0.001) == []
        pauses.append(due - now)
        now = due
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]

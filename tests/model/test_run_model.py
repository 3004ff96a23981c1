"""Decisions about a run, one situation at a time; `test_schedules` has what holds whatever happens."""

from typing import ClassVar

import pytest
from msgspec import structs
from simulated_record import Step, artifact, one_machine

from fairway.plan.driver import Conclude
from fairway.plan.run import Begin, Halt, RunState, Settle, decide
from fairway.spec.artifact import Artifact
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Phase, Reason, StepResult


def test_a_step_that_needs_much_is_not_starved_by_those_that_need_little() -> None:
    state = RunState(one_machine(Resources(cpu=2)))
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
        state = RunState(one_machine(Resources(cpu=4, memory=10**9)))
        before: tuple[str, ...] = ()
        for number in range(count):
            needs = Counting(cpu=3, memory=number) if width > 1 else Counting()
            state.called(Step(f"s{number}", before, resources=needs).spec())
            before = (f"s{number}",) if width == 1 else ()
        state.driver.returned(None)
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
    state = RunState(one_machine(Resources(cpu=4)))
    before: tuple[str, ...] = ()
    for number in range(10_000):
        state.called(Step(f"s{number}", before).spec())
        before = (f"s{number}",)
    assert decide(state, 0.0) == [Begin("s0", 1, "home")]

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
    state = RunState(one_machine(Resources(cpu=4)))
    for step in (Step("left"), Step("right"), Step("join", ("left", "right"))):
        state.called(step.spec())
    decide(state, 0.0)
    for name in sorted(("left", "right"), key=lambda name: name != first):
        fail(state, name)
    state.driver.delivered("join")
    state.driver.returned(None)
    assert decide(state, 0.0)[-1] == Conclude(Phase.SUCCEEDED)


def test_a_failure_that_nobody_was_told_of_fails_the_run_and_is_named() -> None:
    state = RunState(one_machine(Resources(cpu=4)))
    state.called(Step("one").spec())
    decide(state, 0.0)
    fail(state, "one")
    state.driver.returned(None)
    conclusion = decide(state, 0.0)[-1]
    assert isinstance(conclusion, Conclude)
    assert conclusion.phase is Phase.FAILED
    assert conclusion.failure == Failure(reason=Reason.USER, message="no", cause="one")


def test_a_repeated_pipeline_may_not_ask_for_something_else() -> None:
    state = RunState(one_machine(Resources(cpu=4)))
    spec = Step("one").spec()
    state.called(structs.replace(spec, inputs={"seed": artifact("1")}))
    state.called(structs.replace(spec, inputs={"seed": artifact("1")}))
    assert decide(state, 0.0) == [Begin("one", 1, "home")]

    state.called(structs.replace(spec, inputs={"seed": artifact("2")}))
    state.ended("one", 1, StepResult(run="r", step="one", attempt=1, outputs=(artifact("one"),)), 0.0)
    state.driver.returned(None)

    conclusion = decide(state, 0.0)[-1]
    assert isinstance(conclusion, Conclude)
    assert conclusion.failure is not None
    assert "one" in conclusion.failure.message
    assert "inside a task" in conclusion.failure.hint


def test_a_repeated_call_may_pickle_differently() -> None:
    state = RunState(one_machine(Resources(cpu=4)))
    for digest in ("a", "b"):
        pickled = Artifact(format="pickle", digest=digest, size=1)
        state.called(structs.replace(Step("one").spec(), inputs={"model": pickled}))
    state.driver.returned(None)
    decide(state, 0.0)
    state.ended("one", 1, StepResult(run="r", step="one", attempt=1, outputs=(artifact("one"),)), 0.0)
    assert decide(state, 0.0)[-1] == Conclude(Phase.SUCCEEDED)


def test_a_step_refused_while_the_run_is_cancelled_is_cancelled() -> None:
    state = RunState(one_machine(Resources(cpu=4)))
    state.called(Step("one").spec())
    decide(state, 0.0)
    state.cancel()
    state.refused("one", Failure(reason=Reason.CANCELLED, message="cancelled"))
    state.driver.returned(None)
    assert [type(action) for action in decide(state, 0.0)] == [Halt, Settle, Conclude]
    assert state.steps["one"].phase is Phase.CANCELLED


def test_pauses_between_attempts_grow_and_end_at_a_minute() -> None:
    state = RunState(one_machine(Resources(cpu=4)))
    state.called(Step("one", retries=9).spec())
    now, pauses = 0.0, []
    for attempt in range(1, 10):
        assert decide(state, now) == [Begin("one", attempt, "home")]
        failure = Failure(reason=Reason.USER, message="no")
        state.ended("one", attempt, StepResult(run="r", step="one", attempt=attempt, failure=failure), now)
        due = state.next_time()
        assert due is not None
        assert decide(state, due - 0.001) == []
        pauses.append(due - now)
        now = due
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]

"""Where steps run: the first reachable place with room, in the order in which steps became ready."""

from typing import Any

import pytest

from fairway.plan.placement import Placement
from fairway.plan.run import Begin, Halt, Recorded, RunState, Settle, decide
from fairway.spec.artifact import Artifact
from fairway.spec.nodes import ANY, NodeChoice
from fairway.spec.places import Place
from fairway.spec.project import EnvironmentSpec
from fairway.spec.quantities import Resources
from fairway.spec.run import Failure, Phase, Reason, StepResult, StepSpec

SHARED = Place(name="shared", pool="machine")
POD = Place(name="pod", pool="pods", alone=True, outlives=True)
OWN = Place(name="own", pool="pods", alone=True, outlives=True, reserved=True)
OTHER = EnvironmentSpec(requirements=("numpy==1",))
OTHER_SHARED = Place(name="other", environment=OTHER, pool="machine")


def a_state(*places: Place, recorded: dict[str, Recorded] | None = None, cpu: float = 2) -> RunState:
    def offer(environment: EnvironmentSpec | None) -> tuple[Place, ...]:
        return (OTHER_SHARED,) if environment is not None else places

    return RunState(Placement(offer, {"machine": Resources(cpu=cpu, memory=8)}), recorded)


def call(state: RunState, name: str, cpu: float = 1, environment: EnvironmentSpec | None = None) -> StepSpec:
    spec = StepSpec(name=name, task=name, inputs={}, resources=Resources(cpu=cpu), environment=environment)
    state.called(spec)
    return spec


def begun(state: RunState) -> list[tuple[str, str]]:
    return [(action.step, action.place) for action in decide(state, 0.0) if isinstance(action, Begin)]


def end(state: RunState, name: str, attempt: int = 1) -> None:
    output = Artifact(format="json", digest=name, size=1)
    state.ended(name, attempt, StepResult(run="r", step=name, attempt=attempt, outputs=(output,)), 0.0)


def test_a_step_takes_its_first_place_and_the_next_one_when_that_is_full() -> None:
    state = a_state(SHARED, POD)
    for name in ("a", "b", "c", "d"):
        call(state, name)
    assert begun(state) == [("a", "shared"), ("b", "shared"), ("c", "pod"), ("d", "pod")]
    end(state, "a")
    call(state, "e")
    assert begun(state) == [("e", "shared")]


def test_a_step_that_fits_into_no_first_place_takes_one_without_a_bound() -> None:
    state = a_state(SHARED, POD)
    call(state, "huge", cpu=1000)
    assert begun(state) == [("huge", "pod")]


def test_an_isolated_step_takes_a_reserved_place_and_no_other_step_does() -> None:
    state = a_state(SHARED, OWN, cpu=1)
    call(state, "a")
    call(state, "b")
    state.called(StepSpec(name="c", task="c", inputs={}, isolated=True))
    assert begun(state) == [("a", "shared"), ("c", "own")]


def test_a_target_without_reserved_places_runs_isolated_steps_where_it_runs_the_others() -> None:
    state = a_state(SHARED, cpu=1)
    state.called(StepSpec(name="a", task="a", inputs={}, isolated=True))
    assert begun(state) == [("a", "shared")]


def test_a_step_that_fits_nowhere_fails_with_what_there_is() -> None:
    state = a_state(SHARED)
    call(state, "huge", cpu=1000)
    (settled,) = decide(state, 0.0)
    assert isinstance(settled, Settle)
    assert settled.failure is not None
    assert settled.failure.reason is Reason.RESOURCES
    assert "1000 CPUs of 2" in settled.failure.message


def test_environments_share_a_pool_and_take_turns_by_age() -> None:
    state = a_state(SHARED)
    call(state, "a", cpu=2)
    call(state, "b", cpu=2, environment=OTHER)
    call(state, "c", cpu=2)
    assert begun(state) == [("a", "shared")]
    end(state, "a")
    assert begun(state) == [("b", "other")]
    end(state, "b")
    assert begun(state) == [("c", "shared")]


def test_nothing_begins_at_a_place_that_cannot_be_reached_and_what_runs_there_is_kept() -> None:
    state = a_state(SHARED)
    call(state, "a")
    assert begun(state) == [("a", "shared")]
    state.unreachable("shared")
    call(state, "b")
    assert begun(state) == []
    assert state.steps["a"].phase is Phase.RUNNING
    end(state, "a")
    assert begun(state) == []
    state.reachable("shared")
    assert begun(state) == [("b", "shared")]


def test_a_pool_that_grows_lets_more_begin_and_one_that_shrinks_ends_nothing() -> None:
    state = a_state(SHARED)
    for name in ("a", "b", "c", "d"):
        call(state, name)
    assert len(begun(state)) == 2
    state.capacity_changed("machine", Resources(cpu=3, memory=8))
    assert begun(state) == [("c", "shared")]
    state.capacity_changed("machine", Resources(cpu=1, memory=8))
    assert [state.steps[name].running for name in ("a", "b", "c")] == [True] * 3
    end(state, "a")
    end(state, "b")
    assert begun(state) == []
    end(state, "c")
    assert begun(state) == [("d", "shared")]
    state.capacity_changed("machine", None)
    call(state, "e", cpu=100)
    assert begun(state) == [("e", "shared")]


@pytest.mark.parametrize("before", [Resources(cpu=4, memory=8), None], ids=["larger", "without a bound"])
def test_a_step_that_is_called_while_its_pool_is_too_small_waits_if_the_pool_had_room_for_it(
    before: Resources | None,
) -> None:
    state = a_state(SHARED)
    state.capacity_changed("machine", before)
    state.capacity_changed("machine", Resources(cpu=1, memory=8))
    call(state, "a", cpu=3)
    assert begun(state) == []
    assert not state.steps["a"].phase.ended
    state.capacity_changed("machine", Resources(cpu=3, memory=8))
    assert begun(state) == [("a", "shared")]


def test_a_step_that_no_size_of_its_pool_had_room_for_fails_at_once() -> None:
    state = a_state(SHARED)
    state.capacity_changed("machine", Resources(cpu=4, memory=1))
    state.capacity_changed("machine", Resources(cpu=1, memory=8))
    call(state, "a", cpu=5)
    assert state.steps["a"].phase is Phase.FAILED
    assert state.steps["a"].failure is not None
    assert "5 CPUs of 4" in state.steps["a"].failure.message


def recorded(state_spec: StepSpec, running: int, place: str = "pod") -> dict[str, Recorded]:
    return {state_spec.name: Recorded(state_spec, running, running=running, place=place)}


def test_an_attempt_that_was_seen_to_run_is_adopted_and_not_begun_again() -> None:
    spec = StepSpec(name="a", task="a", inputs={})
    state = a_state(SHARED, POD, recorded=recorded(spec, 3))
    state.called(spec)
    assert decide(state, 0.0) == []
    assert state.steps["a"].phase is Phase.RUNNING
    end(state, "a", 3)
    assert [type(action) for action in decide(state, 0.0)] == [Settle]


def test_an_adopted_attempt_uses_its_place() -> None:
    spec = StepSpec(name="a", task="a", inputs={}, resources=Resources(cpu=2))
    state = a_state(SHARED, recorded=recorded(spec, 1, "shared"))
    state.called(spec)
    call(state, "b")
    assert begun(state) == []
    end(state, "a")
    assert begun(state) == [("b", "shared")]


def test_an_adopted_attempt_that_fails_is_followed_by_the_next_number() -> None:
    spec = StepSpec(name="a", task="a", inputs={}, retries=1)
    state = a_state(SHARED, POD, recorded=recorded(spec, 3))
    state.called(spec)
    failure = Failure(reason=Reason.OOM, message="no")
    state.ended("a", 3, StepResult(run="r", step="a", attempt=3, failure=failure), 0.0)
    due = state.next_time()
    assert due is not None
    assert decide(state, due) == [Begin("a", 4, "shared")]


def test_an_attempt_of_another_call_is_stopped() -> None:
    earlier = StepSpec(name="a", task="other", inputs={})
    state = a_state(SHARED, POD, recorded=recorded(earlier, 2))
    call(state, "a")
    assert decide(state, 0.0) == [Halt("a", 2), Begin("a", 3, "shared")]


def test_an_attempt_that_the_pipeline_does_not_ask_for_again_is_stopped_at_the_end() -> None:
    spec = StepSpec(name="a", task="a", inputs={})
    state = a_state(SHARED, POD, recorded=recorded(spec, 1))
    state.driver.returned(None)
    assert [type(action).__name__ for action in decide(state, 0.0)] == ["Halt", "Conclude"]


def test_an_adopted_attempt_of_a_cancelled_run_is_stopped() -> None:
    spec = StepSpec(name="a", task="a", inputs={})
    state = a_state(SHARED, POD, recorded=recorded(spec, 1))
    state.cancel()
    state.called(spec)
    assert decide(state, 0.0) == [Halt("a", 1)]


def test_a_step_for_other_nodes_leaves_a_place_that_has_none_of_them() -> None:
    state = a_state(Place(name="driver", pool="machine"), Place(name="pod", pool="pods", alone=True))
    for name, asked in (("disk", Resources(disk=1)), ("arm", Resources(nodes=NodeChoice(arch="arm64")))):
        state.called(StepSpec(name=name, task=name, inputs={}, resources=asked))
    assert [place for _, place in begun(state)] == ["pod", "pod"]


def test_a_machine_that_meets_no_choice_of_nodes_says_what_it_has() -> None:
    machine = NodeChoice(gpu="Tesla T4", arch="amd64", spot=True, priority=ANY, queue=ANY)
    bound = Resources(cpu=2, memory=8, gpu=1, disk=100, nodes=machine)
    state = RunState(Placement(lambda _: (Place(name="here", pool="machine"),), {"machine": bound}))

    def ask(name: str, **words: Any) -> None:
        disk = words.pop("disk", 0)
        nodes = NodeChoice(**words) if words else None
        state.called(StepSpec(name=name, task=name, inputs={}, resources=Resources(disk=disk, nodes=nodes)))

    ask("big", disk=101)
    ask("arm", arch="arm64")
    ask("l4", gpu="L4")
    ask("fine", gpu="T4", arch="amd64", spot=True, priority="high", queue="team-a", disk=100)
    actions = decide(state, 0.0)
    told = {one.step: one.failure.message for one in actions if isinstance(one, Settle) and one.failure}
    assert told == {
        "big": "big asks for more than there is: 101 B of disk of 100 B",
        "arm": 'arm asks for what is not there: arch="arm64", and there is amd64',
        "l4": 'l4 asks for what is not there: gpu="L4", and there is Tesla T4',
    }
    assert [one.step for one in actions if isinstance(one, Begin)] == ["fine"]

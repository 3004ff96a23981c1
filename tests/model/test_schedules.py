"""What holds of every run, whatever a platform and its engine's deaths do to it; and that planted bugs are seen."""

import heapq
import random
from collections import Counter
from collections.abc import Callable

import pytest
from schedules import first_wrong, outcome, sweep
from simulated_record import Plan, Step
from simulation import Simulation

from fairway.engine import resume
from fairway.plan import queue
from fairway.plan import run as plan
from fairway.plan.step import StepState
from fairway.spec.run import Phase, Reason, StepResult


def test_every_run_ends_as_its_steps_say_under_any_schedule(
    full: bool, measured: Callable[..., None]
) -> None:
    first = random.randrange(10**9)
    count = 100_000 if full else 1_500
    print("seeds", first, "to", first + count - 1)

    wrong, said, actions = sweep(first, count)

    assert wrong < 0, f"seed {wrong}\n{said}\nagain: python tests/model/schedules.py {wrong}"
    measured(
        "T2",
        "Simulated schedules: messages lost, late, repeated and out of order, hosts and drivers lost, writes cut short, "
        "results of dead engines, deaths of the engine between any two actions",
        goal="every run ends as its steps say, one result per step, no retry lost or spent by us, nothing told is taken back",
        schedules=count,
        actions=actions,
        first_seed=first,
        wrong=int(wrong >= 0),
    )


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


@pytest.mark.parametrize(
    "torn", [False, True], ids=["what was noted last is lost", "all that was noted is kept"]
)
def test_five_steps_survive_a_death_before_every_action_and_every_pair(
    torn: bool, measured: Callable[..., None]
) -> None:
    assert len(FIVE.steps) == 5
    calm = Simulation(FIVE, random.Random(0), unruly=False)
    expected = calm.run()
    assert expected.phase is Phase.FAILED
    assert calm.actions > 10
    pairs, wrong = 0, list[tuple[int, int]]()

    for first in range(1, calm.actions + 1):
        for second in range(first, 2 * calm.actions + 1):
            pairs += 1
            storm = Simulation(FIVE, random.Random(0), frozenset({first, second}), unruly=False, torn=torn)
            conclusion = storm.run()
            ended = (conclusion.phase, conclusion.failure and conclusion.failure.cause, outcome(storm))
            if ended != (expected.phase, "right", outcome(calm)):
                wrong.append((first, second))
    assert wrong == []
    measured(
        f"T2-points-{'kept' if torn else 'lost'}",
        "The engine's death before every action of a pipeline of 5 steps, and before every pair of them; what was noted "
        f"and not written yet is {'kept' if torn else 'lost'}",
        goal="the run and every step end as without a death",
        steps=len(FIVE.steps),
        crash_points=calm.actions,
        pairs=pairs,
        wrong=len(wrong),
    )


def test_a_finished_step_does_not_run_again_after_a_death() -> None:
    calm = Simulation(FIVE, random.Random(0), unruly=False)
    calm.run()
    for first in range(1, calm.actions + 1):
        storm = Simulation(FIVE, random.Random(0), frozenset({first}), unruly=False)
        storm.run()
        done = Counter(name for (name, _), result in storm.record.results.items() if result.failure is None)
        assert done == {"load": 1, "left": 1, "free": 1}, first


Patch = pytest.MonkeyPatch


def begins_twice(patch: Patch) -> None:
    kept = queue.Queue.add

    def twice(self: queue.Queue, step: StepState) -> None:
        kept(self, step)
        kept(self, step)

    patch.setattr(queue.Queue, "add", twice)


def forgets_a_retry(patch: Patch) -> None:
    patch.setattr(plan, "heapq", type("Heap", (), {"heappush": lambda *_: None, "heappop": heapq.heappop}))


def spends_retries_on_lost_hosts(patch: Patch) -> None:
    def again(self: plan.RunState, step: plan.StepState, reason: Reason) -> bool:
        step.faults += 1
        return step.faults <= step.spec.retries

    patch.setattr(plan.RunState, "_again", again)


def takes_a_stale_answer(patch: Patch) -> None:
    kept = plan.RunState.ended

    def any_attempt(self: plan.RunState, name: str, attempt: int, result: StepResult, now: float) -> None:
        kept(self, name, self.steps[name].attempt, result, now)

    patch.setattr(plan.RunState, "ended", any_attempt)


def never_gives_back(patch: Patch) -> None:
    def keep(self: queue.Queue, step: StepState) -> None:
        step.running, step.at = False, None

    patch.setattr(queue.Queue, "give_back", keep)


def gives_back_too_much(patch: Patch) -> None:
    kept = queue.Queue.give_back

    def more(self: queue.Queue, step: StepState) -> None:
        pool = self._pool(step.at)
        kept(self, step)
        pool._memory -= step.spec.resources.memory

    patch.setattr(queue.Queue, "give_back", more)


def loses_a_step_that_found_no_room(patch: Patch) -> None:
    patch.setattr(queue.Queue, "no_room", lambda self, step: self._free(step))


def forgets_that_there_was_no_room(patch: Patch) -> None:
    kept = queue.Queue.no_room

    def forgets(self: queue.Queue, step: StepState) -> None:
        kept(self, step)
        self.ask_again()

    patch.setattr(queue.Queue, "no_room", forgets)


def never_asks_for_room_again(patch: Patch) -> None:
    patch.setattr(queue.Queue, "ask_again", lambda self: None)


def counts_an_attempt_that_never_began(patch: Patch) -> None:
    kept = plan.RunState.no_room

    def counts(self: plan.RunState, name: str) -> None:
        before = self.steps[name].attempt
        kept(self, name)
        self.steps[name].attempt = before

    patch.setattr(plan.RunState, "no_room", counts)


def keeps_what_found_no_room(patch: Patch) -> None:
    """The step goes back into the queue and still counts as using the machine."""

    def keeps(self: queue.Queue, step: StepState) -> None:
        self._pool(step.at).refuse(step)
        step.running, step.at = False, None
        self._line(step).of(step).appendleft(step)

    patch.setattr(queue.Queue, "no_room", keeps)


def begins_before_its_input(patch: Patch) -> None:
    patch.setattr(plan.calls, "sources", lambda spec: [])


def retries_without_end(patch: Patch) -> None:
    patch.setattr(plan.RunState, "_again", lambda self, step, reason: True)


def begins_after_a_cancel(patch: Patch) -> None:
    kept = plan.RunState.ended

    def ended(self: plan.RunState, name: str, attempt: int, result: StepResult, now: float) -> None:
        was, self._cancelling = self._cancelling, False
        kept(self, name, attempt, result, now)
        self._cancelling = was

    patch.setattr(plan.RunState, "ended", ended)


def forgets_results_that_were_not_noted(patch: Patch) -> None:
    patch.setattr(resume, "_unrecorded", lambda status, step, attempts, results: (attempts, None))


def looks_only_for_the_last_noted_attempt(patch: Patch) -> None:
    def unrecorded(status: object, step: object, attempts: int, results: object) -> tuple[int, None]:
        return 0, None

    patch.setattr(resume, "_unrecorded", unrecorded)


BUGS = [
    begins_twice,
    forgets_a_retry,
    spends_retries_on_lost_hosts,
    takes_a_stale_answer,
    never_gives_back,
    gives_back_too_much,
    loses_a_step_that_found_no_room,
    forgets_that_there_was_no_room,
    never_asks_for_room_again,
    counts_an_attempt_that_never_began,
    keeps_what_found_no_room,
    begins_before_its_input,
    retries_without_end,
    begins_after_a_cancel,
    forgets_results_that_were_not_noted,
    looks_only_for_the_last_noted_attempt,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: Callable[[Patch], None], monkeypatch: Patch) -> None:
    bug(monkeypatch)
    wrong, said = first_wrong(range(2_000))
    assert wrong >= 0
    assert "AssertionError" in said


@pytest.mark.parametrize(
    "bug", [begins_twice, forgets_results_that_were_not_noted], ids=lambda bug: bug.__name__
)
def test_the_crash_points_of_five_steps_see_a_planted_bug(
    bug: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        test_a_finished_step_does_not_run_again_after_a_death()


class Hasty(Simulation):
    """Tells of an attempt's end before its result is kept: the result is kept with the next thing that happens."""

    def _commit(self, name: str, attempt: int, reason: Reason | None) -> None:
        self.executions += 1
        self.unkept = self._result(name, attempt, reason)

    def _post(self, name: str, attempt: int) -> None:
        if (name, attempt) in self.flying:
            self.flying.remove((name, attempt))
            self._tell(self.unkept)

    def _write(self) -> None:
        super()._write()
        if hasattr(self, "unkept"):
            self.record.commit(self.unkept)

    def _lose_host(self) -> None:
        self._lose_driver()


def test_a_result_that_is_told_before_it_is_kept_is_found() -> None:
    wrong, said = first_wrong(range(2_000), Hasty)
    assert wrong >= 0
    assert "AssertionError" in said

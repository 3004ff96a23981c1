"""Random schedules of a run: what one seed means, what must hold of it, and many of them on all cores.

`python tests/model/schedules.py SEED` does one again and tells every action, fact and mishap.
"""

import os
import random
import sys
import traceback
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from simulated_record import Plan, Step
from simulation import Simulation

from fairway.plan.driver import Conclude
from fairway.plan.run import Action
from fairway.spec.quantities import Resources
from fairway.spec.run import Phase, Reason, StepResult

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


def check(seed: int, made: type[Simulation] = Simulation) -> int:
    """Do one schedule; the simulation asserts as it goes, this does at its end. Returns how many actions it took.

    Raises:
        AssertionError: something does not hold.
    """
    rng = random.Random(seed)
    cancelled = seed % 4 == 3
    plan = a_plan(rng, cancel=cancelled)
    simulation = made(plan, rng, some_crashes(rng) if seed % 2 else frozenset())
    conclusion = simulation.run()
    record, steps = simulation.record, simulation.state.steps
    assert record.durable == len(record.log)
    assert all(step.phase.ended for step in steps.values())
    assert list(steps) == [step.name for step in plan.steps][: len(steps)]
    for name, outputs in record.told.items():
        if name in steps and not (record.cancelled and steps[name].phase is Phase.CANCELLED):
            assert steps[name].outputs == outputs, f"{name} ended otherwise than was told"
    for name, spent in simulation.faults.items():
        assert spent <= simulation.by_name[name].retries + 1, f"{name} was tried too often"
    if cancelled and record.cancelled:
        assert conclusion.phase is Phase.CANCELLED
    else:
        _ends(simulation, conclusion)
    return simulation.actions


def _ends(simulation: Simulation, conclusion: Conclude) -> None:
    """Every step ended as its plan says, by what it says, and the run as it does on a platform without faults."""
    expected = fate(simulation.plan)
    for name, state in simulation.state.steps.items():
        end = simulation.record.settled[name]
        assert (end.phase, state.phase) == (expected[name], expected[name]), name
        if end.phase is Phase.CANCELLED:
            assert end.failure is not None
            assert end.failure.reason is Reason.UPSTREAM
            assert expected[end.failure.cause] is Phase.FAILED
        elif end.failure is not None and end.failure.reason in _FAULTS:
            assert simulation.faults[name] == simulation.by_name[name].retries + 1, f"{name} lost a retry"
    # A cancel that was noted and not written is lost with its engine; the run then ends by itself.
    calm = Simulation(replace(simulation.plan, cancel_at=-1), random.Random(0), unruly=False)
    ended = calm.run()
    assert (conclusion.phase, conclusion.failure is None) == (ended.phase, ended.failure is None)
    assert list(calm.state.steps) == list(simulation.state.steps)


def first_wrong(seeds: Iterable[int], made: type[Simulation] = Simulation) -> tuple[int, str]:
    """The first seed of which something does not hold, and what; (-1, "") when all of them are right."""
    for seed in seeds:
        try:
            check(seed, made)
        except Exception:
            return seed, traceback.format_exc(limit=-3)
    return -1, ""


def sweep(first: int, count: int) -> tuple[int, str, int]:
    """Check so many seeds on all cores: the first wrong one, what is wrong with it, and how many actions there were."""
    size = 500
    starts = range(first, first + count, size)
    actions = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for wrong, said, taken in pool.map(_some, [(at, min(at + size, first + count)) for at in starts]):
            actions += taken
            if wrong >= 0:
                pool.shutdown(cancel_futures=True)
                return wrong, said, actions
    return -1, "", actions


def _some(bounds: tuple[int, int]) -> tuple[int, str, int]:
    actions = 0
    for seed in range(*bounds):
        try:
            actions += check(seed)
        except Exception:
            return seed, traceback.format_exc(limit=-3), actions
    return -1, "", actions


class Telling(Simulation):
    """Prints all that happens."""

    def _perform(self, action: Action) -> None:
        print(f"{self.now:.1f}", "dies before" if self.actions + 1 in self.crashes else "does", action)
        super()._perform(action)

    def _tell(self, result: StepResult) -> None:
        print(f"{self.now:.1f}", "hears", result)
        super()._tell(result)

    def _dead(self) -> None:
        super()._dead()
        print("on record", self.record.log, self.record.results)


if __name__ == "__main__":
    print(check(int(sys.argv[1]), Telling), "actions, all is well")

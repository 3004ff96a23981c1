"""What an engine that takes a run up makes of the attempts that hosts still know."""

from dataclasses import dataclass
from typing import Any

import pytest

from fairway.engine.resume import recorded_steps
from fairway.spec.places import Place
from fairway.spec.run import (
    INTERRUPTED,
    AttemptStatus,
    Failure,
    Phase,
    Reason,
    RunSpec,
    RunStatus,
    StepResult,
    StepSpec,
    StepStatus,
)

DRIVER = Place(name="driver")
OWN = Failure(reason=Reason.USER, message="ValueError: no")


@dataclass
class Seen:
    """An attempt that a host knows."""

    step: str
    attempt: int
    host: Any = None
    place: Place = DRIVER


class Records:
    """No record of any attempt."""

    def read(self, run: str, step: str, attempt: int) -> StepResult | None:
        return None


def run_with(*attempts: tuple[Phase, Failure | None]) -> RunStatus:
    """Return a run whose only step has these attempts on record."""
    known = tuple(
        AttemptStatus(number=number, phase=phase, started=1.0, failure=failure)
        for number, (phase, failure) in enumerate(attempts, 1)
    )
    step = StepStatus(
        spec=StepSpec(name="train", task="train", inputs={}), phase=Phase.RUNNING, attempts=known
    )
    return RunStatus(
        spec=RunSpec(name="r", pipeline="p", project="p.py"), phase=Phase.RUNNING, started=0.0, steps=(step,)
    )


@pytest.mark.parametrize(
    ("failure", "running"), [(OWN, 0), (INTERRUPTED, 1)], ids=["by itself", "with its engine"]
)
def test_the_end_of_an_attempt_is_awaited_only_if_the_log_lacks_it(failure: Failure, running: int) -> None:
    status = run_with((Phase.FAILED, failure))
    (found,) = recorded_steps(status, Records(), [Seen("train", 1)]).values()  # type: ignore[arg-type]
    assert found.running == running


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_several_attempts_of_a_step_the_last_one_counts(order: tuple[int, ...]) -> None:
    status = run_with((Phase.FAILED, OWN), (Phase.RUNNING, None))
    seen = [Seen("train", number) for number in order]
    (found,) = recorded_steps(status, Records(), seen).values()  # type: ignore[arg-type]
    assert found.running == 2

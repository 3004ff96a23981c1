"""What an interrupted or failed run left behind, for the engine that takes it up."""

from fairway.plan.run import Recorded
from fairway.ports import ResultStore
from fairway.spec.artifact import Artifact
from fairway.spec.run import Phase, RunStatus, StepStatus
from fairway.spec.wire import REGISTER


def recorded_steps(status: RunStatus, results: ResultStore) -> dict[str, Recorded]:
    """Per step: how many attempts it had, and its outputs if it is done.

    An attempt may have left its record after the engine was gone; such a result counts. Registrations do not count until
    they were published.
    """
    found: dict[str, Recorded] = {}
    for step in status.steps:
        attempts = max((attempt.number for attempt in step.attempts), default=0)
        outputs: tuple[Artifact, ...] | None = step.outputs if step.phase is Phase.SUCCEEDED else None
        if outputs is None:
            attempts, outputs = _unrecorded(status, step, attempts, results)
        found[step.spec.name] = Recorded(step.spec, attempts, outputs, settled=step.phase is Phase.SUCCEEDED)
    return found


def _unrecorded(
    status: RunStatus, step: StepStatus, attempts: int, results: ResultStore
) -> tuple[int, tuple[Artifact, ...] | None]:
    outputs: tuple[Artifact, ...] | None = None
    number = max(attempts, 1)
    while True:
        result = results.read(status.spec.name, step.spec.name, number)
        if result is not None:
            attempts = number
            if result.failure is None and step.spec.task != REGISTER:
                outputs = result.outputs
        elif number > attempts:
            return attempts, outputs
        # The last attempt on record may have died without a result; the next one may have left one and not been noted.
        number += 1

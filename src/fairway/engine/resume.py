"""What an interrupted or failed run left behind, for the engine that takes it up."""

from collections.abc import Iterable

from fairway.plan.run import Recorded
from fairway.ports import ResultStore, StillRunning
from fairway.spec.artifact import Artifact
from fairway.spec.run import Phase, RunStatus, StepStatus
from fairway.spec.wire import REGISTER


def recorded_steps(
    status: RunStatus, results: ResultStore, seen: Iterable[StillRunning] = ()
) -> dict[str, Recorded]:
    """Per step: how many attempts it had, its outputs if it is done, and which attempt of it was seen to run still.

    An attempt may have left its record after the engine was gone; such a result counts. Registrations do not count until
    they were published. Look at what runs before calling this: an attempt that ends in between is found by its record.
    """
    running = {one.step: one for one in seen}
    found: dict[str, Recorded] = {}
    for step in status.steps:
        attempts = max((attempt.number for attempt in step.attempts), default=0)
        outputs: tuple[Artifact, ...] | None = step.outputs if step.phase is Phase.SUCCEEDED else None
        if outputs is None:
            attempts, outputs = _unrecorded(status, step, attempts, results)
        one = running.get(step.spec.name) if outputs is None else None
        # One that left a record is over, even if its process is still there.
        alive = one is not None and results.read(status.spec.name, one.step, one.attempt) is None
        found[step.spec.name] = Recorded(
            step.spec,
            attempts,
            outputs,
            settled=step.phase is Phase.SUCCEEDED,
            running=one.attempt if one is not None and alive else 0,
            place=one.place.name if one is not None and alive else "",
        )
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
            # The record of a `register` step says that a model is packaged. Its version exists only once the engine has
            # published it, and the log then says that the step succeeded.
            if result.failure is None and step.spec.task != REGISTER:
                outputs = result.outputs
        elif number > attempts:
            return attempts, outputs
        # The last attempt on record may have died without a result; the next one may have left one and not been noted.
        number += 1

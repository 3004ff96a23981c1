"""The remains of an interrupted or failed run, for the engine that resumes it."""

from collections.abc import Iterable

from fairway.plan.run import Recorded
from fairway.ports import ResultStore, StillRunning
from fairway.spec.artifact import Artifact
from fairway.spec.run import INTERRUPTED, Failure, Phase, Reason, RunStatus, StepResult, StepStatus
from fairway.spec.wire import REGISTER


def recorded_steps(
    status: RunStatus, results: ResultStore, seen: Iterable[StillRunning] = ()
) -> dict[str, Recorded]:
    """Return by step the number of attempts, the outputs if it is done, and the attempt whose end is still to come.

    An attempt may have left its record after the engine was gone. Such a result counts. A registration counts only once
    it was published. Observe the running attempts before this call: an attempt that ends in between is found by its record.
    A host may also name attempts that have ended. Their messages come again, unless the log has the end.
    """
    running = {one.step: one for one in sorted(seen, key=lambda one: one.attempt)}
    found: dict[str, Recorded] = {}
    for step in status.steps:
        attempts = max((attempt.number for attempt in step.attempts), default=0)
        outputs: tuple[Artifact, ...] | None = step.outputs if step.phase is Phase.SUCCEEDED else None
        result = None
        if outputs is None:
            attempts, result = _unrecorded(status, step, attempts, results)
            outputs = result.outputs if result is not None else None
        one = running.get(step.spec.name) if outputs is None else None
        # An attempt that left a record is over, even if its process is still there.
        alive = (
            one is not None
            and not _is_logged(step, one.attempt)
            and results.read(status.spec.name, one.step, one.attempt) is None
        )
        found[step.spec.name] = Recorded(
            step.spec,
            attempts,
            outputs,
            settled=step.phase is Phase.SUCCEEDED,
            result=result if result is not None and not _is_logged(step, result.attempt) else None,
            running=one.attempt if one is not None and alive else 0,
            place=one.place.name if one is not None and alive else "",
            given_up=_given_up(step),
        )
    return found


def _given_up(step: StepStatus) -> Failure | None:
    """Return why the pipeline gave a step up. It stays given up, because the pipeline decided that from what it knew."""
    if step.phase is not Phase.CANCELLED or step.failure is None:
        return None
    return step.failure if step.failure.reason is Reason.GIVEN_UP else None


def _is_logged(step: StepStatus, attempt: int) -> bool:
    """Tell whether the log has the end of an attempt. An engine that was lost has left none, even if others came after it."""
    return any(
        one.number == attempt and one.phase.ended and one.failure != INTERRUPTED for one in step.attempts
    )


def _unrecorded(
    status: RunStatus, step: StepStatus, attempts: int, results: ResultStore
) -> tuple[int, StepResult | None]:
    """Return the number of attempts, and the record of one that succeeded."""
    done: StepResult | None = None
    number = max(attempts, 1)
    while True:
        result = results.read(status.spec.name, step.spec.name, number)
        if result is not None:
            attempts = number
            # The record of a `register` step says that a model is packaged. Its version exists only once the engine has
            # published it. The log then says that the step succeeded.
            if result.failure is None and step.spec.task != REGISTER:
                done = result
        elif number > attempts:
            return attempts, done
        # The last attempt on record may have died without a result. The next one may have left a result that is in no log.
        number += 1

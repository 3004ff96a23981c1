"""The command that says why a run, a step of it or an endpoint is not as wanted, with what was seen and what helps."""

from collections.abc import Iterator

import click
import msgspec

from fairway.cli import endpoint_views, looking, views
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.whereabouts import from_here
from fairway.spec.errors import EXIT_DONE
from fairway.spec.run import Failure, Phase, RunStatus, StepStatus


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A failure of a run, of a step, or of one attempt of a step.

    Attributes:
        step: the name of the step. It is empty for the pipeline's own function.
        attempt: the number of the attempt. 0 means the step or the run as a whole.
        counted: True if it spent a retry. A loss of the place where the attempt ran spends none.
        failure: the failure.
    """

    step: str
    attempt: int
    counted: bool
    failure: Failure


@targeted
@click.command("why")
@click.argument("run", required=False, cls=Argument, completes="logged")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def why_command(run: str | None, as_json: bool) -> int:
    """Say why RUN, or one step of it by RUN/STEP, did not succeed: every lost and failed attempt, and what helps.

    An endpoint's name gives the reason why it is not as wanted.

    \b
    Example:
      fairway why k7m2
    """
    platform = looking.opened()
    if looking.is_endpoint(platform, run or ""):
        return _of_endpoint(run or "", as_json=as_json)
    name, _, step = (run or "").partition("/")
    status = ask(platform.run(ask(platform.find(name))))
    if step:
        status = msgspec.structs.replace(status, steps=(looking.step_of(status, step),), failure=None)
    found = list(causes(status))
    if as_json:
        show_json(found)
    elif not found:
        report(_nothing(status))
    else:
        show(*lines(status, found))
    return EXIT_DONE


def _of_endpoint(name: str, *, as_json: bool) -> int:
    """Print why an endpoint is not as wanted. Raises NotFound for one that was removed."""
    status = looking.named(name, looking.endpoints())
    if as_json:
        show_json(status)
    elif endpoint_views.is_as_wanted(status):
        report(endpoint_views.well(status))
    else:
        show(*endpoint_views.reasons(status))
    return EXIT_DONE


def causes(status: RunStatus) -> Iterator[Cause]:
    """Yield every failure of a run: those of attempts in the order of the steps, and that of the run last."""
    for step in status.steps:
        yield from _of_step(step)
    if status.failure is not None:
        yield Cause(step=status.failure.cause, attempt=0, counted=False, failure=status.failure)


def _of_step(step: StepStatus) -> Iterator[Cause]:
    last: Failure | None = None
    for attempt in step.attempts:
        if attempt.failure is not None:
            last = attempt.failure
            yield Cause(
                step=step.spec.name, attempt=attempt.number, counted=not last.reason.is_loss, failure=last
            )
    if step.failure is not None and (last is None or step.failure.message != last.message):
        yield Cause(step=step.spec.name, attempt=0, counted=False, failure=step.failure)


def lines(status: RunStatus, found: list[Cause]) -> list[str]:
    """Return the causes for people. The traceback of the last one that has any comes once, and its hint at the end."""
    rows = [
        (
            cause.step or "the run",
            f"attempt {cause.attempt}" if cause.attempt else "",
            "" if cause.counted or not cause.attempt else "no retry spent",
            cause.failure.message,
        )
        for cause in found
    ]
    word = views.run_word(status.phase, alive=status.alive)
    told = [
        f"{status.spec.pipeline}  run {status.spec.name}  {word}",
        "",
        *views.table(("where", "", "", "why"), rows),
    ]
    details = next((cause.failure.details for cause in reversed(found) if cause.failure.details), "")
    if details:
        told += ["", *details.split("\n")]
    hint = next((cause.failure.hint for cause in reversed(found) if cause.failure.hint), "")
    if not hint and status.phase is Phase.FAILED:
        hint = f"mend it, then `{from_here(f'fairway resume {status.spec.name}', None)}`"
    return [*told, *(["", f"hint: {hint}"] if hint else [])]


def _nothing(status: RunStatus) -> str:
    name = status.spec.name
    if status.phase is Phase.SUCCEEDED:
        return f"run {name} succeeded, and no attempt failed"
    if status.phase is Phase.CANCELLED:
        return f"run {name} was cancelled, and no attempt failed"
    return f"run {name} is at work, and no attempt has failed so far"

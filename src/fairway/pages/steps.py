"""The steps of a run as rows: many steps of one task are folded into one row with their numbers by state."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from fairway.spec.run import Phase, RunStatus, StepStatus
from fairway.spec.text import shortened

FOLDED = 5
"""The number of steps of one task from which they are folded."""

PAGE = 100
"""The steps on one page."""

URGENT = {"failed": 0, "running": 1, "pending": 2, "cancelled": 3, "done": 4, "cached": 5}
"""The order of states: failures first."""


class StepRow(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A step in a list."""

    name: str
    label: str
    state: str
    took: float | None
    memory: int
    attempts: int
    told: str


class FoldRow(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All steps of a task in a list, with their numbers by state, failures first."""

    task: str
    count: int
    states: list[tuple[str, int]]
    took: float
    memory: int
    told: str


class StepPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the steps of one task.

    Attributes:
        first: the place of the first step, from 1.
        total: the number of all steps of the task.
    """

    task: str
    rows: list[StepRow]
    first: int
    total: int
    page: int
    pages: int


def state_of(step: StepStatus) -> str:
    """Return the state of a step as a word."""
    return "cached" if step.cached else step.phase.word


def failed_step(status: RunStatus) -> StepStatus | None:
    """Return the step that a failed run failed at; None if it is no step."""
    cause = status.failure.cause if status.failure is not None else ""
    failed = [step for step in status.steps if step.phase is Phase.FAILED]
    named = [step for step in failed if step.spec.name == cause]
    # A step that was refused because of another one is not the cause of anything.
    first = [step for step in failed if step.failure is not None and not step.failure.cause]
    return next(iter([*named, *first, *failed]), None)


def by_task(steps: Sequence[StepStatus]) -> dict[str, list[StepStatus]]:
    """Return the steps of each task, in the order of the first calls."""
    found: dict[str, list[StepStatus]] = {}
    for step in steps:
        found.setdefault(step.spec.task, []).append(step)
    return found


def rows(steps: Sequence[StepStatus]) -> list[StepRow | FoldRow]:
    """Return the rows of all steps, with the steps of a task folded if they are many."""
    return [
        row
        for task, group in by_task(steps).items()
        for row in ([_folded(task, group)] if len(group) >= FOLDED else map(row_of, group))
    ]


def counts(steps: Sequence[StepStatus]) -> list[tuple[str, int]]:
    """Return the numbers of steps by state, failures first."""
    counted = Counter(map(state_of, steps))
    return sorted(counted.items(), key=lambda item: URGENT[item[0]])


def row_of(step: StepStatus) -> StepRow:
    """Return the row of a step."""
    last = step.attempts[-1] if step.attempts else None
    told = step.failure.message if step.failure is not None else step.why
    return StepRow(
        name=step.spec.name,
        label=step.spec.label,
        state=state_of(step),
        took=last.usage.wall if last is not None and last.ended else None,
        memory=max((attempt.usage.memory for attempt in step.attempts), default=0),
        attempts=len(step.attempts),
        told=shortened(told.split("\n")[0], 160),
    )


def _folded(task: str, group: Sequence[StepStatus]) -> FoldRow:
    causes = Counter(step.failure.message.split("\n")[0] for step in group if step.failure is not None)
    cause, count = causes.most_common(1)[0] if causes else ("", 0)
    return FoldRow(
        task=task,
        count=len(group),
        states=counts(group),
        took=sum(attempt.usage.wall for step in group for attempt in step.attempts),
        memory=max((attempt.usage.memory for step in group for attempt in step.attempts), default=0),
        told=f"{count} × {shortened(cause, 140)}" if cause else "",
    )

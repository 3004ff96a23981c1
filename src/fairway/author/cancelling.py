"""`cancel`: give up steps that a pipeline has started and does not need any more."""

from typing import cast

from fairway.author.ref import node_of
from fairway.author.session import PipelineSession, current, is_ref
from fairway.spec.artifact import RefData
from fairway.spec.errors import UsageError


def cancel(*refs: object) -> None:
    """Give up steps that were started and whose results are not needed any more. Call it in a pipeline.

    A step that is over keeps its result. A running step is ended, and one that waits does not begin. Using the result
    of a step that was given up raises `StepFailed`. The run itself does not fail. Outside a pipeline it does nothing.

    Args:
        refs: results of tasks, also in lists, tuples and dicts.

    Raises:
        UsageError: something else than the result of a task was given.
    """
    session = current()
    if session is None or not session.pipeline:
        return
    steps = tuple(dict.fromkeys(step for ref in refs for step in steps_of(ref)))
    if steps:
        cast("PipelineSession", session).cancel(steps, "")


def steps_of(ref: object) -> list[str]:
    """List the steps that the refs in a value stand for. Raises UsageError for anything else than refs."""
    if is_ref(ref):
        node = node_of(ref)
        return [node.step] if isinstance(node, RefData) else []
    if isinstance(ref, list | tuple):
        return [step for item in cast("list[object]", ref) for step in steps_of(item)]
    if isinstance(ref, dict):
        return [step for item in cast("dict[object, object]", ref).values() for step in steps_of(item)]
    raise UsageError(
        f"cancel is for results of tasks, and got {ref!r}",
        hint="such as `late = train(data)`, `fw.cancel(late)`",
    )

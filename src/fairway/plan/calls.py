"""Comparison of calls of tasks, and the steps whose outputs a call takes."""

from fairway.spec.artifact import RefData, walk
from fairway.spec.run import StepSpec


def same_call(before: StepSpec, now: StepSpec) -> bool:
    """Tell whether a result of `before` is a result of `now`."""
    return before.task == now.task and before.inputs == now.inputs and before.outputs == now.outputs


def contradicts(before: StepSpec, now: StepSpec) -> bool:
    """Tell whether a repeated call differs in its task, its edges or a plain value.

    Other content does not count: the same object may be pickled into other bytes the next time.
    """
    return before.task != now.task or _plain_values(before) != _plain_values(now)


def sources(spec: StepSpec) -> list[str]:
    """List the steps whose outputs a step takes. Each step is listed once."""
    leaves = (leaf for node in spec.inputs.values() for leaf in walk(node))
    return list(dict.fromkeys(leaf.step for leaf in leaves if isinstance(leaf, RefData)))


def _plain_values(spec: StepSpec) -> list[object]:
    return [
        (name, leaf if isinstance(leaf, RefData) else leaf.digest if leaf.format == "json" else "")
        for name, node in spec.inputs.items()
        for leaf in walk(node)
    ]

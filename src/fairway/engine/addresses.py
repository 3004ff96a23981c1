"""Names of the values of a run, as people write them: RUN, RUN/STEP or RUN/STEP/NAME, and the artifacts that they mean.

Pure: it reads a status and no store.
"""

import msgspec

from fairway.spec.artifact import Artifact, Group, Node, RefData
from fairway.spec.errors import NotFound
from fairway.spec.run import RunStatus, StepStatus

PIPELINE = "pipeline"
"""The word for the pipeline's own function in place of a step's name."""

OUTPUT = "output"
"""The word for all that a step returned."""


class Addressed(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a run.

    Attributes:
        name: a name for the value, from which a file's name is made, such as "train-2-data".
        node: the value, without references to steps.
        is_shown: True for a picture or table that `fw.show` kept.
    """

    name: str
    node: Node
    is_shown: bool = False


def find(status: RunStatus, path: str) -> Addressed:
    """Return the value that the words behind the run's name mean. Without words it is the result of the run.

    Raises:
        NotFound: there is no such step or value, or it was never made.
    """
    step, _, name = path.partition("/")
    if not step:
        return _result(status)
    if step == PIPELINE and step not in {one.spec.name for one in status.steps}:
        return _of_pipeline(status, name)
    found = step_of(status, step)
    if not name or name == OUTPUT:
        return Addressed(name=step, node=_output(status, found))
    if name in found.spec.inputs:
        return Addressed(name=f"{step}-{name}", node=resolved(status, found.spec.inputs[name]))
    if name in found.shown:
        return Addressed(name=f"{step}-{name}", node=found.shown[name], is_shown=True)
    if name.isdecimal() and len(name) < 9 and int(name) < len(found.outputs):
        return Addressed(name=f"{step}-{name}", node=found.outputs[int(name)])
    counts = map(str, range(len(found.outputs))) if len(found.outputs) > 1 else ()
    raise _unknown(f"{status.spec.name}/{step}", name, [*found.spec.inputs, *found.shown, OUTPUT, *counts])


def step_of(status: RunStatus, name: str) -> StepStatus:
    """Return a step of a run. Raises NotFound."""
    found = next((step for step in status.steps if step.spec.name == name), None)
    if found is not None:
        return found
    guess = _guess(status.spec.name, name, [step.spec.name for step in status.steps])
    raise NotFound(
        f"run {status.spec.name} has no step {name!r}",
        hint=f"{guess}`fairway show {status.spec.name}` lists them",
    )


def resolved(status: RunStatus, node: Node) -> Node:
    """Return a node with the outputs of steps in place of references to them. Raises NotFound for one that was never made."""
    if isinstance(node, Artifact):
        return node
    if isinstance(node, Group):
        return Group(
            container=node.container,
            items=tuple(resolved(status, item) for item in node.items),
            keys=tuple(resolved(status, key) for key in node.keys),
        )
    return _referred(status, node)


def _referred(status: RunStatus, ref: RefData) -> Node:
    step = step_of(status, ref.step)
    if ref.item < 0:
        return _output(status, step)
    if ref.item < len(step.outputs):
        return step.outputs[ref.item]
    raise _never_made(status, f"step {ref.step} of run {status.spec.name}")


def _output(status: RunStatus, step: StepStatus) -> Node:
    if not step.outputs:
        raise _never_made(status, f"step {step.spec.name} of run {status.spec.name}")
    return step.outputs[0] if len(step.outputs) == 1 else Group(container="tuple", items=step.outputs)


def _result(status: RunStatus) -> Addressed:
    if status.result is None:
        raise _never_made(status, f"run {status.spec.name}")
    return Addressed(name=status.spec.pipeline, node=resolved(status, status.result))


def _of_pipeline(status: RunStatus, name: str) -> Addressed:
    if not name or name == OUTPUT:
        return _result(status)
    if name in status.spec.parameters:
        return Addressed(name=name, node=status.spec.parameters[name])
    if name in status.shown:
        return Addressed(name=f"{PIPELINE}-{name}", node=status.shown[name], is_shown=True)
    raise _unknown(f"{status.spec.name}/{PIPELINE}", name, [*status.spec.parameters, *status.shown, OUTPUT])


def _never_made(status: RunStatus, what: str) -> NotFound:
    name = status.spec.name
    if not status.phase.ended:
        return NotFound(f"{what} has no result yet", hint=f"`fairway follow {name}` waits for it")
    return NotFound(
        f"{what} has no result, because it did not succeed", hint=f"`fairway why {name}` says why"
    )


def _unknown(where: str, name: str, known: list[str]) -> NotFound:
    listed = ", ".join(known[:12])
    return NotFound(f"{where} has no {name!r}", hint=f"{_guess(where, name, known)}it has {listed}")


def _guess(where: str, name: str, known: list[str]) -> str:
    import difflib  # imported here, because it is needed for an error alone

    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean `{where}/{close[0]}`? " if close else ""

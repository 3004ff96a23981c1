"""The recorded step that a run repeats, with the values that it got. Pure but for the questions to the record."""

from collections.abc import Callable

import msgspec

from fairway.engine import addresses
from fairway.spec.artifact import Artifact, walk
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.run import Repeated, RunSpec, RunStatus


def found(
    run: Callable[[str], RunStatus], word: str, holds: Callable[[Artifact], bool]
) -> tuple[RunSpec, Repeated]:
    """Return the run of a step such as "k7m2/train-2", and the step with its recorded inputs.

    Raises:
        NotFound: there is no such run or step, or a value that it got is not kept any more.
        UsageError: the step never got its inputs.
    """
    name, _, step = word.partition("/")
    status = run(name)
    spec = addresses.step_of(status, step).spec
    try:
        inputs = {key: addresses.resolved(status, node) for key, node in spec.inputs.items()}
    except NotFound as error:
        raise UsageError(
            f"{step} of run {name} never got its inputs: {error.message}",
            hint=f"repeat the step that failed first, as `fairway why {name}` names it",
        ) from None
    for key, node in inputs.items():
        for leaf in walk(node):
            if isinstance(leaf, Artifact) and leaf.inline is None and not holds(leaf):
                raise NotFound(
                    f"the input {key} of {word} is not kept any more",
                    hint="run the pipeline again to make it again",
                )
    return status.spec, Repeated(run=name, step=msgspec.structs.replace(spec, inputs=inputs))

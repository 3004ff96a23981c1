"""The failures that decisions cause: a step that asks for too much, is not reached, or cannot be repeated."""

from fairway.plan.step import StepState
from fairway.spec.nodes import NOTHING, NodeChoice
from fairway.spec.quantities import Resources, format_memory
from fairway.spec.run import Failure, Reason, StepSpec

CANCELLED = Failure(reason=Reason.CANCELLED, message=Reason.CANCELLED.text)
UNKNOWN = Failure(reason=Reason.NONE, message="failed")


def given_up(why: str) -> Failure:
    """Return the failure of a step that the pipeline gave up. An empty reason gives the usual text."""
    return Failure(reason=Reason.GIVEN_UP, message=why or Reason.GIVEN_UP.text)


def upstream(source: StepState) -> Failure:
    """Return the failure of a step that takes the output of `source`. Its cause is the first step that failed."""
    cause = source.failure.cause if source.failure is not None and source.failure.cause else source.name
    return Failure(reason=Reason.UPSTREAM, message=f"not run, because {cause} did not succeed", cause=cause)


def too_much(spec: StepSpec, capacity: Resources) -> Failure:
    """Return the failure of a step that asks for more resources than there are."""
    wanted = spec.resources
    lacking: list[str] = []
    if wanted.cpu > capacity.cpu:
        lacking.append(f"{wanted.cpu:g} CPUs of {capacity.cpu:g}")
    if wanted.memory > capacity.memory:
        lacking.append(f"{format_memory(wanted.memory)} of memory of {format_memory(capacity.memory)}")
    if wanted.gpu > capacity.gpu:
        lacking.append(f"{wanted.gpu} GPUs of {capacity.gpu}")
    if wanted.disk > capacity.disk:
        lacking.append(f"{format_memory(wanted.disk)} of disk of {format_memory(capacity.disk)}")
    if not lacking and wanted.nodes is not None:
        return _elsewhere(spec, wanted.nodes, capacity.nodes or NOTHING)
    return Failure(
        reason=Reason.RESOURCES,
        message=f"{spec.task} asks for more than there is: {', '.join(lacking)}",
        hint=f"lower it: `{spec.task}.options(…)`, or in its `@fw.task(…)`",
    )


def _elsewhere(spec: StepSpec, wanted: NodeChoice, there: NodeChoice) -> Failure:
    """Return the failure of a step that asks for other nodes than there are."""
    lacking: list[str] = []
    if not NodeChoice(gpu=wanted.gpu).met_by(there):
        lacking.append(f'gpu="{wanted.gpu}", and there is {there.gpu or "none"}')
    if not NodeChoice(arch=wanted.arch).met_by(there):
        lacking.append(f'arch="{wanted.arch}", and there is {there.arch or "none"}')
    return Failure(
        reason=Reason.RESOURCES,
        message=f"{spec.task} asks for what is not there: {', '.join(lacking) or wanted}",
        hint=f"run it on a target that has it: `fairway run --target NAME`, or leave it out: `{spec.task}.options(…)`",
    )


def unrepeatable(spec: StepSpec) -> Failure:
    """Return the failure of a repeated pipeline that made another call than the first time."""
    return Failure(
        reason=Reason.USER,
        message=f"the pipeline was repeated and called {spec.name} with other arguments than the first time",
        hint="read clocks, draw random numbers and ask services inside a task",
    )

"""The comparison of a run with its repetition, step by step, and the search for the reason of each difference.

A step whose inputs are equal and whose result is not is repeated once more. If the two repetitions differ, the step is random;
otherwise the reason lies outside it: in the packages, in the machine, or in what it reads.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from fairway.engine import addresses, bringing
from fairway.formats import closeness
from fairway.formats import look as read
from fairway.ports.platform import Platform
from fairway.spec.artifact import Artifact, Group, Node, walk
from fairway.spec.errors import FairwayError
from fairway.spec.model import Lineage, ModelVersion
from fairway.spec.reproduction import Reproduction, Sameness, StepSameness
from fairway.spec.run import RunStatus, StepStatus

_MOST_BYTES = 1 << 28
"""The bytes up to which two values that differ are compared by their numbers."""

_ORDER = (Sameness.BITS, Sameness.TOLERANCE, Sameness.DIFFERENT, Sameness.MISSING)


class Side(msgspec.Struct, frozen=True):
    """A run and the platform that keeps it."""

    platform: Platform
    status: RunStatus


class Circumstances(msgspec.Struct, frozen=True):
    """The differences between the circumstances of two runs, in words.

    Attributes:
        code: source files that are not the same.
        environment: packages that are not the same.
        machine: how the machines differ; empty if they do not.
    """

    code: Sequence[str] = ()
    environment: Sequence[str] = ()
    machine: str = ""


class _Relation(msgspec.Struct, frozen=True):
    """The relation of the results of two steps: the worst one, the largest distance, and where they differ, in words."""

    same: Sameness
    distance: float = 0.0
    where: str = ""


class Comparison:
    """The comparison of two runs.

    Args:
        before: the run that was repeated.
        after: the repetition.
        around: the differences of their circumstances.
        tolerance: the relative difference up to which numbers count as close.
        once_more: repeats one step of the repetition, and returns the run that did it.
    """

    def __init__(
        self,
        before: Side,
        after: Side,
        around: Circumstances,
        tolerance: float,
        once_more: Callable[[str], Awaitable[Side]],
    ) -> None:
        self._before = before
        self._after = after
        self._around = around
        self._tolerance = tolerance
        self._once_more = once_more

    async def result(self, folder: str) -> Reproduction:
        """Compare all steps, and the result of the pipeline. Repeat the steps for which that tells more."""
        there = {step.spec.name: step for step in self._after.status.steps}
        found = [
            await self._step(step, there.pop(step.spec.name, None)) for step in self._before.status.steps
        ]
        found += [
            StepSameness(
                step=name, same=Sameness.MISSING, cause="code", why="run before, it had no such step"
            )
            for name in there
        ]
        result = await self._results()
        around = [*self._around.code, *self._around.environment]
        return Reproduction(
            run=self._before.status.spec.name,
            again=self._after.status.spec.name,
            folder=folder,
            same=max((one.same for one in (*found, result)), key=_ORDER.index),
            steps=(*found, result),
            differences=(*around, *([self._around.machine] if self._around.machine else [])),
        )

    async def _step(self, before: StepStatus, after: StepStatus | None) -> StepSameness:
        name = before.spec.name
        if after is None:
            return StepSameness(
                step=name, same=Sameness.MISSING, cause="failure", why="the repetition never came to it"
            )
        if not before.outputs or not after.outputs:
            return _without_result(name, before, after, (bool(before.outputs), bool(after.outputs)))
        found = await self._compared(before.outputs, after.outputs, self._after.platform)
        if found.same is Sameness.BITS:
            return StepSameness(step=name, same=found.same)
        cause, why = await self._why(before, after)
        return StepSameness(
            step=name, same=found.same, distance=_shown(found.distance), cause=cause, why=why + found.where
        )

    async def _why(self, before: StepStatus, after: StepStatus) -> tuple[str, str]:
        """Return the kind of reason for which the results of a step differ, and the reason."""
        for name, node in before.spec.inputs.items():
            if not self._is_equal_input(node, after.spec.inputs.get(name)):
                return "input", f"its input {name} differs"
        if self._around.code:
            return "code", self._around.code[0]
        again = await self._once_more(after.spec.name)
        step = next(iter(again.status.steps), None)
        if step is not None and step.outputs:
            found = await self._compared(after.outputs, step.outputs, again.platform, self._after.platform)
            if found.same is not Sameness.BITS:
                return "randomness", "two repetitions of it differ as well: give its random numbers a seed"
        if self._around.environment:
            return "environment", ", ".join(self._around.environment[:3])
        if self._around.machine:
            return "machine", self._around.machine
        return "data", "it repeats itself now, so what it reads has changed: a file, a service or the clock"

    def _is_equal_input(self, before: Node, after: Node | None) -> bool:
        if after is None:
            return False
        try:
            one = addresses.resolved(self._before.status, before)
            other = addresses.resolved(self._after.status, after)
        except FairwayError:
            return False
        left, right = _leaves(one), _leaves(other)
        return len(left) == len(right) and all(map(_is_equal, left, right))

    async def _results(self) -> StepSameness:
        """Compare what the two pipelines returned."""
        name, before, after = addresses.PIPELINE, self._before.status, self._after.status
        if before.result is None or after.result is None:
            return _without_result(name, before, after, (before.result is not None, after.result is not None))
        left = _leaves(addresses.resolved(before, before.result))
        right = _leaves(addresses.resolved(after, after.result))
        found = await self._compared(left, right, self._after.platform)
        why = "" if found.same is Sameness.BITS else f"it returned something else{found.where}"
        return StepSameness(step=name, same=found.same, distance=_shown(found.distance), why=why)

    async def _compared(
        self,
        before: Sequence[Artifact],
        after: Sequence[Artifact],
        there: Platform,
        here: Platform | None = None,
    ) -> _Relation:
        """Compare values pair by pair."""
        if len(before) != len(after):
            return _Relation(Sameness.DIFFERENT, closeness.FAR)
        worst, bits, where = 0.0, True, ""
        for one, other in zip(before, after, strict=True):
            if _is_equal(one, other):
                continue
            left, unread = await _value(here or self._before.platform, one)
            right, unread_too = await _value(there, other)
            if isinstance(left, ModelVersion) and left == right:
                continue  # The versions differ in their numbers and times alone.
            bits = False
            worst = max(worst, closeness.distance(left, right) if left is not None else closeness.FAR)
            where = where or _where(left, right, unread or unread_too)
        if bits:
            return _Relation(Sameness.BITS)
        return _Relation(Sameness.TOLERANCE if worst <= self._tolerance else Sameness.DIFFERENT, worst, where)


def _without_result(
    name: str, before: RunStatus | StepStatus, after: RunStatus | StepStatus, have: tuple[bool, bool]
) -> StepSameness:
    """Return the relation of two steps or pipelines, of which not both `have` a result."""
    if not any(have) and before.phase is after.phase:
        why = "failed in both runs" if after.failure is not None else ""
        return StepSameness(step=name, same=Sameness.BITS, why=why)
    failure, when = (before.failure, "before") if have[1] else (after.failure, "this time")
    why = f"failed {when}: {failure.message}" if failure is not None else f"it returned nothing {when}"
    return StepSameness(step=name, same=Sameness.MISSING, cause="failure", why=why)


def _shown(distance: float) -> float:
    """Return a distance for people; 0 where there are no numbers to take one from."""
    return 0.0 if distance == closeness.FAR else distance


def _is_equal(one: Artifact, other: Artifact) -> bool:
    return (one.format, one.digest, one.code) == (other.format, other.digest, other.code)


def _leaves(node: Node) -> list[Artifact]:
    whole = node if isinstance(node, Group) else Group(container="list", items=(node,))
    return [leaf for leaf in walk(whole) if isinstance(leaf, Artifact)]


async def _value(platform: Platform, artifact: Artifact) -> tuple[object, str]:
    """Return a value that can be read without running code, or None and the reason why it is not read.

    A registered version counts by its model, so that its number and its time make no difference.
    """
    try:
        content = await bringing.held(platform, artifact, _MOST_BYTES)
        value = read(artifact.format, content, artifact.kind)
    except FairwayError as error:
        return None, error.message
    return (_bare(value) if isinstance(value, ModelVersion) else value), ""


def _where(left: object, right: object, unread: str) -> str:
    """Return where two values differ, as the end of a sentence; empty if there is no word for it."""
    if unread:
        return f" (compared by its bytes alone: {unread})"
    place = closeness.place(left, right)
    return f" (they differ in {place})" if place else ""


def _bare(version: ModelVersion) -> ModelVersion:
    candidate = version.candidate
    artifacts = [
        msgspec.structs.replace(one, inline=None) if one is not None else None
        for one in (candidate.artifact, candidate.compiled, candidate.samples)
    ]
    return ModelVersion(
        name=version.name,
        version=0,
        candidate=msgspec.structs.replace(
            candidate,
            artifact=artifacts[0],
            compiled=artifacts[1],
            # How close a compiled form came is a matter of rounding, which the threads of a runtime change.
            compile_note="" if candidate.compiled is not None else candidate.compile_note,
            samples=artifacts[2],
        ),
        lineage=Lineage(run="", step=version.lineage.step, parameters=version.lineage.parameters),
    )

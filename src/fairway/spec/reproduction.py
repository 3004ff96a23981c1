"""The comparison of a run with a repetition of it: whether the results are the same, and why not."""

from enum import StrEnum

import msgspec


class Sameness(StrEnum):
    """The relation of two results."""

    BITS = "equal"
    TOLERANCE = "close"
    DIFFERENT = "different"
    MISSING = "missing"
    """The relation of two results of which one was never made."""

    @property
    def holds(self) -> bool:
        """True for results that count as the same."""
        return self in (Sameness.BITS, Sameness.TOLERANCE)


class StepSameness(msgspec.Struct, frozen=True, kw_only=True):
    """The relation of the results of a step in two runs.

    Attributes:
        distance: the largest relative difference of two numbers, for results that are close or different.
        cause: the kind of the reason: "input", "code", "data", "environment", "randomness", "machine" or "failure".
        why: the reason as a text. It is empty for equal results.
    """

    step: str
    same: Sameness
    distance: float = 0.0
    cause: str = ""
    why: str = ""


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of a run with its repetition.

    Attributes:
        run: the run that was repeated.
        again: the run that repeated it.
        folder: the folder with its source and store; empty if it was removed.
        same: the relation in all: the worst one of a step or of the result of the pipeline.
        steps: each step, in the order of the calls.
        differences: how code, environment and machine differ, in words.
    """

    run: str
    again: str
    folder: str
    same: Sameness
    steps: tuple[StepSameness, ...] = ()
    differences: tuple[str, ...] = ()

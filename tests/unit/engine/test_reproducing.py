"""The comparison of a run with its repetition where one of the two has no result."""

import asyncio
from typing import Any

import pytest

from fairway.engine.reproducing import Circumstances, Comparison, Side
from fairway.spec.artifact import Artifact, Node
from fairway.spec.reproduction import Sameness, StepSameness
from fairway.spec.run import Failure, Phase, Reason, RunSpec, RunStatus

NUMBER = Artifact(format="json", digest="a" * 64, size=1, kind="int", inline=b"7")
BROKEN = Failure(reason=Reason.USER, message="no such table")


def run(result: Node | None, failure: Failure | None = None) -> RunStatus:
    return RunStatus(
        spec=RunSpec(name="k7m2", pipeline="p", project="flow.py"),
        phase=Phase.SUCCEEDED if failure is None else Phase.FAILED,
        started=0.0,
        result=result,
        failure=failure,
    )


def compared(before: RunStatus, after: RunStatus) -> StepSameness:
    """Return the relation of what two pipelines returned."""
    nowhere: Any = None
    sides = (Side(nowhere, before), Side(nowhere, after))
    found = asyncio.run(Comparison(*sides, Circumstances(), 1e-6, nowhere).result("."))
    return found.steps[-1]


def test_pipelines_that_return_nothing_are_the_same_and_did_not_fail() -> None:
    assert compared(run(None), run(None)) == StepSameness(step="pipeline", same=Sameness.BITS)


def test_pipelines_that_fail_both_times_are_the_same() -> None:
    found = compared(run(None, BROKEN), run(None, BROKEN))
    assert (found.same, found.why) == (Sameness.BITS, "failed in both runs")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (run(NUMBER), run(None, BROKEN), "failed this time: no such table"),
        (run(None, BROKEN), run(NUMBER), "failed before: no such table"),
        (run(NUMBER), run(None), "it returned nothing this time"),
        (run(None), run(NUMBER), "it returned nothing before"),
    ],
    ids=["fails now", "failed before", "returns nothing now", "returned nothing before"],
)
def test_a_pipeline_with_a_result_only_once_says_which_time(
    before: RunStatus, after: RunStatus, why: str
) -> None:
    found = compared(before, after)
    assert (found.same, found.cause, found.why) == (Sameness.MISSING, "failure", why)

"""The comparison of a run with its repetition where one of the two has no result."""

import asyncio
import hashlib
from typing import Any

import msgspec
import pytest

from fairway.engine.reproducing import Circumstances, Comparison, Side
from fairway.formats import encode
from fairway.spec.artifact import Artifact, Node
from fairway.spec.model import Candidate, Lineage, ModelVersion
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


def stored(value: object) -> Artifact:
    """Return a value as it stands in the record."""
    made = encode(value)
    assert made.data is not None
    digest = hashlib.sha256(made.data).hexdigest()
    return Artifact(format=made.format, kind=made.kind, digest=digest, size=len(made.data), inline=made.data)


def version(**parts: object) -> ModelVersion:
    candidate = Candidate(name="churn", artifact=NUMBER, compiled=NUMBER, samples=NUMBER)
    candidate = msgspec.structs.replace(candidate, **parts)
    return ModelVersion(
        name="churn", version=1, candidate=candidate, lineage=Lineage(run="k7m2", step="register")
    )


def test_versions_that_differ_say_in_what() -> None:
    other = msgspec.structs.replace(NUMBER, digest="b" * 64)
    found = compared(run(stored(version())), run(stored(version(samples=other))))
    assert (found.same, found.why) == (
        Sameness.DIFFERENT,
        "it returned something else (they differ in candidate.samples.digest)",
    )


def test_how_close_a_compiled_form_came_makes_no_difference() -> None:
    noted = run(stored(version(compile_note="exact")))
    assert (
        compared(noted, run(stored(version(compile_note="max difference below 1e-12")))).same is Sameness.BITS
    )
    kept = [run(stored(version(compiled=None, compile_note=note))) for note in ("it is large", "it is odd")]
    assert "candidate.compile_note" in compared(*kept).why


def test_a_value_that_cannot_be_read_says_so() -> None:
    lost = [run(msgspec.structs.replace(NUMBER, inline=b"{", digest=letter * 64)) for letter in "ab"]
    found = compared(*lost)
    assert found.same is Sameness.DIFFERENT
    assert "(compared by its bytes alone: " in found.why

"""Whose code a stored model may run."""

import msgspec
import pytest

from fairway import formats
from fairway.plan.provenance import made_here
from fairway.spec.artifact import Artifact
from fairway.spec.event import Event, StepEnded
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.spec.run import Phase

MODEL, CODE, OTHER = "a" * 64, "b" * 64, "c" * 64


def version(code: str = CODE, step: str = "register", **lineage: object) -> ModelVersion:
    artifact = Artifact(format="pickle", digest=MODEL, size=1, code=code)
    made_by = msgspec.structs.replace(Lineage(run="r", step=step), **lineage)
    return ModelVersion(
        name="m", version=1, candidate=Candidate(name="m", artifact=artifact), lineage=made_by
    )


def ended(step: str, *outputs: Artifact) -> Event:
    return Event(body=StepEnded(phase=Phase.SUCCEEDED, outputs=outputs), run="r", step=step)


def registered(left: ModelVersion) -> Event:
    data = formats.encode(left).data or b""
    return ended("register", Artifact(format="json", digest="d" * 64, size=len(data), inline=data))


def test_content_and_source_files_of_one_registration_are_trusted_together() -> None:
    assert made_here(version(), [registered(version())])


@pytest.mark.parametrize(
    "log",
    [
        [registered(version(code=OTHER))],
        [registered(version(code=""))],
        [ended("train", Artifact(format="pickle", digest=MODEL, size=1))],
        [registered(version(code="", data={"code": CODE}, parameters={"code": CODE}))],
        [registered(version(code="")), ended("fetch", Artifact(format="folder", digest=CODE, size=1, files=True))],
        [registered(version(code="")), ended("train", Artifact(format="pickle", digest=MODEL, size=1, code=CODE))],
    ],
)  # fmt: skip
def test_source_files_that_the_registering_step_did_not_leave_with_the_content_are_not_trusted(
    log: list[Event],
) -> None:
    assert not made_here(version(), log)
    assert made_here(version(code=""), log)


def test_a_registration_by_another_step_or_run_does_not_count() -> None:
    assert not made_here(version(step="other"), [registered(version())])
    assert not made_here(version(run="s"), [registered(version())])
    assert not made_here(version(run=""), [registered(version())])

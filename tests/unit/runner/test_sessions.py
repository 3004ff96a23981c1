"""The session inside a step: which models it hands out, and what it refuses."""

from pathlib import Path
from typing import Any, cast

import pytest

from fairway.formats import CODE_FORMATS
from fairway.runner.channel import Channel
from fairway.runner.sessions import StepSession
from fairway.runner.values import Values
from fairway.spec.artifact import Artifact
from fairway.spec.errors import NotAllowed, NotFound
from fairway.spec.model import Candidate, Lineage, ModelVersion
from fairway.spec.run import Failure, Reason
from fairway.spec.wire import Answer
from fairway.stores import FileArtifacts


class Engine:
    """Stands for the line to the engine: gives one answer to every question."""

    def __init__(self, answer: Answer) -> None:
        self.ask_model = lambda reference: answer


def session(tmp_path: Path, **answer: Any) -> StepSession:
    line = cast("Channel", Engine(Answer(step="train", question=1, **answer)))
    return StepSession(line, Values(FileArtifacts(tmp_path / "store")))


def version(format: str) -> ModelVersion:
    artifact = Artifact(format=format, digest="0" * 64, size=1)
    return ModelVersion(
        name="churn",
        version=1,
        candidate=Candidate(name="churn", artifact=artifact),
        lineage=Lineage(run="", step=""),
    )


@pytest.mark.parametrize("format", sorted(CODE_FORMATS))
def test_a_model_that_may_run_code_is_refused_unless_its_origin_is_trusted(
    tmp_path: Path, format: str
) -> None:
    with pytest.raises(NotAllowed, match=f"format {format} can run code"):
        session(tmp_path, model=version(format)).model("churn")
    assert session(tmp_path, model=version(format), trusted=True).model("churn")[0].name == "churn"


@pytest.mark.parametrize("format", ["onnx", "npy", "safetensors", "ubj", "lightgbm-text"])
def test_a_model_that_is_data_is_handed_out_wherever_it_comes_from(tmp_path: Path, format: str) -> None:
    assert session(tmp_path, model=version(format)).model("churn")[0].version == 1


def test_why_there_is_no_such_model_is_what_the_engine_says(tmp_path: Path) -> None:
    failure = Failure(reason=Reason.USER, message="there is no model 'churn'", hint="`fairway models`")
    with pytest.raises(NotFound, match="there is no model 'churn'"):
        session(tmp_path, failure=failure).model("churn")

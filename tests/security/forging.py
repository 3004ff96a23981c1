"""Stores as a stranger ships them: with content that leaves a mark where anything runs it."""

import hashlib
import pickle
import sys
import time
from pathlib import Path

from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import RevisionSpec
from fairway.spec.event import (
    AttemptEnded,
    AttemptStarted,
    Body,
    EndpointPointed,
    Event,
    ModelRegistered,
    RevisionCreated,
    RunEnded,
    RunStarted,
    StepCalled,
    StepEnded,
)
from fairway.spec.model import Candidate, Lineage, ModelVersion, Signature, TensorSpec
from fairway.spec.run import Phase, RunSpec, StepResult, StepSpec
from fairway.stores import Layout
from fairway.stores.metadata import SqliteMetadata


class Marking:
    """Leaves a file of its name in a folder when it is unpickled."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = str(folder / name)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return exec, (f"open({self.path!r}, 'w').close()",)


def pickled(folder: Path, name: str, kind: str) -> Artifact:
    """An artifact that marks where it is loaded."""
    data = pickle.dumps(Marking(folder, name))
    return Artifact(
        format="pickle", digest=hashlib.sha256(data).hexdigest(), size=len(data), kind=kind, inline=data
    )


def forge(root: Path, marks: Path, project: str) -> None:
    """Fill a store with two runs, a model, a wanted endpoint and an interrupted run of another file."""
    Layout(root).prepare()
    now = time.time()
    signature = Signature(
        layout="tensor",
        inputs=(TensorSpec(name="input", datatype="FP64", shape=(-1, 1)),),
        outputs=(TensorSpec(name="prediction", datatype="FP64"),),
    )
    model = pickled(marks, "model", "x.Own")
    candidate = Candidate(name="churn", artifact=model, signature=signature)
    version = ModelVersion(
        name="churn",
        version=1,
        candidate=candidate,
        lineage=Lineage(run="aaaa", step="register"),
        created=now,
    )
    with SqliteMetadata(Layout(root)) as metadata:
        for run in ("aaaa", "bbbb"):
            metadata.append(
                [Event(body=body, run=run, step=step, time=now) for body, step in _run(run, marks, project)]
            )
        metadata.append(
            [
                Event(
                    body=StepEnded(Phase.SUCCEEDED, outputs=(model,)), run="aaaa", step="register", time=now
                ),
                Event(body=ModelRegistered(version), time=now),
                Event(
                    body=RevisionCreated(
                        RevisionSpec(endpoint="churn", number=1, model=version, trusted=True)
                    ),
                    time=now,
                ),
                Event(body=EndpointPointed("churn", 1, "deployed", "http://127.0.0.1:7795"), time=now),
                Event(
                    body=RunStarted(RunSpec(name="cccc", pipeline="evil", project=project)),
                    run="cccc",
                    time=now,
                ),
            ]
        )


def _run(run: str, marks: Path, project: str) -> list[tuple[Body, str]]:
    evaluation = pickled(marks, "evaluation", "fairway.Evaluation")
    picture = pickled(marks, "picture", "Figure")
    result = StepResult(run=run, step="evaluate", attempt=1, outputs=(evaluation,), shown={"pic": picture})
    return [
        (RunStarted(RunSpec(name=run, pipeline="hello", project=project)), ""),
        (StepCalled(StepSpec(name="evaluate", task="evaluate", inputs={})), "evaluate"),
        (AttemptStarted(1), "evaluate"),
        (AttemptEnded(1, result), "evaluate"),
        (StepEnded(Phase.SUCCEEDED, outputs=(evaluation,), key=f"key-{run}"), "evaluate"),
        (RunEnded(Phase.SUCCEEDED), ""),
    ]


if __name__ == "__main__":
    forge(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

"""Inputs that may be anybody's are read without running code, whatever they are wrapped in."""

import base64
import hashlib
import json
import pickle
import sys
from pathlib import Path

import pytest

from fairway.runner.values import Values
from fairway.spec.artifact import Artifact, Group
from fairway.spec.errors import SerializationError
from fairway.stores import FileArtifacts


class Planted:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("import sys; sys.planted_ran = True",)


def inline(format: str, data: bytes, kind: str = "") -> Artifact:
    return Artifact(
        format=format, digest=hashlib.sha256(data).hexdigest(), size=len(data), kind=kind, inline=data
    )


BUNDLE = json.dumps(
    [{"$leaf": "pickle", "kind": "x", "data": base64.b64encode(pickle.dumps(Planted())).decode()}]
).encode()


@pytest.mark.parametrize(
    "artifact",
    [inline("pickle", pickle.dumps(Planted())), inline("bundle", BUNDLE)],
    ids=["pickle", "bundle"],
)
def test_planted_code_does_not_run(tmp_path: Path, artifact: Artifact) -> None:
    values = Values(FileArtifacts(tmp_path), trusted=False)
    with pytest.raises(SerializationError, match="its origin is not trusted"):
        values.from_node(Group(container="list", items=(artifact,)))
    assert not hasattr(sys, "planted_ran")


def test_plain_values_are_read(tmp_path: Path) -> None:
    values = Values(FileArtifacts(tmp_path), trusted=False)
    assert values.from_node(inline("json", b"[1,2]")) == [1, 2]

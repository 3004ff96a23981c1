"""Puts the project folder of the end-to-end tests and the helpers beside these tests on the path."""

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "e2e")]

from projects import Project  # noqa: E402


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh folder."""
    return Project(tmp_path)


def _open_place() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(dir="/tmp", prefix="fw-open-"))
    place.chmod(0o1777)
    yield place
    shutil.rmtree(place)


open_place = pytest.fixture(_open_place)
"""A folder that everybody may write to, as /tmp is."""

open_place_of_file = pytest.fixture(scope="module")(_open_place)
"""The same for all tests of a file."""


class Live:
    """A platform with a served model and a private endpoint, as a person starts them."""

    def __init__(self, project: Project) -> None:
        self.project = project
        project.write(SERVED)
        project.fairway("run", "project.py:make")
        self.model = self._deploy("deploy", "sums")
        self.private = self._deploy("deploy", "project.py", "--private")
        self.key = re.findall(r"[\w-]{43}", self.said)[0]
        root = project.folder / ".fairway"
        self.port = json.loads((root / "platform" / "platform.json").read_text())["port"]
        self.token = (root / "platform" / "token").read_text().strip()

    def _deploy(self, *words: str) -> int:
        done = self.project.fairway(*words)
        self.said = done.stdout + done.stderr
        return int(re.findall(r"http://127\.0\.0\.1:(\d+)/", done.stdout)[0])

    def pids(self) -> dict[str, int]:
        """The platform and its workers."""
        root = self.project.folder / ".fairway"
        found = {"platform": json.loads((root / "platform" / "platform.json").read_text())["pid"]}
        for path in root.glob("endpoints/*/r*/w*.pid"):
            found[path.parts[-3] + path.stem] = int(path.read_text().split()[0])
        return found


SERVED = """
import numpy as np
from onnx import TensorProto, helper

@fw.task
def build() -> object:
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", 3])
    made = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows", 3])
    graph = helper.make_graph([helper.make_node("Abs", ["input"], ["prediction"])], "g", [given], [made])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

@fw.pipeline
def make():
    return fw.register("sums", build(), sample=np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3))

@fw.endpoint
def closed(text: str) -> str:
    return text
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Started once for the tests of a file."""
    project = Project(tmp_path_factory.mktemp("live"))
    try:
        yield Live(project)
    finally:
        project.fairway("down", expect=None)

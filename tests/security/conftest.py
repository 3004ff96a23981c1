"""Puts the project folder of the end-to-end tests and the helpers beside these tests on the path."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "e2e")]

from projects import Project  # noqa: E402


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh folder."""
    return Project(tmp_path)


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
from sklearn.linear_model import LogisticRegression

@fw.task
def train() -> LogisticRegression:
    data = np.random.default_rng(0).normal(size=(80, 3))
    return LogisticRegression().fit(data, (data[:, 0] > 0).astype(int))

@fw.pipeline
def make():
    return fw.register("sums", train(), sample=np.random.default_rng(1).normal(size=(8, 3)))

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

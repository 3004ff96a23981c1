"""Models that hold code of their project are registered, deployed and asked where the project is not."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

KINDS = """
import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from pack.features import Ratio, line

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([[2.0], [1.0]]))
    def forward(self, x):
        return x @ self.weight

class Judge:
    def __init__(self, net):
        self.net = net
    def predict(self, X):
        with torch.no_grad():
            return self.net(torch.tensor(np.asarray(X))).numpy()[:, 0]

def double(X):
    return np.asarray(X) * 2.0

DATA = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [4.0, 1, 2, 2]})

@fw.task
def train(kind: str) -> tuple[object, object]:
    if kind == "net":
        return Judge(Net()), DATA.to_numpy("float32")
    if kind == "named":
        return make_pipeline(FunctionTransformer(double), LinearRegression()).fit(DATA, DATA.a * 3), DATA
    return make_pipeline(Ratio(), LinearRegression()).fit(DATA, line(DATA)), DATA

@fw.pipeline
def kinds():
    for kind in ("net", "named", "packed"):
        model, sample = train(kind)
        fw.register(kind, model, sample=sample)
"""
FEATURES = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from .ratios import ratio

class Ratio(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self
    def transform(self, X):
        X = np.asarray(X)
        return np.c_[X, ratio(X)]

def line(frame):
    return frame.a + ratio(frame.to_numpy())
"""
CHANGING = """
from mean import Mean

@fw.task
def train() -> Mean:
    return Mean()

@fw.task
def ask(number: int) -> float:
    return float(fw.value(fw.model(f"mean:{number}")).predict([[1.0]])[0])

@fw.task
def judge(model: object) -> float:
    return float(model.predict([[1.0]])[0])

@fw.pipeline
def register():
    return fw.register("mean", train(), sample=[[1.0], [2.0]])

@fw.pipeline
def asks() -> list[float]:
    return [fw.value(ask(1)), fw.value(ask(2)), fw.value(judge(fw.model("mean:1"))), fw.value(judge(fw.model("mean:2")))]

@fw.endpoint
def both(x: float) -> list[float]:
    return [float(fw.value(fw.model(f"mean:{number}")).predict([[x]])[0]) for number in (1, 2)]
"""
MEAN = """
import numpy as np
class Mean:
    def predict(self, X):
        from factor import FACTOR
        return np.asarray(X)[:, 0] * FACTOR + {plus}
"""


class Elsewhere:
    """The command line in a folder without a project, on the store of one."""

    def __init__(self, folder: Path, store: Path) -> None:
        folder.mkdir()
        self._folder = folder
        kept = dict(os.environ)
        self._environment = {**kept, "FAIRWAY_HOME": str(store), "HOME": str(folder)}

    def fairway(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "fairway", *words],
            cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def deploy(self, *words: str) -> Callable[[Any], Any]:
        """Deploy; returns what asks the endpoint."""
        said = self.fairway("deploy", *words, "--replicas", "1")
        port = re.findall(r"http://127\.0\.0\.1:(\d+)/v2", said)[0]

        def ask(body: Any) -> Any:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/", json.dumps(body).encode(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=240) as answer:
                return json.loads(answer.read())

        return ask


@pytest.fixture
def elsewhere(project: Project) -> Iterator[Elsewhere]:
    """A folder without the project; the platform that it started is stopped at the end."""
    made = Elsewhere(project.folder / "elsewhere", project.folder / "store")
    project.environment["FAIRWAY_HOME"] = str(project.folder / "store")
    yield made
    made.fairway("down")


def hide(project: Project, *names: str) -> None:
    (project.folder / "gone").mkdir()
    for name in names:
        (project.folder / name).rename(project.folder / "gone" / name)


def test_models_that_hold_code_of_the_project_answer_where_the_project_is_not(
    project: Project, elsewhere: Elsewhere
) -> None:
    pytest.importorskip("torch")
    (project.folder / "pack").mkdir()
    project.write(KINDS)
    (project.folder / "pack" / "__init__.py").write_text("")
    (project.folder / "pack" / "features.py").write_text(FEATURES)
    (project.folder / "pack" / "ratios.py").write_text("def ratio(X):\n    return X[:, 0] / (X[:, 1] + 1)\n")
    project.fairway("run", "project.py")
    hide(project, "project.py", "pack")
    shown = elsewhere.fairway("models", "show", "packed:1")
    assert re.search(r"with it +pack/features\.py  \d+ B, sha256 [0-9a-f]{16}", shown)
    assert "project.py" not in shown
    assert "class Net(torch.nn.Module):" in elsewhere.fairway("models", "show", "net:1", "--source")
    assert elsewhere.deploy("net")([[1.0, 2.0]]) == [pytest.approx(4.0)]
    assert elsewhere.deploy("named")({"a": 5, "b": 1}) == pytest.approx(15.0)
    assert elsewhere.deploy("packed")({"a": 6, "b": 2}) == pytest.approx(8.0)


def test_each_version_answers_with_the_code_that_it_was_registered_with(
    project: Project, elsewhere: Elsewhere
) -> None:
    project.write(CHANGING)
    for factor, plus in ((2, 10), (3, 100)):
        (project.folder / "factor.py").write_text(f"FACTOR = {factor}")
        (project.folder / "mean.py").write_text(MEAN.format(plus=plus))
        project.fairway("run", "project.py:register")
    one, two = (elsewhere.fairway("models", "show", f"mean:{number}", "--json") for number in (1, 2))
    artifacts = [json.loads(shown)["candidate"]["artifact"] for shown in (one, two)]
    assert artifacts[0]["digest"] == artifacts[1]["digest"]
    assert artifacts[0]["code"] != artifacts[1]["code"]
    (project.folder / "mean.py").write_text(MEAN.format(plus=1000))
    done = project.fairway("run", "project.py:asks", "--json")
    assert "[12.0,103.0,12.0,103.0]" in re.sub(r"\s", "", done.stdout)
    project.fairway("deploy", "project.py", "--replicas", "1")
    url = json.loads(project.fairway("endpoints", "--json").stdout)[0]["url"]
    asked = urllib.request.Request(url.partition("/v2")[0], b"5", {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=240) as answer:
        assert json.loads(answer.read()) == [20.0, 115.0]
    hide(project, "project.py", "mean.py", "factor.py")
    assert elsewhere.deploy("mean:1")([[5.0]]) == [20.0]
    assert elsewhere.deploy("mean:2")([[5.0]]) == [115.0]


def test_a_model_that_no_process_without_the_project_can_serve_is_not_registered(project: Project) -> None:
    project.write(
        "from pathlib import Path\n"
        "class Lookup:\n"
        "    def predict(self, X):\n"
        "        return [len(Path(__file__).with_name('table.txt').read_text())] * len(X)\n"
        "@fw.task\n"
        "def train() -> Lookup:\n"
        "    return Lookup()\n"
        "@fw.pipeline\n"
        "def looks(served: bool = True):\n"
        "    return fw.register('lookup', train(), sample=[[1.0]] if served else None, alias='champion')\n"
    )
    (project.folder / "table.txt").write_text("abc")
    done = project.fairway("run", "project.py", expect=1)
    assert "the model holds project.Lookup, and a process without this project cannot use it" in done.stderr
    assert "No such file or directory" in done.stderr
    assert "hint: define it in a module" in done.stderr
    assert json.loads(project.fairway("models", "--json").stdout) == []
    project.fairway("run", "project.py", "--no-served")
    assert "lookup" in project.fairway("models").stdout

"""How a worker of an endpoint starts: what a class or a file does then, what of it fails, and models by name."""

import json
import subprocess
import sys
from typing import Any

import pytest
from projects import Project

COUNTER = """
@fw.endpoint
class Greeter:
    def __init__(self):
        self.n = 0

    def __call__(self, name: str) -> str:
        self.n += 1
        return f"{name} {self.n}"
"""

MODEL = """
class Line:
    def __init__(self, slope: float) -> None:
        self.slope = slope
    def predict(self, rows: list[float]) -> list[float]:
        return [self.slope * row for row in rows]

@fw.task
def train(slope: float) -> Line:
    return Line(slope)

@fw.pipeline
def line(slope: float = 2.0) -> fw.ModelVersion:
    return fw.register("line", train(slope))

model = fw.model("line")

@fw.endpoint
def ask(x: float) -> float:
    return model.slope * x
"""


@pytest.fixture
def deployed(project: Project) -> Any:
    yield project
    project.fairway("down", expect=None)


def ask(project: Project, name: str, value: object) -> tuple[int, Any]:
    listed = json.loads(project.fairway("endpoints", "--json").stdout)
    url = next(status["url"] for status in listed if status["name"] == name)
    done = subprocess.run(
        ["curl", "-s", "-w", "\n%{http_code}", url, "-H", "Content-Type: application/json", "-d", json.dumps(value)],
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def python(project: Project, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=project.folder, env=project.environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_a_class_that_cannot_be_made_is_told_with_its_traceback_and_the_old_one_serves_on(
    deployed: Project,
) -> None:
    deployed.write(COUNTER)
    deployed.fairway("deploy", "project.py")
    assert ask(deployed, "Greeter", "Ada") == (200, "Ada 1")
    deployed.write(COUNTER.replace("self.n = 0", "self.n = " + "int('no weights')"))
    failed = deployed.fairway("deploy", "project.py", expect=1).stderr
    assert "revision 2 of Greeter did not become ready: ValueError: invalid literal" in failed
    assert "in __init__\n    self.n = int('no weights')" in failed
    assert "server/functions.py" not in failed
    assert ask(deployed, "Greeter", "Ada") == (200, "Ada 2")
    plain = python(deployed, "from project import Greeter; print(Greeter)")
    assert "project.Greeter" in plain.stdout, "importing makes no instance"
    deployed.write(COUNTER.replace("self.n = 0", "self.n = " + "5"))
    used = python(
        deployed, "from project import Greeter\ng = Greeter()\nassert isinstance(g, Greeter)\nprint(g('Bo'))"
    )
    assert used.stdout == "Bo 6\n", used.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@fw.endpoint\nclass A:\n    def __init__(self, n): ...\n    def __call__(self): ...", "without arguments"),
        ("@fw.endpoint\nclass A:\n    pass", "has no `__call__`"),
        ("class Odd: ...\n@fw.endpoint\ndef a(x: Odd) -> int:\n    return 1", "project.Odd has no form in JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_endpoint_is_refused_when_it_is_deployed(
    deployed: Project, text: str, said: str
) -> None:
    deployed.write(text)
    assert said in deployed.fairway("deploy", "project.py", expect=None).stderr


def test_a_model_named_at_the_top_of_a_file_is_there_in_an_endpoint_and_in_a_test(deployed: Project) -> None:
    deployed.write(MODEL)
    missing = python(deployed, "from project import ask; ask(1.0)")
    assert "no model is registered here" in missing.stderr
    deployed.fairway("run", "project.py")
    used = python(deployed, "from project import ask; print(ask(4.0))")
    assert used.stdout == "8.0\n", used.stderr
    assert "there is no model" in python(deployed, "import fairway as fw; fw.value(fw.model('x'))").stderr
    deployed.write(MODEL + "\nslope = model.slope\n")
    deployed.fairway("deploy", "project.py")
    assert ask(deployed, "ask", 4.0) == (200, 8.0)

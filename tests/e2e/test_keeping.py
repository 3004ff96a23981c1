"""Lists of runs with their metrics, comparisons, words on runs, models as files, and the removal of what is not needed."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from projects import Project

TEXT = """
@fw.task
def train(rate: float) -> object:
    from sklearn.linear_model import LinearRegression
    for step in range(4):
        fw.log(step=step, loss=rate / (step + 1))
    return LinearRegression().fit([[0.0], [1.0]], [0.0, rate])

@fw.pipeline
def main(rate: float = 0.5, register: bool = False):
    model = train(rate)
    if register:
        report = fw.evaluate([0, 1, 1, 0], [0, 1, 0, 0])
        fw.register("toy", model, evaluation=report, sample=[[0.0], [1.0]], alias="champion")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs that differ in a parameter, and the second of which registered a model."""
    project = Project(tmp_path_factory.mktemp("made"))
    project.write(TEXT)
    project.fairway("run", "project.py")
    project.fairway("run", "project.py", "--rate", "0.25", "--register")
    return project.folder


@pytest.fixture
def two(made: Path, tmp_path: Path) -> Project:
    """A project of one test with the two runs."""
    shutil.copytree(made, tmp_path / "two")
    return Project(tmp_path / "two")


def test_runs_are_listed_with_metrics_and_chosen_columns(two: Project) -> None:
    head, first, second = two.fairway("runs", "--columns", "accuracy,rate,loss").stdout.splitlines()
    assert head.split()[-3:] == ["accuracy", "rate", "loss"]
    assert first.split()[-3:] == ["0.75", "0.25", "0.0625"]
    assert second.split()[-2:] == ["0.5", "0.125"]
    assert "loss" in two.fairway("runs").stdout.splitlines()[0]
    assert len(two.fairway("runs", "--where", "rate < 0.3 and accuracy > 0.5").stdout.splitlines()) == 2
    assert "no run is like that" in two.fairway("runs", "--where", "rate > 3").stderr
    assert "did you mean `rate`?" in two.fairway("runs", "--where", "rat > 3", expect=2).stderr
    assert "no run here has" in two.fairway("runs", "--columns", "x", expect=2).stderr


def test_show_has_the_curve_of_a_metric(two: Project) -> None:
    shown = two.fairway("show").stdout
    assert "  metric    train/loss 0.0625  (last of 4)  0.25 0.125 0.08333 0.0625\n" in shown


def test_compare_takes_the_last_two_and_puts_what_came_out_first(two: Project) -> None:
    lines = two.fairway("compare").stdout.splitlines()
    runs = [run["name"] for run in json.loads(two.fairway("runs", "--json").stdout)]
    assert lines[0].split() == runs[::-1]
    assert lines[1].split() == ["metric", "train/loss", "0.125", "0.0625"]
    assert any(line.split() == ["parameter", "rate", "0.5", "0.25"] for line in lines)
    assert "train/loss" in lines
    three = two.fairway("compare", runs[0], runs[1], runs[0]).stdout.splitlines()
    assert three[1].split()[2:] == ["0.0625", "0.125", "0.0625"]
    two.write(TEXT.replace("range(4)", "range(5)"))
    two.fairway("run", "project.py")
    assert "project.py changed: 1 lines came, 1 went" in two.fairway("compare").stdout


def test_tags_and_notes_find_a_run_again(two: Project) -> None:
    name = two.newest()
    two.fairway("tag", name, "best", "kept")
    two.fairway("tag", name, "kept", "--remove")
    two.fairway("note", name, "before the new features")
    listed = two.fairway("runs", "--tag", "best").stdout
    assert name in listed
    assert "before the new features" in listed
    assert "  tags      best\n  note      before the new features\n" in two.fairway("show", name).stdout
    assert "is no tag" in two.fairway("tag", name, "two words", expect=2).stderr


def test_rm_tells_first_refuses_what_is_needed_and_removes_with_yes(two: Project) -> None:
    newest, oldest = (run["name"] for run in json.loads(two.fairway("runs", "--json").stdout))
    assert "nothing is removed yet" in two.fairway("rm", oldest).stderr
    assert "toy@champion is toy:1" in two.fairway("rm", "toy:1", expect=2).stderr
    assert f"run {newest} made toy:1, which is still there" in two.fairway("rm", newest, expect=2).stderr
    two.fairway("rm", oldest, "--yes")
    assert [run["name"] for run in json.loads(two.fairway("runs", "--json").stdout)] == [newest]
    assert not (two.folder / ".fairway" / "runs" / oldest).exists()
    assert "there is no run" in two.fairway("show", oldest, expect=4).stderr
    two.fairway("models", "alias", "toy", "champion", "0")
    two.fairway("rm", "toy:1", newest, "--yes")
    assert json.loads(two.fairway("models", "--json").stdout) == []
    two.fairway("run", "project.py", "--register")
    assert json.loads(two.fairway("models", "--json").stdout)[0]["newest"]["version"] == 2
    assert two.fairway("doctor").returncode == 0


def test_a_version_that_an_endpoint_serves_is_not_removed(two: Project) -> None:
    two.fairway("models", "alias", "toy", "champion", "0")
    two.fairway("deploy", "toy")
    try:
        assert "endpoint toy serves toy:1" in two.fairway("rm", "toy:1", "--yes", expect=2).stderr
    finally:
        two.fairway("down")


def test_a_model_is_downloaded_as_plain_onnx(two: Project) -> None:
    two.fairway("models", "download", "toy@champion", "-o", "models")
    model = onnx.load(two.folder / "models" / "toy-1.onnx")
    assert model.graph.node
    native = json.loads(two.fairway("models", "download", "toy", "--native", "--json").stdout)
    assert Path(native["file"]).name == "toy-1.skops"

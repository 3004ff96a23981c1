"""The past from Python: lists of runs, frames, values, errors, and models loaded anywhere."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from projects import Project

TEXT = """
import pandas as pd

@fw.task(cache=True)
def train(depth: int, kind: str) -> pd.DataFrame:
    for epoch in range(3):
        fw.log(step=epoch, loss=depth / (epoch + 1))
    print("depth", depth)
    return pd.DataFrame({"depth": [depth] * 3})

@fw.task
def judge(data: pd.DataFrame) -> fw.Evaluation:
    hits = int(data.depth.iloc[0])
    return fw.evaluate([1] * 10, [1] * hits + [0] * (10 - hits))

@fw.pipeline
def grid(depth: int = 2, kind: str = "deep") -> pd.DataFrame:
    data = train(depth, kind)
    report = judge(data)
    fw.log(score=report.accuracy * 2)
    return data

@fw.task
def fail(depth: int) -> int:
    raise ValueError(f"depth {depth} is too much")

@fw.pipeline
def broken(depth: int = 9) -> int:
    return fail(depth) + 1
"""


@pytest.fixture
def grid(project: Project) -> Project:
    """A project with four runs of `grid` and one that failed."""
    project.write(TEXT)
    for depth in (2, 9, 8):
        project.fairway("run", "project.py:grid", "--depth", str(depth), "--quiet")
    project.fairway("run", "project.py:grid", "--depth", "9", "--kind", "wide", "--quiet")
    project.fairway("run", "project.py:broken", "--quiet", expect=1)
    return project


def said(project: Project, text: str, folder: Path | None = None) -> str:
    """What a script prints in a process of its own."""
    (folder or project.folder).joinpath("script.py").write_text(
        "import fairway as fw\n" + textwrap.dedent(text)
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder or project.folder, env=project.environment, text=True,
        capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_runs_are_found_by_metrics_parameters_and_time_and_become_one_frame(grid: Project) -> None:
    printed = said(
        grid,
        """
        found = fw.runs(pipeline="grid", where="accuracy > 0.85 and kind == 'deep'", since="1h")
        print(len(found), found[0].parameters, found[0].metrics["accuracy"], found[0].ok)
        print(len(fw.runs()), len(fw.runs(limit=2)), len(fw.runs(since="2999-01-01")), len(fw.runs(phase="failed")))
        frame = fw.runs(pipeline="grid").frame()
        print(list(frame.columns))
        print(frame.depth.tolist(), frame.accuracy.tolist(), frame.score.tolist(), frame.loss.tolist())
        print(frame.started.dt.tz, (frame.took > 0).all())
        print(fw.runs(pipeline="grid").frame("polars")["kind"].to_list())
        """,
    ).splitlines()
    assert printed[0] == "1 {'depth': 9, 'kind': 'deep'} 0.9 True"
    assert printed[1] == "5 2 0 1"
    assert printed[2].startswith(
        "['run', 'pipeline', 'phase', 'started', 'ended', 'took', 'version', 'tags', 'depth', 'kind'"
    )
    assert (
        printed[3]
        == "[9, 8, 9, 2] [0.9, 0.8, 0.9, 0.2] [1.8, 1.6, 1.8, 0.4] [3.0, 2.6666666666666665, 3.0, 0.6666666666666666]"
    )
    assert printed[4] == "UTC True"
    assert printed[5] == "['wide', 'deep', 'deep', 'deep']"


def test_a_run_gives_its_result_and_its_steps_give_output_inputs_log_and_metrics(grid: Project) -> None:
    printed = said(
        grid,
        """
        run = fw.runs(where="depth == 8")[0]
        print(run.result.depth.tolist())
        step = run.steps["train"]
        print(step.output.shape, step.inputs, repr(step.log), step.phase)
        print(step.metrics.value.tolist(), step.metrics.step.tolist())
        print(run.steps["judge"].inputs["data"].shape, run.steps["judge"].output.accuracy)
        print(list(run.source), "def judge" in run.source["project.py"], "depth 8" in run.log)
        print(fw.runs()[run.name[:3]].name == run.name)
        """,
    ).splitlines()
    assert printed[0] == "[8, 8, 8]"
    assert printed[1] == "(3, 1) {'depth': 8, 'kind': 'deep'} 'depth 8\\n' Succeeded"
    assert printed[2] == "[8.0, 4.0, 2.6666666666666665] [0.0, 1.0, 2.0]"
    assert printed[3] == "(3, 1) 0.8"
    assert printed[4].endswith("True True")
    assert printed[5] == "True"


def test_a_failed_run_raises_with_the_traceback_of_the_user_when_its_result_is_asked_for(
    grid: Project,
) -> None:
    printed = said(
        grid,
        """
        import traceback
        run = fw.runs(phase="failed")[0]
        print(repr(run))
        for ask in (lambda: run.result, lambda: run.steps["fail"].output):
            try:
                ask()
            except fw.StepFailed as error:
                print("".join(traceback.format_exception(error)))
        """,
    )
    assert printed.count("depth 9 is too much") >= 4
    assert 'raise ValueError(f"depth {depth} is too much")' in printed
    assert f"run {grid.newest()} failed" in printed


def test_a_misspelt_name_in_a_condition_is_pointed_out(grid: Project) -> None:
    printed = said(
        grid,
        """
        for where in ("acuracy > 0.9", "accuracy >", "accuracy > 0.99"):
            try:
                print(len(fw.runs(where=where)))
            except fw.FairwayError as error:
                print(type(error).__name__, error.message, error.hint)
        """,
    ).splitlines()
    assert printed[0].startswith(
        "UsageError no run has a metric or parameter 'acuracy' did you mean `accuracy`?"
    )
    assert printed[1].startswith("UsageError the condition 'accuracy >' has the end where")
    assert printed[2] == "0"


MODEL = """
@fw.task
def train(rate: float) -> object:
    from sklearn.dummy import DummyRegressor
    return DummyRegressor(strategy="constant", constant=rate).fit([[0.0], [1.0]], [0.0, 1.0])

@fw.pipeline
def main(rate: float = 0.5):
    fw.register("toy", train(rate), sample=[[0.0], [1.0]], alias="champion")
"""


def test_a_model_is_loaded_in_a_script_and_from_another_project(project: Project, tmp_path: Path) -> None:
    project.write(MODEL)
    project.fairway("run", "project.py")
    project.fairway("run", "project.py", "--rate", "0.25")
    script = 'print(fw.load("toy@champion").predict([[3.0]]), fw.load("toy:1").predict([[3.0]]))'
    assert said(project, script).split() == ["[0.25]", "[0.5]"]
    other = tmp_path / "other"
    other.mkdir()
    elsewhere = """
        print(fw.load("toy@champion", project="..").predict([[3.0]]), fw.runs(project="../project.py")[0].models)
        try:
            fw.load("toy", project=".")
        except fw.FairwayError as error:
            print(type(error).__name__)
        """
    assert said(project, elsewhere, other).splitlines() == ["[0.25] ('toy:2',)", "NotFound"]


def test_a_pickled_model_of_a_store_of_somebody_else_is_not_loaded(project: Project) -> None:
    project.write(
        "def revive():\n    open(os.environ['TRACE'], 'w').close()\n    return Odd()\n"
        "class Odd:\n    def predict(self, rows):\n        return rows\n    def __reduce__(self):\n"
        "        return (revive, ())\n"
        "@fw.task\ndef make() -> object:\n    return Odd()\n"
        "@fw.pipeline\ndef main():\n    odd = make()\n    fw.register('odd', odd)\n    return odd\n"
    )
    trace = project.folder / "opened"
    project.environment["TRACE"] = str(trace)
    project.fairway("run", "project.py")
    assert trace.exists()  # the run itself read the pickle
    trace.unlink()
    # Another home has another key, so the store counts as somebody else's from here on.
    project.environment |= {"HOME": str(project.folder / "stranger"), "XDG_STATE_HOME": ""}
    text = """
        for ask in (lambda: fw.load("odd"), lambda: fw.runs()[0].result):
            try:
                print(ask())
            except fw.FairwayError as error:
                print(type(error).__name__)
        """
    assert said(project, text).splitlines() == ["SerializationError", "SerializationError"]
    assert not trace.exists()


def test_values_and_models_of_a_platform_over_http_are_read_without_running_code(grid: Project) -> None:
    grid.write(MODEL, "model.py")
    grid.fairway("run", "model.py")
    grid.fairway("up")
    try:
        printed = said(
            grid,
            """
            import pathlib
            from fairway.wiring import reach, target
            from fairway.wiring.there import There

            class OverHttp(There):
                def platform(self):
                    return target.apart(pathlib.Path(".fairway").absolute())

            there = OverHttp(None)
            asked = reach.Asked(pipeline="grid", since="", where="accuracy > 0.85", tag="", phase="", limit=0)
            found = reach.list_runs(there, asked)
            print(len(found), found[0].result.depth.tolist(), found[0].steps["train"].inputs)
            print(there.model("toy@champion").predict([[1.0]]))
            """,
        ).splitlines()
    finally:
        grid.fairway("down")
    assert printed == ["2 [9, 9, 9] {'depth': 9, 'kind': 'wide'}", "[0.5]"]

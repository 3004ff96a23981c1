"""Searches over parameters and steps that are given up, by the words that a person types."""

import json
import os
import signal
from pathlib import Path

import pytest
from projects import Project, steps, told, told_of, wait_for

TUNE = """
@fw.task
def train(x: float, kind: str, marks: str) -> float:
    with open(marks, "a") as file:
        file.write("begun\\n")
    score = -(x - 0.3) ** 2 - (kind == "b")
    for epoch in range(4):
        fw.log(step=epoch, score=score)
        time.sleep(0.02)
    return score

@fw.pipeline
def tune(trials: int = 16, marks: str = "marks", pruner: str = "asha", pause: float = 0.0) -> dict:
    found = fw.search(train, {"x": (0.0, 1.0), "kind": ["a", "b"]}, trials=trials, pruner=pruner, marks=marks)
    print("TABLE", [(one.number, one.fate, one.score, one.parameters) for one in found.trials])
    if pause:
        open("over", "w").close()
        time.sleep(pause)
    return found.best.parameters
"""


def trials(project: Project) -> list[dict[str, object]]:
    """The trials of the newest run that were asked for."""
    return json.loads(project.fairway("show", "--json").stdout)["trials"]


def test_a_search_finds_the_best_and_says_what_became_of_each_trial(project: Project) -> None:
    project.write(TUNE)
    done = project.fairway("run", "project.py", "--trials", "24", "--json")
    best = json.loads(project.fairway("get", project.newest()).stdout)
    assert best["kind"] == "a"
    assert abs(best["x"] - 0.3) < 0.2, done.stderr
    found = steps(project)
    given_up = [one for one in found.values() if one["phase"] == "Cancelled"]
    assert len(found) == len(trials(project)) == 24
    assert given_up
    assert all("pruned at step" in one["failure"]["message"] for one in given_up)  # type: ignore[index]
    shown = project.fairway("show").stdout
    for title in ("train trials", "train history", "train importance"):
        assert title in shown
    assert "given up" in shown
    assert "pruned at step" in shown


def test_the_table_and_the_pictures_of_a_search_can_be_saved(project: Project, tmp_path: Path) -> None:
    project.write(TUNE)
    project.fairway("run", "project.py", "--pruner", "none")
    project.fairway("show", "--save", str(tmp_path / "kept"))
    kept = {path.suffix for path in (tmp_path / "kept").rglob("*") if "train" in path.name}
    assert kept >= {".svg", ".html"}


def test_a_killed_search_is_taken_up_trial_by_trial(project: Project) -> None:
    project.write(TUNE)
    whole = told(project, "--marks", "whole", "--pruner", "none")
    first = trials(project)
    running = project.start("run", "project.py", "--pruner", "none")
    marks = project.folder / "marks"
    assert wait_for(lambda: marks.exists() and marks.read_text().count("begun") >= 6)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before = trials(project)
    done = [name for name, step in steps(project).items() if step["phase"] == "Succeeded"]
    project.fairway("resume")
    found, after = steps(project), trials(project)
    assert len(after) == len(found) == 16
    assert after[: len(before)] == before
    assert before
    # Only what ran when the search was killed was begun again.
    assert all(len(found[name]["attempts"]) == 1 for name in done)  # type: ignore[arg-type]
    assert marks.read_text().count("begun") <= 16 + 4
    # The table is there in full, as that of the search that was never killed.
    resumed = project.fairway("logs", f"{project.newest()}/pipeline").stdout
    assert resumed.count("TABLE") == 1
    assert first[:4] == after[:4]
    assert any("TABLE" in line for line in whole)


def test_a_pruned_trial_stays_pruned_when_the_run_is_resumed(project: Project) -> None:
    project.write(TUNE)
    running = project.start("run", "project.py", "--pause", "60")
    assert wait_for(lambda: (project.folder / "over").exists())
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before, begun = steps(project), (project.folder / "marks").read_text()
    assert "Cancelled" in {one["phase"] for one in before.values()}
    text = (project.folder / "project.py").read_text().replace("time.sleep(pause)", "pass")
    (project.folder / "project.py").write_text(text)
    project.fairway("resume")
    assert {name: one["phase"] for name, one in steps(project).items()} == {
        name: one["phase"] for name, one in before.items()
    }
    assert (project.folder / "marks").read_text() == begun


def test_a_search_whose_pipeline_dies_goes_on_in_the_same_run(project: Project) -> None:
    project.write(
        TUNE.replace('print("TABLE"', 'kill_once(); print("TABLE"')
        + """
def kill_once():
    if not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), 9)
"""
    )
    project.fairway("run", "project.py")
    assert (project.folder / "died").exists()
    assert len(trials(project)) == len(steps(project)) == 16
    assert (project.folder / "marks").read_text().count("begun") == 16


def test_the_objective_may_be_several_tasks_and_give_a_model_with_its_evaluation(project: Project) -> None:
    project.write("""
@fw.task
def train(depth: int) -> dict:
    return {"depth": depth}

@fw.task
def judge(model: dict) -> fw.Evaluation:
    hits = model["depth"]
    return fw.evaluate([1] * 10, [1] * hits + [0] * (10 - hits))

@fw.pipeline
def tune() -> dict:
    def objective(depth):
        model = train(depth)
        return model, judge(model)
    found = fw.search(objective, {"depth": range(1, 9)}, sampler="grid", trials=50)
    print("BEST", found.best.score, found.best.parameters, fw.value(found.best.result[0]))
    return found.best.result[0]
""")
    assert "BEST 0.8 {'depth': 8} {'depth': 8}" in told(project)
    assert len(steps(project)) == 16


def test_failed_trials_are_told_and_a_search_without_any_score_fails(project: Project) -> None:
    project.write("""
@fw.task
def train(x: float) -> float:
    if x < 0.5:
        raise ValueError("too small")
    return x

@fw.task
def broken(x: float) -> float:
    raise ValueError("always wrong")

@fw.pipeline
def some() -> float:
    found = fw.search(train, {"x": (0, 1, 0.25)}, sampler="grid")
    print("FATES", sorted(one.fate for one in found.trials))
    return found.best.score

@fw.pipeline
def none() -> float:
    return fw.search(broken, {"x": (0.0, 1.0)}, trials=40).best.score
""")
    assert "FATES ['done', 'done', 'done', 'failed', 'failed']" in told_of(project, "some")
    failed = project.fairway("run", "project.py:none", expect=1)
    assert "always wrong" in failed.stderr
    assert len(steps(project)) < 40


def test_a_search_outside_a_run_is_plain_python(project: Project) -> None:
    project.write("""
@fw.task
def train(x: float) -> float:
    return -abs(x - 0.5)

if __name__ == "__main__":
    found = fw.search(train, {"x": (0.0, 1.0)}, trials=12)
    print(len(found.trials), found.best.score > -0.3, found)
""")
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "project.py"], cwd=project.folder, env=project.environment,
                          capture_output=True, text=True, timeout=240)  # fmt: skip
    assert done.stdout.startswith("12 True search train  12 trials"), done.stderr


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("fw.search(train, {})", "dict of parameters"),
        ('fw.search(train, {"x": (1, 0)})', "no range"),
        ('fw.search(train, {"x": (0.0, 1.0)}, sampler="best")', "no sampler"),
        ('fw.search(train, {"x": (0.0, 1.0)}, trials=0)', "trials=0"),
        ('fw.search(train, {"x": (0.0, 1.0)}, goal="up")', "no goal"),
        ('fw.search(train, {"x": (0.0, 1.0)}, trails=9)', "trails"),
        ('fw.search(lambda x: 3, {"x": (0.0, 1.0)})', "no result of a task"),
    ],
)
def test_a_search_that_cannot_be_meant_is_refused(project: Project, call: str, says: str) -> None:
    project.write(f"""
@fw.task
def train(x: float) -> float:
    return x

@fw.pipeline
def tune():
    {call}
""")
    assert says in project.fairway("run", "project.py", expect=1).stderr


CANCEL = """
@fw.task(cpu=0)
def slow(n: int) -> int:
    open(f"begun{n}", "w").close()
    time.sleep(120)
    return n

@fw.task
def quick() -> int:
    return 1

@fw.task
def after(n: int) -> int:
    return n

@fw.pipeline
def drop() -> int:
    late = [slow(n) for n in range(6)]
    held = after(late[0])
    first = quick()
    while not os.path.exists("begun0"):
        time.sleep(0.05)
    fw.value(first)
    fw.cancel(late, first)
    try:
        fw.value(held)
    except fw.StepFailed as error:
        print("HELD", error)
    return first

@fw.pipeline
def wanted() -> int:
    late = slow(7)
    fw.cancel(late)
    return late
"""


def test_steps_are_given_up_and_the_run_goes_on_without_them(project: Project) -> None:
    project.write(CANCEL)
    lines = told_of(project, "drop")
    assert "HELD after: not run, because slow did not succeed" in lines
    found = steps(project)
    assert {one["phase"] for name, one in found.items() if name.startswith("slow")} == {"Cancelled"}
    assert found["slow"]["failure"]["message"] == "given up by the pipeline"  # type: ignore[index]
    assert found["quick"]["phase"] == "Succeeded"


def test_the_result_of_a_step_that_was_given_up_cannot_be_returned(project: Project) -> None:
    project.write(CANCEL)
    failed = project.fairway("run", "project.py:wanted", expect=1)
    assert "returned the result of slow, which has none: given up by the pipeline" in failed.stderr


def test_only_results_of_tasks_can_be_given_up(project: Project) -> None:
    project.write("""
@fw.pipeline
def wrong():
    fw.cancel("train-2")
""")
    assert "results of tasks" in project.fairway("run", "project.py", expect=1).stderr

"""`fairway why`: every failed attempt of a run, and what helps."""

import json

from projects import Project

FLAKY = """
import os, signal

@fw.task(retries=1)
def load(path: str) -> str:
    return open(path).read()

@fw.task
def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)

@fw.pipeline
def flow(path: str = "absent.csv"):
    return load(path)

@fw.pipeline
def crash():
    return die()
"""


def test_each_attempt_is_named_with_its_reason_and_the_next_command(project: Project) -> None:
    project.write(FLAKY)
    project.fairway("run", "project.py:flow", expect=1)
    told = project.fairway("why").stdout
    rows = [line.split() for line in told.splitlines() if line.startswith("load")]
    assert [row[1:3] for row in rows[:2]] == [["attempt", "1"], ["attempt", "2"]]
    assert "No such file or directory: 'absent.csv'" in told
    assert "return open(path).read()" in told
    assert f"fairway resume {project.newest()}" in told
    found = json.loads(project.fairway("why", f"{project.newest()}/load", "--json").stdout)
    assert [(one["attempt"], one["counted"], one["failure"]["reason"]) for one in found] == [
        (1, True, "user"),
        (2, True, "user"),
    ]


def test_a_run_that_succeeded_has_no_reason(project: Project) -> None:
    project.write(FLAKY)
    (project.folder / "there.csv").write_text("1\n")
    project.fairway("run", "project.py:flow", "--path", "there.csv")
    assert "succeeded, and no attempt failed" in project.fairway("why").stderr


def test_a_step_that_is_not_there_is_named(project: Project) -> None:
    project.write(FLAKY)
    project.fairway("run", "project.py:crash", expect=1)
    assert "SIGSEGV" in project.fairway("why").stdout
    assert "has no step 'absent'" in project.fairway("why", f"{project.newest()}/absent", expect=4).stderr

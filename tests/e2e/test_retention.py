"""What takes the room in a store, and how long runs are kept, by the words that a person types."""

import json
import sqlite3
import time

import pytest
from projects import Project

TEXT = """
@fw.task
def make(size: int) -> bytes:
    return os.urandom(size)

@fw.pipeline
def main(size: int = 400000) -> bytes:
    return make(size)
"""


@pytest.fixture
def three(project: Project) -> list[str]:
    """The names of three runs: two old ones, of which one has a word on it, and a new one."""
    project.write(TEXT)
    names = []
    for size in (300_000, 200_000, 100_000):
        project.fairway("run", "project.py", "--size", str(size), "--quiet")
        names.append(project.newest())
    project.fairway("tag", names[1], "paper")
    return names


def names(project: Project) -> set[str]:
    return {one["name"] for one in json.loads(project.fairway("runs", "--json").stdout)}


def keep(project: Project, setting: str) -> None:
    (project.folder / "pyproject.toml").write_text(f"[tool.fairway]\n{setting}\n")


def test_the_room_of_a_store_is_told_by_what_needs_it(project: Project, three: list[str]) -> None:
    told = json.loads(project.fairway("du", "--json").stdout)
    assert [one["name"] for one in told["largest"]] == [f"run {name}" for name in three]
    assert told["largest"][0]["size"] >= 300_000
    parts = {one["name"]: one["size"] for one in told["parts"]}
    assert parts["content of runs"] >= 600_000
    assert parts["the log"] > 0
    assert sum(parts.values()) <= told["total"] * 1.1
    text = project.fairway("du").stdout
    assert f"run {three[0]}" in text
    assert "in all" in text


def test_runs_are_kept_as_long_as_the_project_says(project: Project, three: list[str]) -> None:
    keep(project, 'keep = { runs = "1h" }')
    assert json.loads(project.fairway("gc", "--json").stdout)["runs"] == []
    age(project, three[:2])
    said = project.fairway("gc").stderr
    assert f"would remove 1 runs that are kept no longer: {three[0]}" in said
    assert names(project) == set(three)
    project.fairway("gc", "--delete")
    assert names(project) == set(three[1:])
    keep(project, 'keep = { runs = "1h", tagged = false }')
    project.fairway("gc", "--delete")
    assert names(project) == {three[2]}
    assert "no run" in project.fairway("show", three[0], expect=4).stderr


def age(project: Project, runs: list[str]) -> None:
    """Let runs be from two hours ago, in the table that lists are read from."""
    with sqlite3.connect(project.folder / ".fairway" / "fairway.db") as db:
        for run in runs:
            then = time.time() - 7200
            db.execute("UPDATE run SET started = ?, ended = ? WHERE name = ?", (then, then + 1, run))


@pytest.mark.parametrize(
    "setting",
    [
        'keep = "90d"',
        'keep = { runs = "soon" }',
        'keep = { run = "90d" }',
        "keep = { tagged = 1 }",
        "keep = { runs = 90 }",
    ],
)
def test_a_setting_that_cannot_be_meant_removes_nothing(project: Project, setting: str) -> None:
    keep(project, setting)
    assert "is not how long runs are kept" in project.fairway("gc", "--delete", expect=2).stderr

"""Schedules by the words that a person types, with the platform process of this machine."""

import json
from collections.abc import Iterator

import pytest
from projects import Project, wait_for

TEXT = """
@fw.task
def work(depth: int) -> int:
    return depth * 2

@fw.pipeline(schedule="* * * * *", timezone="Europe/Berlin")
def often(depth: int = 3) -> int:
    return work(depth)

@fw.pipeline
def never() -> int:
    return work(1)
"""


@pytest.fixture
def kept(project: Project) -> Iterator[Project]:
    """A project whose platform process ends with the test."""
    project.write(TEXT)
    yield project
    project.fairway("down", expect=None)


def schedules(project: Project) -> list[dict[str, object]]:
    return json.loads(project.fairway("schedules", "--json").stdout)


def test_a_pipeline_runs_again_and_again_through_a_restart_of_the_platform(kept: Project) -> None:
    said = kept.fairway("schedule", "project.py:often", "--depth", "7")
    assert "schedule often  * * * * * Europe/Berlin  next 20" in said.stderr
    kept.fairway("down")
    assert "the platform is not up" in kept.fairway("schedules").stderr
    kept.fairway("up")
    assert wait_for(lambda: schedules(kept)[0].get("dues"), 100)
    due = schedules(kept)[0]["dues"][0]  # type: ignore[index]
    assert due["fate"] == "started"
    assert wait_for(
        lambda: json.loads(kept.fairway("show", due["run"], "--json").stdout)["phase"] == "Succeeded"
    )
    assert kept.fairway("get", due["run"]).stdout.strip() == "14"
    assert due["run"] in kept.fairway("schedules").stdout
    dues = schedules(kept)[0]["dues"]
    runs = [one["name"] for one in json.loads(kept.fairway("runs", "--json").stdout)]
    started = [one["run"] for one in dues if one["fate"] == "started"]  # type: ignore[union-attr]
    assert len(set(started)) == len(started)
    assert set(started) <= set(runs)
    kept.fairway("unschedule", "often")
    assert schedules(kept) == []


def test_the_words_of_a_schedule_are_checked_when_it_is_set(kept: Project) -> None:
    assert "declares no schedule" in kept.fairway("schedule", "project.py:never", expect=2).stderr
    assert "has 2 fields" in kept.fairway("schedule", "project.py:never", "--cron", "0 6", expect=2).stderr
    wrong = kept.fairway(
        "schedule", "project.py:often", "--timezone", "Mars", "--cron", "0 6 * * *", expect=2
    )
    assert "there is no time zone 'Mars'" in wrong.stderr
    assert "--deep" in kept.fairway("schedule", "project.py:often", "--deep", "3", expect=2).stderr
    assert "there is no schedule" in kept.fairway("unschedule", "often", expect=4).stderr
    assert schedules(kept) == []


def test_a_schedule_that_cannot_be_read_is_refused_where_it_is_declared(project: Project) -> None:
    project.write('@fw.pipeline(schedule="0 25 * * *")\ndef main():\n    pass\n')
    failed = project.fairway("run", "project.py", expect=None)
    assert "the hour '25'" in failed.stderr
    project.write('@fw.pipeline(timezone="UTC")\ndef main():\n    pass\n')
    assert "needs a schedule" in project.fairway("run", "project.py", expect=None).stderr

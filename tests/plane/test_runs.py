"""Runs that people send to a control plane over HTTP, with hosts that reach its store as pods do."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from planes import Plane
from sent_runs import PROJECT, RUNNER, bundle, events, follow, phase, submit


@contextmanager
def held_up(plane: Plane) -> Iterator[None]:
    """Let the control plane write nothing to its log for a block."""
    with closing(sqlite3.connect(plane.volume / "store" / "fairway.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
def project(plane: Plane) -> str:
    return bundle(plane, {"shop/flow.py": PROJECT})


def test_a_run_is_described_submitted_and_followed_over_http(plane: Plane, project: str) -> None:
    request = {"bundle": project, "file": "shop/flow.py"}
    status, described = plane.ask("POST", "/api/v1/describe", request, RUNNER)
    assert status == 200, described
    assert [one["name"] for one in described["pipelines"]] == ["add", "slow"]
    run = submit(plane, project, texts={"count": ["2000"]})
    news = follow(plane, run)
    assert news[-1]["ended"]["phase"] == "Succeeded"
    assert [one["text"] for one in news if one["type"] == "note"] == [f"starting a host for {run}"]
    assert any(one["type"] == "output" for one in news)
    assert events(follow(plane, run)) == events(news), "a second follower sees the same"


def test_the_code_of_a_run_is_the_bundle_that_it_was_sent_as(plane: Plane, project: str) -> None:
    run = submit(plane, project)
    follow(plane, run)
    spec = plane.ask("GET", f"/api/v1/runs/{run}", token=RUNNER)[1]["spec"]
    assert (spec["bundle"], spec["project"]) == (project, "shop/flow.py")
    assert plane.ask("GET", f"/api/v1/runs/{run}/code", token=RUNNER)[1] == {"flow.py": PROJECT.decode()}


def test_a_request_that_is_sent_again_is_the_same_run(plane: Plane, project: str) -> None:
    run = submit(plane, project, key="k1")
    assert submit(plane, project, key="k1") == run
    follow(plane, run)
    assert plane.stop() == 0
    plane.start()
    assert submit(plane, project, key="k1") == run
    assert submit(plane, project, key="k2") != run


def test_a_run_is_cancelled_and_the_control_plane_lives_on(plane: Plane, project: str, tmp_path) -> None:
    run = submit(plane, project, "slow", texts={"path": [str(tmp_path / "never")]})
    assert plane.ask("POST", f"/api/v1/runs/{run}/cancel", token=RUNNER)[1] == {"run": run, "stopping": True}
    assert follow(plane, run)[-1]["ended"]["phase"] == "Cancelled"
    assert plane.ask("GET", "/readyz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_goes_on_by_itself_after_the_control_plane_is_gone(
    plane: Plane, project: str, tmp_path, number: int
) -> None:
    path = tmp_path / "go on"
    run = submit(plane, project, "slow", texts={"path": [str(path)]})
    wait_for_output(plane, run, "wait")
    plane.stop(number)
    plane.start()
    assert phase(plane, run) == "Running"
    path.touch()
    assert follow(plane, run)[-1]["ended"]["phase"] == "Succeeded"
    steps = plane.ask("GET", f"/api/v1/runs/{run}", token=RUNNER)[1]["steps"]
    assert {step["spec"]["name"]: len(step["attempts"]) for step in steps if step["spec"]["name"] != "wait"} == {
        "numbers": 1, "total": 1,
    }, "what was done is not done again"  # fmt: skip


def test_a_run_that_was_cancelled_is_not_brought_back_by_a_restart(
    plane: Plane, project: str, tmp_path
) -> None:
    run = submit(plane, project, "slow", texts={"path": [str(tmp_path / "never")]})
    wait_for_output(plane, run, "wait")
    with held_up(plane):
        asking = ThreadPoolExecutor().submit(plane.ask, "POST", f"/api/v1/runs/{run}/cancel", token=RUNNER)
        time.sleep(1)
        # Until the wish is on record, only the process that is about to die knows of it.
        assert not asking.done()
    assert asking.result()[1] == {"run": run, "stopping": True}
    plane.stop(signal.SIGKILL)
    plane.start()
    assert follow(plane, run)[-1]["ended"]["phase"] == "Cancelled"


def test_a_run_that_is_cancelled_while_it_is_taken_up_ends(plane: Plane, project: str, tmp_path) -> None:
    run = submit(plane, project, "slow", texts={"path": [str(tmp_path / "never")]})
    wait_for_output(plane, run, "wait")
    plane.stop(signal.SIGKILL)
    plane.start()
    assert plane.ask("POST", f"/api/v1/runs/{run}/cancel", token=RUNNER)[0] == 200
    plane.stop(signal.SIGKILL)
    plane.start()
    assert follow(plane, run)[-1]["ended"]["phase"] == "Cancelled"


def test_several_runs_of_several_people_go_on_at_once(plane: Plane, project: str, tmp_path) -> None:
    path = tmp_path / "go on"
    runs = [submit(plane, project, "slow", texts={"path": [str(path)]}) for _ in range(3)]
    for run in runs:
        wait_for_output(plane, run, "wait")
    quick = submit(plane, project)
    assert follow(plane, quick)[-1]["ended"]["phase"] == "Succeeded"
    assert {phase(plane, run) for run in runs} == {"Running"}
    path.touch()
    assert {follow(plane, run)[-1]["ended"]["phase"] for run in runs} == {"Succeeded"}


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"bundle": "0" * 64, "file": "flow.py"}, 404),
        ({"file": "flow.py"}, 400),
        ({"file": "/etc/passwd", "bundle": "PROJECT"}, 400),
        ({"file": "../flow.py", "bundle": "PROJECT"}, 400),
        ({"file": "none.py", "bundle": "PROJECT"}, 404),
        ({"pickled": "/tmp/x", "bundle": "PROJECT"}, 400),
        ({"resume": "none"}, 404),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused(
    plane: Plane, project: str, wrong: dict[str, str], status: int
) -> None:
    wrong = {name: project if value == "PROJECT" else value for name, value in wrong.items()}
    got, said = plane.ask("POST", "/api/v1/runs", wrong, RUNNER)
    assert got == status, said
    assert plane.ask("GET", "/api/v1/runs", token=RUNNER) == (200, [])


def wait_for_output(plane: Plane, run: str, step: str) -> None:
    """Return once a step has printed something."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        status, outputs = plane.ask("GET", f"/api/v1/runs/{run}/outputs", token=RUNNER)
        if status == 200 and any(name == step for name, _ in outputs["attempts"]):
            return
        time.sleep(0.05)
    raise AssertionError(plane.log.read_text())

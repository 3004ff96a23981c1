"""Runs that people send to a control plane over HTTP, with hosts that reach its store as pods do."""

import hashlib
import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from planes import TOKENS, Plane

RUNNER = TOKENS["runner"]
PROJECT = b"""
import os
import time

import fairway as fw


@fw.task
def numbers(count: int) -> list[int]:
    print("making numbers")
    return list(range(count))


@fw.task
def total(values: list[int]) -> int:
    return sum(values)


@fw.task
def wait(path: str, value: int) -> int:
    print("waiting", flush=True)
    while not os.path.exists(path):
        time.sleep(0.05)
    return value


@fw.pipeline
def add(count: int = 2000):
    return total(numbers(count))


@fw.pipeline
def slow(path: str, count: int = 3):
    return wait(path, total(numbers(count)))
"""


def bundle(plane: Plane, files: dict[str, bytes]) -> str:
    """Send a project as the command line does, and return the digest of its bundle."""
    entries = [
        {"path": path, "digest": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for path, content in sorted(files.items())
    ]
    listed = json.dumps({"files": entries}).encode()
    for content in (*files.values(), listed):
        digest = hashlib.sha256(content).hexdigest()
        assert plane.ask("PUT", f"/api/v1/store/blobs/{digest}", content, RUNNER)[0] == 200
    return hashlib.sha256(listed).hexdigest()


def submit(plane: Plane, digest: str, pipeline: str = "add", **more: Any) -> str:
    request = {"bundle": digest, "file": "shop/flow.py", "pipeline": pipeline, **more}
    status, said = plane.ask("POST", "/api/v1/runs", request, RUNNER)
    assert status == 200, (said, plane.log.read_text())
    return said["run"]


def wait_for_event(plane: Plane, run: str, kind: str) -> None:
    """Wait until an event of a run is on record."""
    after, until = "", time.monotonic() + 60
    while time.monotonic() < until:
        path = f"/api/v1/runs/{run}/follow?wait=1&after={after.replace('+', '%2B')}"
        _, updates = plane.ask("GET", path, token=RUNNER)
        for update in updates:
            after = update["position"]
            if update["news"].get("event", {}).get("body", {}).get("type") == kind:
                return
    raise AssertionError(f"no event {kind}")


def follow(plane: Plane, run: str) -> list[dict[str, Any]]:
    """All news of a run, by long polls."""
    after, found = "", list[dict[str, Any]]()
    until = time.monotonic() + 120
    while time.monotonic() < until:
        status, updates = plane.ask(
            "GET", f"/api/v1/runs/{run}/follow?wait=20&after={after.replace('+', '%2B')}", token=RUNNER
        )
        assert status == 200, updates
        for update in updates:
            found.append(update["news"])
            after = update["position"]
            if update["news"]["type"] == "over":
                return found
    raise AssertionError((found, plane.log.read_text()))


def events(news: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in news if one["type"] == "event"]


@contextmanager
def held_up(plane: Plane) -> Iterator[None]:
    """Let the control plane write nothing to its log for a block."""
    with closing(sqlite3.connect(plane.volume / "store" / "fairway.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def phase(plane: Plane, run: str) -> str:
    return plane.ask("GET", f"/api/v1/runs/{run}", token=RUNNER)[1]["phase"]


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

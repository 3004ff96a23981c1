"""A small project, and its runs as people send them to a control plane over HTTP and follow them."""

import hashlib
import json
import time
from typing import Any

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


def phase(plane: Plane, run: str) -> str:
    return plane.ask("GET", f"/api/v1/runs/{run}", token=RUNNER)[1]["phase"]

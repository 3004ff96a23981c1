"""Runs on the lab while a node is cut off, or while the registry is away. They end, and say what was the matter."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from installation import API, PLANE, RUNS, Installation, events, install, told_once, wait
from installation import processes as pids

from fairway.cluster.names import is_driver
from fairway.spec.project import EnvironmentSpec
from lab import network, processes
from lab.kubectl import Kubectl
from lab.lab import Lab

MAP = """
import time
import fairway as fw


@fw.task(cpu=0.7, memory="512Mi")
def own(number: int) -> int:
    for _ in range(120):
        print("at work", number, flush=True)
        time.sleep(0.5)
    return number


@fw.pipeline
def main(count: int = 3) -> list[int]:
    time.sleep(10)  # until the nodes are set up for its steps
    return own.map(range(count))
"""
LARGE = """
import time
import fairway as fw


@fw.task(cpu=0.1)
def large() -> str:
    print("at work", flush=True)
    time.sleep(4)
    return "x" * 3_000_000


@fw.pipeline
def main() -> int:
    return len(fw.value(large()))
"""
ENVIRONMENT = """
import fairway as fw


@fw.task(cpu=0.1, environment=fw.Environment(["six==1.17.0"]))
def apart() -> int:
    return 1


@fw.task(cpu=0.1)
def here() -> int:
    return 2


@fw.pipeline
def main() -> int:
    return here()


@fw.pipeline
def other() -> int:
    return apart()
"""


@pytest.fixture(scope="module")
def installation(
    kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]
) -> Iterator[Installation]:
    """An installation on the lab."""
    made = install(kubectl, registry, make_namespace())
    yield made
    made.nothing_is_left()


def node_of(installation: Installation, labels: str, choose: Callable[[str], bool]) -> dict[str, str]:
    """Return the node of each pod whose name is chosen."""
    return {
        pod["metadata"]["name"]: pod["spec"]["nodeName"]
        for pod in installation.pods(labels)
        if choose(pod["metadata"]["name"]) and "nodeName" in pod["spec"]
    }


@pytest.mark.thorough
@pytest.mark.timeout(900, func_only=True)
def test_a_run_whose_node_is_cut_off_ends_and_says_that_its_node_was_lost(
    installation: Installation, three_nodes: Lab, kubectl: Kubectl, measured: Callable[..., None]
) -> None:
    lost = node_to_lose(installation)
    with steps_only_on(kubectl, lost) as let_steps_begin:
        run = installation.submit(installation.send(MAP))
        wait("a place for the driver", lambda: node_of(installation, RUNS, is_driver), 60)
        let_steps_begin()
        wait("steps at work", lambda: at_work(installation, run), 240)
        assert set(node_of(installation, RUNS, lambda name: not is_driver(name)).values()) == {lost}
    began = time.monotonic()
    network.cut(lost)
    try:
        failures = wait("loss of the node", lambda: node_losses(installation, run), 170)
        seconds = time.monotonic() - began
    finally:
        network.mend(lost)
    news = installation.follow(run, 400)
    took = time.monotonic() - began
    assert news[-1]["ended"]["phase"] == "Succeeded"
    told_once(news)
    assert all("nothing was heard from it" in failure["message"] for failure in failures)
    left = installation.nothing_is_left(180)
    measured(
        "C3",
        "A node cut off while a map works on it",
        goal="the run ends right, the attempts on the node are repeated and spend no retry, no object is left",
        attempts_lost=len(failures),
        seconds_until_the_loss_is_known=round(seconds),
        seconds_until_the_run_has_ended=round(took),
        seconds_until_nothing_is_left=round(left),
    )


def node_to_lose(installation: Installation) -> str:
    """Return a node that the control plane is not on, nor what this machine asks of Services, which the first routes."""
    kept = set(node_of(installation, PLANE, bool).values()) | {"n1"}
    return next(node for node in ("n2", "n3") if node not in kept)


@contextlib.contextmanager
def steps_only_on(kubectl: Kubectl, lost: str) -> Iterator[Callable[[], None]]:
    """Keep new pods from one node, and from the moment that the yielded function is called from all others.

    The driver of a run and its steps are placed apart so, though there is room for all of them on one node.
    """
    others = [node for node in ("n1", "n2", "n3") if node != lost]
    kubectl("cordon", lost)

    def let_steps_begin() -> None:
        kubectl("cordon", *others)
        kubectl("uncordon", lost)

    try:
        yield let_steps_begin
    finally:
        kubectl("uncordon", lost, *others)


def at_work(installation: Installation, run: str) -> list[str]:
    """Return the steps of a run that have printed something."""
    return [
        step["spec"]["name"]
        for step in installation.run(run)["steps"]
        for attempt in step["attempts"]
        if installation.printed(run, step["spec"]["name"], attempt["number"])
    ]


def node_losses(installation: Installation, run: str) -> list[dict[str, Any]]:
    """Return the failures of attempts whose node was lost."""
    found = [
        attempt["failure"]
        for step in installation.run(run)["steps"]
        for attempt in step["attempts"]
        if attempt["failure"]
    ]
    return [failure for failure in found if failure["reason"] == "node"]


@pytest.mark.thorough
def test_a_step_whose_registry_is_away_waits_with_a_sentence_and_can_be_cancelled(
    installation: Installation, measured: Callable[..., None]
) -> None:
    bundle = installation.send(ENVIRONMENT)
    asked = {"bundle": bundle, "file": "flow.py"}
    described = installation.insist("POST", f"{API}/describe", asked, 240, each=240)
    spec = next(task["environment"] for task in described["tasks"] if task["name"] == "apart")
    key = msgspec.convert(spec, EnvironmentSpec).key
    nowhere = f"10.250.0.1:5999/none@sha256:{'0' * 64}"
    run = installation.submit(bundle, "other", images={key: nowhere})
    began, told = time.monotonic(), list[dict[str, Any]]()
    for news in installation.news(run):
        told.append(news)
        if news["type"] == "note" and "is not pulled yet" in news["text"]:
            break
    said = told[-1].get("text", "")
    assert nowhere in said, told
    assert "refused" in said
    seconds = time.monotonic() - began
    installation.insist("POST", f"{API}/runs/{run}/cancel")
    assert installation.follow(run)[-1]["ended"]["phase"] == "Cancelled"
    left = installation.nothing_is_left()
    measured(
        "C5-pull",
        "A registry that does not answer when a step needs an image that is on no node",
        goal="the run says so, and a cancelled one leaves no object",
        seconds_until_it_is_said=round(seconds),
        seconds_until_nothing_is_left=round(left),
    )


@pytest.mark.thorough
def test_a_run_whose_image_is_on_the_nodes_needs_no_registry(
    installation: Installation, lab: Lab, measured: Callable[..., None]
) -> None:
    bundle = installation.send(ENVIRONMENT)
    runs = 3
    # Once each, so that the image is on every node that may be chosen.
    for _ in range(runs):
        assert installation.follow(installation.submit(bundle))[-1]["ended"]["phase"] == "Succeeded"
    processes.pause("registry")
    try:
        news = installation.follow(installation.submit(bundle), 170)
    finally:
        processes.resume("registry")
    assert news[-1]["ended"]["phase"] == "Succeeded"
    assert events(news)
    measured(
        "C5-kept",
        "A registry that is away while a run uses an image that is on the nodes",
        goal="the run ends as it does otherwise",
        runs=1,
    )


def test_a_step_waits_with_its_result_while_the_store_takes_nothing(
    installation: Installation, lab: Lab, full: bool, measured: Callable[..., None]
) -> None:
    seconds = 60.0 if full else 10.0
    run = installation.submit(installation.send(LARGE))
    installation.until_output(run, "at work")
    (pod,) = installation.pods(PLANE)
    roots = [
        Path(f"/proc/{process}/root/var/lib/fairway/store/blobs/tmp")
        for process in pids(pod["metadata"]["uid"])
    ]
    folder = next(root for root in roots if root.is_dir())
    folder.chmod(0o500)
    try:
        time.sleep(seconds)
        assert installation.run(run)["phase"] == "Running"
    finally:
        folder.chmod(0o700)
    news = installation.follow(run)
    assert (news[-1]["ended"]["phase"], news[-1]["ended"]["result"]["note"]) == ("Succeeded", "3000000")
    told_once(news)
    assert [len(step["attempts"]) for step in installation.run(run)["steps"]] == [1]
    measured(
        "C5-store",
        "A store that takes no content while a step commits its result",
        goal="the step waits, the run ends right, nothing is repeated",
        seconds_without_a_store=seconds,
        steps_repeated=0,
    )

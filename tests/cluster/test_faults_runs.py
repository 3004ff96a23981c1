"""Runs on a real cluster whose control plane, drivers and steps are killed at random moments."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from installation import RUNS, Installation, install, processes, told_once, wait

from fairway.cluster.names import is_driver
from lab.kubectl import Kubectl

PROJECT = """
import time
import fairway as fw


@fw.task(cpu=0.1)
def small(count: int, before: int) -> int:
    return tell(count)


@fw.task(cpu=0.1, memory="512Mi")
def own(count: int, before: int) -> int:
    return tell(count)


def tell(count: int) -> int:
    for number in range(count):
        print("tick", number, flush=True)
        time.sleep(0.25)
    return count


@fw.pipeline
def main(rounds: int = 2, count: int = 20) -> int:
    total = 0
    for _ in range(rounds):
        both = [small(count, total), own(count, total)]
        total += sum(fw.value(one) for one in both)
    return total


@fw.pipeline
def quick() -> int:
    return small(1, 0)
"""


@pytest.fixture(scope="module")
def installation(
    kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]
) -> Iterator[Installation]:
    """An installation whose control plane and pods may be killed."""
    made = install(kubectl, registry, make_namespace())
    yield made
    made.nothing_is_left()


@pytest.fixture
def rng() -> random.Random:
    seed = random.randrange(10**6)
    print("seed", seed)
    return random.Random(seed)


def result(news: list[dict[str, Any]]) -> tuple[str, Any]:
    """Return the phase in which a run ended, and its result."""
    ended = news[-1]["ended"]
    return ended["phase"], (ended["result"] or {}).get("note")


def ticks(lines: list[str]) -> list[int]:
    """Return the numbers that a step has told."""
    return [int(line.split()[1]) for line in lines if line.startswith("tick ")]


def judge(installation: Installation, run: str, count: int) -> Counter[str]:
    """Check that a run ended right and that its record has each step once. Return what was counted."""
    news = installation.follow(run, 600)
    told_once(news)
    found: Counter[str] = Counter(runs=1)
    for step in installation.run(run)["steps"]:
        name, numbers = step["spec"]["name"], [one["number"] for one in step["attempts"]]
        assert [one["phase"] for one in step["attempts"]][-1] == "Succeeded", str((result(news), step))
        told = [ticks(installation.printed(run, name, number)) for number in numbers]
        found["steps"] += 1
        found["attempts with work"] += sum(map(bool, told))
        found["pods that had no work yet and were replaced"] += sum(not one for one in told)
        found["lines lost"] += count - len(set(told[-1]))
        found["lines doubled"] += sum(len(one) - len(set(one)) for one in told)
        assert all(one == sorted(one) for one in told), (run, name, told)
    phase, value = result(news)
    assert (phase, value) == ("Succeeded", str(found["steps"] * count))
    return found


@pytest.mark.timeout(2400, func_only=True)
def test_a_control_plane_that_is_killed_under_runs_loses_nothing_and_repeats_nothing(
    installation: Installation, full: bool, rng: random.Random, measured: Callable[..., None]
) -> None:
    runs, kills, rounds, count = (5, 10, 8, 60) if full else (1, 1, 1, 40)
    bundle = installation.send(PROJECT)
    names = [installation.submit(bundle, rounds=rounds, count=count) for _ in range(runs)]
    longest, quick, cancelled = 0.0, list[str](), list[str]()
    for number in range(kills):
        time.sleep(rng.uniform(0.5, 6.0))
        if number % 3 == 0:
            # What was acknowledged in the moment before counts as well.
            cancelled.append(installation.submit(bundle, rounds=100, count=100))
            installation.insist("POST", f"/api/v1/runs/{cancelled[-1]}/cancel")
        began = time.monotonic()
        installation.kill()
        installation.insist("GET", "/readyz", seconds=300)
        longest = max(longest, time.monotonic() - began)
        if number % 3 == 0:
            quick.append(installation.submit(bundle, "quick"))
    found = sum((judge(installation, name, count) for name in names), Counter[str]())
    assert {result(installation.follow(name))[0] for name in cancelled} == {"Cancelled"}
    assert {result(installation.follow(name)) for name in quick} == {("Succeeded", "1")}
    left = installation.nothing_is_left()
    assert found["attempts with work"] == found["steps"] == runs * rounds * 2, "nothing healthy is repeated"
    assert found["lines lost"] == found["lines doubled"] == 0
    measured(
        "C1",
        "Kill -9 of the control plane at random moments under 5 runs with steps on their drivers and in pods of their own",
        goal="every run ends right, each step works once, nothing that was acknowledged is lost, no object is left",
        kills=kills,
        **{name.replace(" ", "_"): number for name, number in sorted(found.items())},
        runs_begun_meanwhile=len(quick),
        cancelled_meanwhile=len(cancelled),
        seconds_until_it_answers_again_at_most=round(longest, 1),
        seconds_until_nothing_is_left=round(left, 1),
    )


@pytest.mark.timeout(2400, func_only=True)
def test_a_driver_or_step_whose_pod_is_lost_is_begun_again_and_no_retry_is_spent(
    installation: Installation, full: bool, rng: random.Random, measured: Callable[..., None]
) -> None:
    runs, losses, rounds, count = (3, 20, 4, 40) if full else (1, 2, 1, 40)
    bundle = installation.send(PROJECT)
    names = [installation.submit(bundle, rounds=rounds, count=count) for _ in range(runs)]
    for name in names:
        installation.until_output(name, "tick 1")
    lost: Counter[str] = Counter()
    for number in range(losses):
        drivers = number % 4 == 0
        name, uid = rng.choice(wait("a pod", partial(running, installation, drivers=drivers)))
        how = ("deleted", "deleted at once", "killed")[number % 3]
        if how == "killed":
            for process in processes(uid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        else:
            installation.delete_pod(
                name, *(["--grace-period=0", "--force"] if how == "deleted at once" else [])
            )
        lost["pods_of_drivers" if drivers else "pods_of_steps"] += 1
        time.sleep(rng.uniform(0.5, 4.0) if full else 0.5)
    begun_again = 0
    for name in names:
        news = installation.follow(name, 900)
        told_once(news)
        assert result(news) == ("Succeeded", str(2 * rounds * count)), news[-1]
        for step in installation.run(name)["steps"]:
            failures = [one["failure"]["reason"] for one in step["attempts"] if one["failure"]]
            assert set(failures) <= {"host"}, step["attempts"]
            assert step["attempts"][-1]["phase"] == "Succeeded"
            begun_again += len(failures)
    left = installation.nothing_is_left()
    measured(
        "C2",
        "Pods of drivers and of steps that are deleted, deleted at once, or killed, under 3 runs",
        goal="every run ends right with one result for each step, no retry is spent, no object is left",
        runs=runs,
        steps=runs * rounds * 2,
        **lost,
        attempts_begun_again=begun_again,
        seconds_until_nothing_is_left=round(left, 1),
    )


def running(installation: Installation, *, drivers: bool) -> list[tuple[str, str]]:
    """Return name and uid of every pod that runs a driver, or of every other one."""
    pods = [pod for pod in installation.pods() if pod["status"]["phase"] == "Running"]
    named = [(pod["metadata"]["name"], pod["metadata"]["uid"]) for pod in pods]
    return [one for one in named if is_driver(one[0]) == drivers]


@pytest.mark.thorough
def test_a_job_that_appears_after_its_run_is_over_is_found_and_removed(installation: Installation) -> None:
    """As one that was asked for, given up and deleted, while the request to make it was held up on its way."""
    run = installation.submit(installation.send(PROJECT), pipeline="quick")
    made: list[Any] = []

    def seen() -> bool:
        made.extend(installation.kubectl.json("get", "jobs", "-l", RUNS)["items"])
        return bool(made)

    wait("a Job of the run", seen, 60)
    assert installation.follow(run, 240)[-1]["ended"]["phase"] == "Succeeded"
    installation.nothing_is_left()
    late, labels = made[0], dict(made[0]["metadata"]["labels"])
    of_job = (
        "controller-uid",
        "batch.kubernetes.io/controller-uid",
        "job-name",
        "batch.kubernetes.io/job-name",
    )
    for name in of_job:
        labels.pop(name, None)
        late["spec"]["template"]["metadata"]["labels"].pop(name, None)
    late["spec"].pop("selector", None)
    late.pop("status", None)
    late["metadata"] = {"name": late["metadata"]["name"], "labels": labels}
    installation.kubectl.apply(late)
    installation.nothing_is_left(150)

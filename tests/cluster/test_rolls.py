"""Changes of endpoints that go wrong: versions that never serve, and a control plane that dies at any point of a roll."""

import contextlib
import os
import re
import signal
import threading
import time
from collections.abc import Callable

import pytest
from installation import PLANE, processes
from teams import FUNCTION, LABEL, Team, lost_nothing, until

from fairway.spec.errors import FairwayError
from lab.lab import Lab

MOODY = """
import pathlib

import fairway as fw

starts = pathlib.Path("/tmp/starts")
number = len(starts.read_text()) if starts.exists() else 0
starts.write_text("x" * (number + 1))
if number < 3:
    raise ValueError(f"crash {number}")
print("it works", flush=True)


@fw.endpoint
def moody(x: float) -> float:
    return x
"""
"""A function whose server ends in another way each time, and works at the fourth one."""

POISONS = {
    "raises": ("raise ValueError('no such table')", "no such table"),
    "is no Python": ("def (", "invalid syntax"),
    "misses a module": ("import nowhere.at_all", "No module named 'nowhere'"),
    "exits": ("import os\n\nos._exit(3)", "ended with status 3"),
    "exits as if all were well": ("import os\n\nos._exit(0)", "ended with status 0"),
    "breaks the interpreter": ("import ctypes\n\nctypes.string_at(0)", "139|signal 11"),
    "takes too much memory": ("kept = [b'x' * 2**20 * n for n in range(1, 200)]", "ran out of memory"),
    "calls itself": ("def again():\n    return again()\n\nagain()", "recursion"),
    "tells too much": ("print('x' * 30_000_000)\nraise ValueError('told it all')", "told it all"),
    "has no such function": ("", "declares no endpoint 'poisoned'"),
    "never ends": ("import time\n\ntime.sleep(9999)", "not ready after"),
}
"""Versions that do not serve: the text of the project behind its first line, and words of the reason that is given."""


@pytest.mark.thorough
@pytest.mark.timeout(2400, func_only=True)
def test_versions_that_cannot_serve_get_no_traffic_and_say_why(
    team: Team, measured: Callable[..., None]
) -> None:
    team.deploy("poisoned", 10)
    before, took = team.objects("poisoned"), dict[str, float]()
    with team.load("poisoned", keep=False) as fresh, team.load("poisoned", keep=True) as kept:
        for name, (text, words) in POISONS.items():
            began = time.monotonic()
            with pytest.raises(FairwayError) as failure:
                team.serve("poisoned", f"import fairway as fw\n\n{text}\n")
            assert re.search(words, f"{failure.value} {failure.value.details}"), (name, failure.value)
            until(lambda: team.objects("poisoned") == before)
            took[name] = time.monotonic() - began
    lost_nothing(fresh, kept)
    assert {*fresh.bodies, *kept.bodies} == {b"20.0"}
    team.undeploy("poisoned")
    took.pop("never ends")
    measured(
        "E6",
        "Versions that cannot serve, deployed over one that does, under load",
        goal="none gets traffic, no request is lost, each says why",
        versions=len(POISONS),
        requests=fresh.sent + kept.sent,
        lost=0,
        seconds_until_one_that_ends_is_taken_back_at_most=round(max(took.values())),
    )


@pytest.mark.thorough
@pytest.mark.timeout(600, func_only=True)
def test_a_server_that_crashes_three_times_and_then_works_is_in_the_logs_each_time(team: Team) -> None:
    team.serve("moody", MOODY)
    told = "\n".join(team.printed("moody"))
    places = [
        told.index(words) for words in (*(f"ValueError: crash {number}" for number in range(3)), "it works")
    ]
    assert places == sorted(places)
    assert told.count("it works") == 1
    team.undeploy("moody")
    assert "crash 2" in "\n".join(team.printed("moody"))


@pytest.mark.thorough
@pytest.mark.timeout(2400, func_only=True)
def test_a_control_plane_that_dies_at_any_point_of_a_roll_leaves_the_old_or_the_new(
    team: Team, lab: Lab, measured: Callable[..., None]
) -> None:
    team.deploy("rolling", 1)
    began = time.monotonic()
    team.deploy("rolling", 2)
    takes = time.monotonic() - began
    points, outcomes = 10, list[str]()
    with team.load("rolling", keep=False) as fresh, team.load("rolling", keep=True) as kept:
        for point in range(points):
            factor = point + 3
            before = fresh.bodies[-1] if fresh.bodies else b"4.0"
            deploying = threading.Thread(target=deploy, args=(team, factor))
            deploying.start()
            time.sleep(takes * point / points)
            print("killed at", time.strftime("%H:%M:%S"))
            kill_plane(team)
            deploying.join()
            until(lambda: is_settled(team), 240)
            answers = {fresh.bodies[-1], kept.bodies[-1]}
            until(lambda: len({fresh.bodies[-1], kept.bodies[-1]}) == 1)
            assert answers <= {before, f"{2.0 * factor}".encode()}
            outcomes.append("old" if fresh.bodies[-1] == before else "new")
    lost_nothing(fresh, kept)
    team.undeploy("rolling")
    measured(
        "E7",
        "Kill -9 of the control plane at ten points of a roll, under load",
        goal="each roll ends with the old revision or the new one, nothing is doubled, no request is lost",
        kills=points,
        ended_with_the_old_one=outcomes.count("old"),
        ended_with_the_new_one=outcomes.count("new"),
        requests=fresh.sent + kept.sent,
        lost=0,
    )


def deploy(team: Team, factor: float) -> None:
    """Deploy another revision. Nobody may answer meanwhile."""
    with contextlib.suppress(FairwayError, OSError):
        team.serve("rolling", FUNCTION.format(name="rolling", factor=factor))


def kill_plane(team: Team) -> None:
    """End the control plane with SIGKILL. Another pod takes its place at once."""
    for pod in team.kubectl.json("get", "pods", "-l", PLANE)["items"]:
        for process in processes(pod["metadata"]["uid"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        team.kubectl(
            "delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--ignore-not-found"
        )


def is_settled(team: Team) -> bool:
    """Tell whether the endpoint is as it was or as it was wanted, with one pod, and nothing else is left."""
    try:
        status = team.endpoint("rolling")
    except (FairwayError, OSError):
        return False
    if status is None or status.serving != status.wanted or (status.ready, status.others) != (1, 0):
        return False
    of = f"{LABEL}=rolling"
    return all(
        len(team.kubectl.json("get", kind, "-l", of)["items"]) == 1 for kind in ("pods", "deployments")
    )

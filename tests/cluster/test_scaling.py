"""The number of an endpoint's pods follows its load, and clients notice nothing of it."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asking import Answers
from teams import Team, lost_nothing, until

from fairway.spec.quantities import Bounds

BUSY = """
import os
import time

import fairway as fw


@fw.endpoint
def busy(x: float) -> str:
    until = time.thread_time() + 0.015
    while time.thread_time() < until:
        pass
    return os.uname().nodename
"""
CLIENTS = 14
MOST = 4


@contextlib.contextmanager
def clients(team: Team, rate: float) -> Iterator[list[Answers]]:
    """Ask from many clients, each with a connection that it keeps. No request may be lost."""
    with contextlib.ExitStack() as asking:
        found = [
            asking.enter_context(team.load("busy", keep=True, rate=rate / CLIENTS)) for _ in range(CLIENTS)
        ]
        yield found
    lost_nothing(*found, least=10)


def ready(team: Team) -> int:
    """Return how many pods of the endpoint answer."""
    status = team.endpoint("busy")
    return status.ready if status is not None else 0


def answered(found: list[Answers]) -> Counter[bytes]:
    """Return how often each pod has answered."""
    return Counter(body for one in found for body in one.bodies)


@pytest.mark.thorough
@pytest.mark.timeout(1500, func_only=True)
def test_pods_are_added_under_load_and_taken_away_after_it(team: Team, measured: Callable[..., None]) -> None:
    team.serve("busy", BUSY, Bounds(1, MOST))
    seen: dict[str, Any] = {}
    began = time.monotonic()
    with clients(team, 56) as found:
        until(lambda: ready(team) == MOST, 240)
        seen["seconds_until_all_pods_answer"] = round(time.monotonic() - began)
        before, grown = answered(found), time.monotonic()
        until(lambda: len(answered(found) - before) == MOST, 90)
        seen["seconds_until_kept_connections_use_all_pods"] = round(time.monotonic() - grown)
    requests, slow = sum(one.sent for one in found), sum(len(one.slow) for one in found)
    calm = time.monotonic()
    with clients(team, 7) as found:
        until(lambda: ready(team) == 1, 600)
        seen["seconds_until_one_pod_is_left"] = round(time.monotonic() - calm)
        left = team.pods("busy")
        until(
            lambda: (
                len(team.kubectl("get", "pods", "-l", "fairway.dev/endpoint=busy", "-o", "name").split()) == 1
            )
        )
    assert len(left) == 1
    measured(
        "E4",
        f"An endpoint with 1 to {MOST} pods under load, and without it again, asked over {CLIENTS} kept connections",
        goal="no request is lost, and kept connections use all pods within 90 s",
        requests=requests + sum(one.sent for one in found),
        lost=0,
        slower_than_a_second=slow + sum(len(one.slow) for one in found),
        **seen,
    )
    team.undeploy("busy")

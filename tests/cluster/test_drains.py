"""Pods of endpoints that go: deleted, drained with their nodes, or replaced while nodes route by old rules."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asking import Answers
from teams import LABEL, Team, lost_nothing, until

from fairway.spec.quantities import Bounds
from lab import processes
from lab.lab import Lab

RATE = 100.0
"""Requests a second of each of the two clients."""


@contextmanager
def asked(team: Team, name: str) -> Iterator[tuple[Answers, Answers]]:
    """Ask an endpoint all the time, with fresh and with kept connections. No request may be lost."""
    with (
        team.load(name, keep=False, rate=RATE) as fresh,
        team.load(name, keep=True, rate=RATE) as kept,
    ):
        yield fresh, kept
    lost_nothing(fresh, kept)


def nodes(team: Team, name: str) -> list[str]:
    """Return the nodes of the pods of an endpoint that are not about to go."""
    items = team.kubectl.json("get", "pods", "-l", f"{LABEL}={name}")["items"]
    return [one["spec"].get("nodeName", "") for one in items if "deletionTimestamp" not in one["metadata"]]


def is_whole(team: Team, name: str, replicas: int) -> bool:
    """Tell whether an endpoint has as many ready pods as it wants, and no other one."""
    status = team.endpoint(name)
    return status is not None and status.ready == replicas == len(nodes(team, name))


def drain(team: Team, name: str, node: str) -> float:
    """Drain a node of the pods of an endpoint, and return how many seconds that took."""
    began = time.monotonic()
    where = f"--pod-selector={LABEL}={name}"
    team.kubectl(
        "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", where, "--timeout=120s", seconds=150
    )
    return time.monotonic() - began


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.parametrize(
    "replicas", [1, *(pytest.param(count, marks=pytest.mark.thorough) for count in (2, 3))]
)
def test_a_node_that_is_drained_takes_no_request_with_it(
    team: Team, three_nodes: Lab, replicas: int, full: bool, measured: Callable[..., None]
) -> None:
    name = f"drained{replicas}"
    team.deploy(name, 10, Bounds.exactly(replicas))
    took, answers = list[float](), list[Answers]()
    chosen = ("n1", "n2", "n3") if full else tuple(nodes(team, name)[:1])
    for node in chosen:
        with asked(team, name) as clients:
            try:
                took.append(drain(team, name, node))
                assert node not in nodes(team, name)
                until(lambda: is_whole(team, name, replicas) and clients[0].sent > 200)
            finally:
                team.kubectl("uncordon", node)
        answers += clients
    assert max(took) < 120
    team.undeploy(name)
    measured(
        f"E2-{replicas}",
        f"Drain of each node under an endpoint of {replicas}, at up to 200 requests a second with fresh and kept connections",
        goal="each drain ends within 120 s, and no request is lost",
        drains=len(took),
        seconds_of_the_longest=round(max(took)),
        **told(answers),
    )


@pytest.mark.timeout(600, func_only=True)
def test_a_pod_that_is_deleted_serves_until_another_does(
    team: Team, full: bool, measured: Callable[..., None]
) -> None:
    team.deploy("steady", 10)
    times = 5 if full else 1
    with asked(team, "steady") as clients:
        for _ in range(times):
            (pod,) = team.pods("steady")
            team.kubectl("delete", "pod", pod, "--wait=false")
            until(lambda gone=pod: is_whole(team, "steady", 1) and gone not in team.pods("steady"))
            until(lambda gone=pod: gone not in team.kubectl("get", "pods", "-o", "name"))
    team.undeploy("steady")
    measured(
        "E1",
        "`kubectl delete pod` of the only pod of an endpoint, at up to 200 requests a second with fresh and kept connections",
        goal="no request is lost",
        deleted=times,
        **told(clients),
    )


@pytest.mark.thorough
@pytest.mark.timeout(2400, func_only=True)
def test_updates_and_rollbacks_lose_nothing_while_nodes_route_by_old_rules(
    team: Team, lab: Lab, full: bool, measured: Callable[..., None]
) -> None:
    changes, stopped = (20, 0) if full else (2, 0)
    team.deploy("turning", 1)
    with asked(team, "turning") as clients:
        for number in range(changes):
            late = number % 4 == 1
            stops = threading.Thread(target=stop_routing, args=(team, lab, "turning"))
            if late:
                stops.start()
            if number % 2:
                team.ask(lambda platform: platform.rollback("turning"))
            else:
                team.deploy("turning", number + 2)
            if late:
                stops.join()
                stopped += 1
            until(lambda: is_whole(team, "turning", 1))
    assert len(set(clients[0].bodies)) > changes // 2
    team.undeploy("turning")
    measured(
        "E3",
        "Updates and rollbacks at up to 200 requests a second with fresh and kept connections",
        goal="no request is lost",
        changes=changes,
        of_them_with_all_routing_stopped_for_5_seconds=stopped,
        **told(clients),
    )


def stop_routing(team: Team, lab: Lab, name: str) -> None:
    """Let no node learn of changes for 5 seconds, from the moment when the Service leads to another revision."""
    before = selector(team, name)
    end = time.monotonic() + 120
    while selector(team, name) == before and time.monotonic() < end:
        time.sleep(0.05)
    proxies = [f"kube-proxy-n{number}" for number in range(1, lab.nodes + 1)]
    for proxy in proxies:
        processes.pause(proxy)
    time.sleep(5)
    for proxy in proxies:
        processes.resume(proxy)


def selector(team: Team, name: str) -> Any:
    return team.kubectl.json("get", "service", name)["spec"]["selector"]


def told(answers: list[Answers] | tuple[Answers, ...]) -> dict[str, Any]:
    """Return what clients saw, as figures."""
    return {
        "requests": sum(one.sent for one in answers),
        "lost": sum(len(one.lost) for one in answers),
        "slower_than_a_second": sum(len(one.slow) for one in answers),
        "seconds_of_the_slowest": round(max((max(one.slow, default=0.0) for one in answers), default=0.0), 1),
    }

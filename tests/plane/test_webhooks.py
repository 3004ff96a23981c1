"""Webhooks of a control plane, which works for several people and must not be turned against its own machine."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from planes import TOKENS, Plane
from sent_runs import PROJECT, bundle, follow, submit

sys.path.insert(0, str(Path(__file__).parent.parent / "e2e"))

from projects import wait_for
from receiver import Receiver

DEPLOYER = TOKENS["deployer"]
HOOKS = "/api/v1/webhooks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def put(plane: Plane, url: str, token: str = DEPLOYER) -> tuple[int, Any]:
    return plane.ask("POST", HOOKS, {"name": "team", "url": url, "on": ["success"]}, token)


def deliveries(plane: Plane, run: str) -> list[dict[str, Any]]:
    return [
        one for one in plane.ask("GET", f"/api/v1/runs/{run}", token=DEPLOYER)[1]["deliveries"] if one["time"]
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://127.0.0.1:8080/",
        "http://[::ffff:169.254.169.254]/",
        "file:///etc/passwd",
    ],
)
def test_an_address_inside_is_refused_when_a_webhook_is_set(plane: Plane, url: str) -> None:
    status, said = put(plane, url)
    assert status == 400, said
    assert "the address of" in said["error"]
    assert plane.ask("GET", HOOKS, token=DEPLOYER)[1] == []


def test_a_name_that_leads_to_the_pod_of_the_control_plane_is_told_nothing(
    plane: Plane, receiver: Receiver
) -> None:
    status, shown = put(plane, f"http://localhost:{receiver.port}/s3cret-path")
    assert (status, shown["place"]) == (200, f"http://localhost:{receiver.port}")
    why = "its address leads to the machine of the platform itself"
    assert plane.ask("POST", f"{HOOKS}/team/test", {}, DEPLOYER)[1]["why"] == why
    run = submit(plane, bundle(plane, {"shop/flow.py": PROJECT}))
    assert follow(plane, run)[-1]["ended"]["phase"] == "Succeeded"
    assert wait_for(lambda: deliveries(plane, run))
    assert [(one["delivered"], one["why"], one["tries"]) for one in deliveries(plane, run)] == [
        (False, why, 1)
    ]
    assert receiver.received == []
    assert "s3cret" not in plane.log.read_text()


def test_a_message_that_a_killed_control_plane_left_has_an_outcome_after_its_restart(
    plane: Plane, receiver: Receiver
) -> None:
    put(plane, "http://nobody.invalid/s3cret-path")
    run = submit(plane, bundle(plane, {"shop/flow.py": PROJECT}))
    assert follow(plane, run)[-1]["ended"]["phase"] == "Succeeded"
    assert deliveries(plane, run) == []
    plane.stop(signal.SIGKILL)
    plane.start()
    assert wait_for(lambda: deliveries(plane, run))
    (found,) = deliveries(plane, run)
    assert (found["delivered"], found["why"], found["tries"]) == (
        False,
        "the name of its host cannot be resolved",
        3,
    )


def test_only_who_decides_what_serves_may_set_a_webhook(plane: Plane) -> None:
    for role, expected in (("viewer", 403), ("runner", 403), ("deployer", 200)):
        assert put(plane, "https://chat.example/s3cret-path", TOKENS[role])[0] == expected
    status, shown = plane.ask("GET", HOOKS, token=TOKENS["viewer"])
    assert status == 200
    assert [one["place"] for one in shown] == ["https://chat.example"]
    assert "s3cret" not in str(shown)
    assert plane.ask("DELETE", f"{HOOKS}/team", token=TOKENS["runner"])[0] == 403
    assert plane.ask("DELETE", f"{HOOKS}/team", token=DEPLOYER)[0] == 200
    told = plane.ask("GET", "/api/v1/deeds?kind=webhook", token=DEPLOYER)
    assert "s3cret" not in str(told)

"""A webhook of a control plane in a real cluster, with a receiver outside of it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from installation import Installation, install, wait

from lab.kubectl import Kubectl

sys.path.insert(0, str(Path(__file__).parent.parent / "e2e"))

from receiver import Receiver

OUTSIDE = "10.250.0.254"
"""The address of this machine in the network of the lab."""

PROJECT = """
import fairway as fw


@fw.task(cpu=0.1)
def share(values: list[int], people: int) -> float:
    return sum(values) / people


@fw.pipeline
def main(people: int = 2) -> float:
    return share([30, 12], people)
"""


@pytest.fixture(scope="module")
def installation(kubectl: Kubectl, registry: str, make_namespace: Callable[..., str]) -> Installation:
    """An installation whose control plane may be killed."""
    return install(kubectl, registry, make_namespace())


def test_a_control_plane_tells_of_a_failed_run_and_again_after_it_was_killed(
    installation: Installation,
) -> None:
    with Receiver(host=OUTSIDE) as receiver:
        receiver.answers = [lambda handler: receiver.closing.wait(60)]
        hook = {"name": "team", "url": receiver.url, "on": ["failure"], "key": "a-key-that-signs-messages"}
        status, shown = installation.ask(
            "POST", "/api/v1/webhooks", hook, x_fairway_token=installation.tokens["deployer"]
        )
        assert (status, shown["place"]) == (200, f"http://{OUTSIDE}:{receiver.port}")
        run = installation.submit(installation.send(PROJECT), people=0)
        assert installation.follow(run)[-1]["ended"]["phase"] == "Failed"
        (first,) = receiver.wait()
        installation.kill()
        _, second = receiver.wait(2, 120)
        assert first.body["id"] == second.body["id"]
        assert second.body["run"] == run
        assert second.body["reason"] == "step share: the code raised ZeroDivisionError"
        assert second.headers["fairway-signature"].startswith("t=")
        (told,) = wait(
            "the outcome is on record",
            lambda: [one for one in installation.run(run)["deliveries"] if one["time"]],
        )
        assert (told["hook"], told["delivered"]) == ("team", True)
    assert "t0p-5ecret" not in installation.log()

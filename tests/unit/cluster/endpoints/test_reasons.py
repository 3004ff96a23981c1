"""Why a revision is not ready."""

import msgspec
import pytest

from fairway.cluster.endpoints import reasons
from fairway.cluster.endpoints.observed import Deployment, DeploymentStatus, is_crashing
from fairway.cluster.endpoints.reasons import Crashes
from fairway.cluster.observed import (
    Condition,
    ContainerState,
    ContainerStatus,
    Metadata,
    Pod,
    PodStatus,
    Running,
    Terminated,
    Waiting,
)

SAMPLES = "churn:2 reproduced 3 of 4 samples: outputs differ by up to 2"


def ended(
    message: str = "", at: str = "2026-01-01T00:00:00Z", reason: str = "Error", code: int = 1
) -> Terminated:
    """Return the end of a server."""
    return Terminated(exit_code=code, reason=reason, message=message, finished_at=at)


def pod(*containers: ContainerStatus, phase: str = "Running", ready: bool = False) -> Pod:
    """Return a pod."""
    conditions = (Condition(type="Ready", status="True" if ready else "False"),)
    status = PodStatus(phase=phase, conditions=conditions, container_statuses=containers)
    return Pod(metadata=Metadata(name="fw-churn-r2-x", uid="u"), status=status)


def crashed(last: Terminated, restarts: int = 2) -> Pod:
    """Return a pod whose server ended some times."""
    waiting = ContainerState(waiting=Waiting(reason="CrashLoopBackOff"))
    status = ContainerStatus(
        name="server", restart_count=restarts, state=waiting, last_state=ContainerState(terminated=last)
    )
    return pod(status)


def test_a_server_that_ended_is_quoted_with_its_own_error() -> None:
    reason = reasons.why((crashed(ended(f"some output\nerror: {SAMPLES}\n")),), None, 5.0)
    assert reason.text == f"its server ended twice: {SAMPLES}"
    assert reason.hint == "what it printed: `kubectl logs fw-churn-r2-x --previous`"
    assert not reason.final


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ended("error: no table\n"), "no table"),
        (ended("ImportError: no module\n"), "ImportError: no module"),
        (ended(reason="OOMKilled", code=137), "it ran out of memory"),
        (ended(code=3), "its server ended with status 3"),
        (ended(reason="StartError", code=128), "its container did not start (StartError)"),
    ],
)
def test_the_last_words_of_a_server_are_the_best_that_is_known(end: Terminated, words: str) -> None:
    assert reasons.last_words(end) == words


def test_two_ends_with_the_same_words_are_certain_to_come_again() -> None:
    crashes = Crashes()
    crashes.note([crashed(ended("error: a", "2026-01-01T00:00:00Z"))])
    crashes.note([crashed(ended("error: a", "2026-01-01T00:00:00Z"))])
    assert not crashes.are_certain
    crashes.note([crashed(ended("error: a", "2026-01-01T00:00:11Z"))])
    assert crashes.are_certain


def test_ends_with_other_words_are_not_certain_until_there_are_many() -> None:
    crashes = Crashes()
    for number in range(reasons.MOST_CRASHES):
        assert not crashes.are_certain
        crashes.note([crashed(ended(f"error: {number}", f"2026-01-01T00:00:0{number}Z"))])
    assert crashes.are_certain


def test_a_refusal_of_the_api_server_is_told_although_there_is_no_pod() -> None:
    refusal = 'pods "x" is forbidden: exceeded quota: small, requested: cpu=2, used: cpu=0, limited: cpu=1'
    condition = Condition(type="ReplicaFailure", status="True", reason="FailedCreate", message=refusal)
    reason = reasons.why((), Deployment(status=DeploymentStatus(conditions=(condition,))), 1.0)
    assert reason.final
    assert "quota small allows 1 CPU in all" in reason.text


def test_a_pod_that_fits_on_no_node_waits_with_what_the_scheduler_said() -> None:
    said = Condition(
        type="PodScheduled", status="False", message="0/3 nodes are available: 3 Insufficient memory."
    )
    waiting = Pod(status=PodStatus(phase="Pending", conditions=(said,)))
    reason = reasons.why((waiting,), None, 1.0)
    assert reason.text == "no node fits: too little memory on 3 of 3 nodes"
    assert not reason.final


def test_an_image_that_the_registry_does_not_have_is_final() -> None:
    waiting = Waiting(reason="ImagePullBackOff", message="manifest unknown: not found")
    status = ContainerStatus(image="r/x@sha256:0", state=ContainerState(waiting=waiting))
    reason = reasons.why((pod(status, phase="Pending"),), None, 31.0)
    assert reason.final
    assert "there is no image r/x@sha256:0" in reason.text


def test_a_server_that_runs_and_is_not_ready_loads() -> None:
    running = ContainerStatus(state=ContainerState(running=Running()))
    reason = reasons.why((pod(running),), None, 40.0)
    assert (reason.text, reason.final) == ("its server loads what it serves", False)


def test_the_end_of_the_time_is_told_with_the_reason() -> None:
    late = reasons.late(reasons.Reason(text="its server loads what it serves"), 120.4)
    assert late.final
    assert late.text == "it was not ready after 120 seconds: its server loads what it serves"


def test_a_container_that_did_its_work_before_the_server_is_no_crash() -> None:
    done = ContainerStatus(
        name="packages", state=ContainerState(terminated=ended(code=0, reason="Completed"))
    )
    server = ContainerStatus(name="server", state=ContainerState(running=Running()))
    seen = pod(server)
    seen = msgspec.structs.replace(
        seen, status=msgspec.structs.replace(seen.status, init_container_statuses=(done,))
    )
    assert not is_crashing(seen)
    crashes = Crashes()
    for _ in range(5):
        crashes.note([seen])
    assert not crashes.are_certain


def test_packages_that_cannot_be_fetched_are_told_in_their_own_words() -> None:
    words = "the store does not hold 0123456789ab, which is a part of the packages"
    failed = ContainerStatus(name="packages", state=ContainerState(terminated=ended(words)), restart_count=1)
    seen = pod(ContainerStatus(name="server"), phase="Pending")
    seen = msgspec.structs.replace(
        seen, status=msgspec.structs.replace(seen.status, init_container_statuses=(failed,))
    )
    assert words in reasons.why((seen,), None, 5.0).text

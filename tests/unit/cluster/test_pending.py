"""Why a pod does not run yet, judged from what a real cluster showed of such pods."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairway.cluster import pending, placing
from fairway.cluster.observed import Condition, Event, Metadata, Pod, PodStatus
from fairway.spec.run import Reason

SEEN: dict[str, Any] = msgspec.json.decode((Path(__file__).parent / "seen.json").read_bytes())
LONG = 120.0
FREE = "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."


def pod(name: str) -> Pod:
    return msgspec.convert(SEEN["pods"][name], Pod)


def events(name: str) -> tuple[Event, ...]:
    return msgspec.convert(SEEN["events"].get(name, []), tuple[Event, ...])


def judged(name: str, waited: float = LONG) -> pending.Pending:
    return pending.of_pod(pod(name), waited, events(name))


@pytest.mark.parametrize(
    ("name", "reason", "text"),
    [
        ("unschedulable-cpu", Reason.UNSCHEDULABLE, "too little CPU on 3 of 3 nodes"),
        ("unschedulable-gpu", Reason.UNSCHEDULABLE, "too little nvidia.com/gpu on 3 of 3 nodes"),
        ("unschedulable-label", Reason.UNSCHEDULABLE, "other labels than asked for on 3 of 3 nodes"),
        ("image-missing", Reason.IMAGE, "there is no image registry.example/nothing@sha256:000"),
        ("missing-secret", Reason.ENVIRONMENT, 'secret "nothing" not found'),
        ("missing-claim", Reason.ENVIRONMENT, "there is no volume claim nothing"),
        ("missing-mount", Reason.ENVIRONMENT, 'secret "nothing" not found'),
    ],
)
def test_what_no_waiting_mends_is_refused_after_a_while_and_named(
    name: str, reason: Reason, text: str
) -> None:
    found = judged(name)
    assert found.failure is not None
    assert found.failure.reason is reason
    assert text in found.failure.message
    assert found.failure.hint
    early = judged(name, 1.0)
    assert early.failure is None
    assert text in early.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("image-unreachable", "is not pulled yet: dial tcp closed.example: connect: connection refused"),
        ("image-odd-name", "is not pulled yet: dial tcp: lookup UPPER on"),
    ],
)
def test_a_registry_that_does_not_answer_is_waited_for(name: str, text: str) -> None:
    found = judged(name, 10_000.0)
    assert found.failure is None
    assert text in found.text


@pytest.mark.parametrize(
    ("name", "reason", "text"),
    [
        ("quota-impossible", Reason.QUOTA, "quota small allows 500m CPU in all, and the pod needs 2"),
        (
            "limit-range-max",
            Reason.ADMISSION,
            "maximum memory usage per Container is 512Mi, but limit is 1Gi",
        ),
        ("limit-range-min", Reason.ADMISSION, "minimum memory usage per Container is 32Mi"),
        ("pod-security", Reason.ADMISSION, 'violates PodSecurity "restricted:latest"'),
        ("quota-unset", Reason.ADMISSION, "must specify requests.cpu for: host"),
    ],
)
def test_a_pod_that_the_cluster_refuses_is_explained_by_the_event_of_its_job(
    name: str, reason: Reason, text: str
) -> None:
    found = pending.without_pod(events(name))
    assert found.failure is not None
    assert (found.failure.reason, found.again) == (reason, False)
    assert text in found.failure.message


def test_a_full_quota_is_waited_for_with_another_job() -> None:
    found = pending.without_pod(events("quota-full"))
    assert (found.failure, found.again, found.over_quota) == (None, True, True)
    assert found.text == "quota small is used up: CPU 400m of 500m"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ('Internal error occurred: failed calling webhook "x": context deadline exceeded', "does not answer"),
        ("Internal error occurred: resource quota evaluation timed out: timeout", "does not answer"),
        ("something new", "something new"),
    ],
)
def test_a_cluster_in_trouble_is_asked_again(message: str, text: str) -> None:
    found = pending.without_pod((Event(reason="FailedCreate", message=message),))
    assert (found.failure, found.again) == (None, True)
    assert text in found.text


def test_a_webhook_that_refuses_is_named() -> None:
    said = 'Error creating: admission webhook "policy.example" denied the request: no label `owner`'
    found = pending.without_pod((Event(reason="FailedCreate", message=said),))
    assert found.failure is not None
    assert found.failure.message.endswith("policy.example denied it: no label `owner`")


def test_the_last_word_of_a_job_counts() -> None:
    found = pending.without_pod((*events("quota-impossible"), *events("quota-full")))
    assert found.again
    assert pending.without_pod((Event(reason="SuccessfulCreate"),)).is_unmade


def waiting(message: str, image: str = "r/x:1") -> Pod:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    status = {"phase": "Pending", "containerStatuses": [{"name": "host", "image": image, "state": state}]}
    return msgspec.convert({"status": status}, Pod)


@pytest.mark.parametrize(
    ("message", "text", "final"),
    [
        ("pull access denied, repository does not exist or may require authorization", "denies r/x:1", True),
        ("unexpected status from HEAD request: 403 Forbidden", "denies r/x:1", True),
        ("failed to authorize: 401 Unauthorized", "denies r/x:1", True),
        (
            "429 Too Many Requests: toomanyrequests: You have reached your pull rate limit",
            "limits pulls",
            False,
        ),
        ("no match for platform in manifest: not found", "there is no image", True),
        ("dial tcp: lookup r on 192.0.2.1:53: no such host", "not pulled yet", False),
        ("x509: certificate signed by unknown authority", "not pulled yet", False),
    ],
)
def test_a_pull_is_explained_by_what_the_registry_said(message: str, text: str, *, final: bool) -> None:
    found = pending.of_pod(waiting(message), LONG)
    assert text in found.text
    assert (found.failure is not None) is final


def unscheduled(message: str) -> Pod:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return msgspec.convert({"status": {"phase": "Pending", "conditions": [condition]}}, Pod)


def test_a_pod_that_only_waits_for_others_waits_for_ever() -> None:
    busy = f"0/3 nodes are available: 1 Insufficient memory, 3 Insufficient cpu. {FREE}"
    found = pending.of_pod(unscheduled(busy), 10_000.0)
    assert (found.failure, found.text) == (
        None,
        "no node fits: too little memory on 1, too little CPU on 3 of 3 nodes",
    )


def test_taints_are_named() -> None:
    tainted = f"0/2 nodes are available: 2 node(s) had untolerated taint {{nvidia.com/gpu: }}. {FREE}"
    assert (
        pending.of_pod(unscheduled(tainted), 1.0).text
        == "no node fits: the taint nvidia.com/gpu on 2 of 2 nodes"
    )


def test_a_pod_that_runs_and_is_not_heard_points_at_the_network() -> None:
    assert judged("running", 5.0).text == ""
    assert "does not reach the control plane" in judged("running", 60.0).text


def test_a_node_that_is_being_made_is_waited_for() -> None:
    scaled = (Event(reason="TriggeredScaleUp", message="pod triggered scale-up: 1 -> 2"),)
    found = pending.of_pod(pod("unschedulable-cpu"), 10_000.0, scaled)
    assert found.failure is None
    assert found.text.endswith("a new node is on its way")


def chosen(message: str, words: str) -> Pod:
    """Return a pod that no node takes, with a choice of nodes."""
    condition = Condition(type="PodScheduled", status="False", reason="Unschedulable", message=message)
    return Pod(
        metadata=Metadata(annotations={placing.ASKED: words}),
        status=PodStatus(phase="Pending", conditions=(condition,)),
    )


NO_LABEL = (
    "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. "
    "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)


def test_nodes_that_a_step_asked_for_and_nobody_has_are_named_as_they_were_written() -> None:
    found = pending.of_pod(chosen(NO_LABEL, 'gpu="L4", arch="arm64"'), 1.0)
    assert found.text == 'no node fits: not gpu="L4", arch="arm64" on 3 of 3 nodes'


@pytest.mark.parametrize(
    ("reason", "refused"), [("NotTriggerScaleUp", True), ("Nominated", False), ("TriggeredScaleUp", False)]
)
def test_an_autoscaler_that_says_no_spares_the_wait_for_it(reason: str, refused: bool) -> None:
    heard = (Event(reason=reason, message="pod didn't trigger scale-up"),)
    found = pending.of_pod(chosen(NO_LABEL, 'gpu="L4"'), 11.0, heard)
    assert (found.failure is not None) is refused
    assert found.unplaced is (reason == "NotTriggerScaleUp" and not refused)


def test_a_class_of_priority_that_is_not_there_is_named() -> None:
    message = 'Error creating: pods "fw-1-" is forbidden: no PriorityClass with name high was found'
    found = pending.without_pod((Event(reason="FailedCreate", message=message),))
    assert found.failure is not None
    assert found.failure.message.endswith("there is no class of priority high")
    assert "kubectl get priorityclasses" in found.failure.hint


def test_a_job_in_a_queue_waits_for_its_turn_and_not_for_a_pod() -> None:
    waits = pending.in_queue(pending.without_pod(()), "team-a", 5)
    assert waits.text == "its turn in queue team-a"
    assert not waits.is_unmade
    long = pending.in_queue(pending.without_pod(()), "team-a", 30)
    assert long.text.startswith("its turn in queue team-a; if `kubectl get localqueue team-a`")
    assert pending.in_queue(pending.without_pod(()), "", 99).is_unmade
    refused = pending.without_pod((Event(reason="FailedCreate", message="forbidden"),))
    assert pending.in_queue(refused, "team-a", 99) is refused


def test_a_pod_that_fetches_its_packages_says_so() -> None:
    status = {
        "phase": "Pending",
        "initContainerStatuses": [{"name": "packages", "state": {"running": {}}}],
        "containerStatuses": [{"name": "host", "state": {"waiting": {"reason": "PodInitializing"}}}],
    }
    assert pending.of_pod(msgspec.convert({"status": status}, Pod), 1.0).text == "its packages are fetched"

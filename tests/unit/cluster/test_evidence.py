"""How a host ended, judged from its own report and from what a real cluster showed of such pods."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from fairway.cluster import evidence
from fairway.cluster.evidence import Sighting
from fairway.cluster.observed import (
    Condition,
    ContainerState,
    ContainerStatus,
    Event,
    Metadata,
    Pod,
    PodStatus,
    Running,
    Terminated,
)
from fairway.spec.link import HostEnded
from fairway.spec.run import Reason

SEEN: dict[str, Any] = msgspec.json.decode((Path(__file__).parent / "seen.json").read_bytes())
LONG_AGO, LATER = "2001-01-01T00:00:00Z", "2101-01-01T00:00:00Z"
"""Times of a cluster whose clock is another one. They decide nothing."""


def pod(name: str) -> Pod:
    return msgspec.convert(SEEN["pods"][name], Pod)


def lost_node(**metadata: Any) -> Pod:
    conditions = (Condition(type="Ready", status="False"), Condition(type="ContainersReady", status="True"))
    return Pod(
        metadata=Metadata(name="p", **metadata), status=PodStatus(phase="Running", conditions=conditions)
    )


def disrupted(reason: str, message: str = "") -> Pod:
    target = Condition(type="DisruptionTarget", status="True", reason=reason, message=message)
    return Pod(status=PodStatus(phase="Failed", conditions=(target,)))


@pytest.mark.parametrize(
    ("name", "reason", "text"),
    [
        ("oom-main", Reason.OOM, "out of memory"),
        ("oom-child", Reason.OOM, "out of memory"),
        (
            "disk",
            Reason.DISK,
            'it wrote more to disk than it may: the limit is 10Mi (Usage of EmptyDir volume "w" exceeds the limit "10Mi")',
        ),
        ("deadline", Reason.TIMEOUT, "timed out: its pod ran for as long as it may"),
        ("exit-3", Reason.HOST, "its pod ended with status 3: the last line"),
        ("exit-0", Reason.HOST, "its pod ended without a report"),
        ("start-error", Reason.ENVIRONMENT, "its container did not start"),
        ("evicted-api-ending", Reason.EVICTED, "its node is being emptied"),
        ("deleted-ending", Reason.HOST, "its pod was deleted"),
        ("no-room-on-node", Reason.HOST, "its node did not take the pod (OutOfcpu)"),
        ("no-such-selector-on-node", Reason.HOST, "its node did not take the pod (NodeAffinity)"),
    ],
)
def test_a_pod_that_has_ended_says_why(name: str, reason: Reason, text: str) -> None:
    lost = evidence.verdict(Sighting(pod=pod(name), silent=1.0, alone=True))
    assert lost is not None
    assert lost.failure.reason is reason
    assert text in lost.failure.message
    assert not lost.fenced


@pytest.mark.parametrize(
    ("found", "reason", "text"),
    [
        (
            disrupted("PreemptionByScheduler", "preempting to accommodate a higher priority pod"),
            Reason.PREEMPTED,
            "priority",
        ),
        (disrupted("DeletionByPodGC"), Reason.NODE, "does not exist any more"),
        (disrupted("DeletionByTaintManager"), Reason.EVICTED, "got a taint"),
        (
            disrupted("TerminationByKubelet", "The node was low on resource: memory"),
            Reason.EVICTED,
            "low on resource: memory",
        ),
        (
            Pod(status=PodStatus(phase="Failed", reason="NodeShutdown", message="in progress")),
            Reason.NODE,
            "shut down",
        ),
        (
            Pod(status=PodStatus(phase="Failed", reason="UnexpectedAdmissionError")),
            Reason.HOST,
            "did not take the pod",
        ),
    ],
)
def test_a_disruption_costs_no_retry_and_is_named(found: Pod, reason: Reason, text: str) -> None:
    failure = evidence.of_pod(found)
    assert failure.reason is reason
    assert failure.reason.is_loss
    assert text in failure.message


def test_a_pod_that_succeeded_is_no_evidence_of_success() -> None:
    lost = evidence.verdict(Sighting(pod=pod("exit-0"), silent=1.0))
    assert lost is not None
    assert lost.failure.reason is Reason.HOST


@pytest.mark.parametrize("name", sorted(SEEN["pods"]))
def test_nothing_said_about_a_pod_counts_while_its_host_is_heard(name: str) -> None:
    assert evidence.verdict(Sighting(pod=pod(name), silent=0.0, absent=True)) is None


@pytest.mark.parametrize(
    "seen",
    [
        Sighting(),
        Sighting(pod=pod("running"), silent=100_000.0),
        Sighting(pod=lost_node(), silent=299.0),
        Sighting(pod=lost_node(deletion_timestamp=LONG_AGO), silent=200.0, ending=89.0),
        Sighting(pod=pod("image-missing"), silent=100_000.0),
    ],
)
def test_without_positive_evidence_there_is_no_verdict(seen: Sighting) -> None:
    assert evidence.verdict(seen) is None


@pytest.mark.parametrize(
    "seen",
    [
        Sighting(pod=lost_node(), silent=301.0),
        Sighting(pod=lost_node(deletion_timestamp=LATER), silent=100.0, ending=91.0),
    ],
)
def test_a_lost_node_is_given_up_in_the_end_and_its_pod_fenced(seen: Sighting) -> None:
    lost = evidence.verdict(seen)
    assert lost is not None
    assert (lost.failure.reason, lost.fenced) == (Reason.NODE, True)


def test_a_pod_that_the_cluster_itself_has_taken_from_a_lost_node_is_given_up_at_once() -> None:
    target = Condition(type="DisruptionTarget", status="True", reason="DeletionByTaintManager")
    found = lost_node(deletion_timestamp=LATER)
    left = msgspec.structs.replace(
        found, status=msgspec.structs.replace(found.status, conditions=(*found.status.conditions, target))
    )
    lost = evidence.verdict(Sighting(pod=left, silent=75.0))
    assert lost is not None
    assert (lost.failure.reason, lost.fenced) == (Reason.NODE, True)
    assert evidence.verdict(Sighting(pod=left, silent=0.0)) is None, "its host is heard still"
    healthy = msgspec.structs.replace(left, status=PodStatus(phase="Running", conditions=(target,)))
    assert evidence.verdict(Sighting(pod=healthy, silent=75.0)) is None, "its node answers"


def test_an_event_tells_of_a_lost_node_as_well() -> None:
    events = (Event(reason="NodeNotReady", message="Node is not ready"),)
    assert evidence.on_lost_node(pod("running"), events)
    assert not evidence.on_lost_node(pod("running"))


def test_a_pod_that_is_gone_is_lost_and_fenced() -> None:
    lost = evidence.verdict(Sighting(pod=pod("running"), absent=True, silent=1.0))
    assert lost is not None
    assert (lost.failure.message, lost.fenced) == ("its host was lost: its pod was deleted", True)


KILLED = HostEnded(
    signal="SIGKILL", text="it was ended by SIGKILL", out_of_memory=True, peak=2**30, limit=2**30
)


def test_a_report_of_a_host_that_ran_out_of_memory_has_the_peak() -> None:
    alone = evidence.of_report(KILLED, alone=True)
    assert (alone.reason, alone.message) == (Reason.OOM, "out of memory: 1.0 GiB were in use of 1.0 GiB")
    # Nobody knows which of the attempts on a shared host took too much.
    shared = evidence.of_report(KILLED)
    assert (shared.reason, "out of memory" in shared.message) == (Reason.HOST, True)


@pytest.mark.parametrize(
    ("report", "found", "reason", "text"),
    [
        (HostEnded(text="it ended with status 3", code=3), None, Reason.HOST, "it ended with status 3"),
        (HostEnded(drained=True), None, Reason.HOST, "its pod was told to end"),
        (HostEnded(drained=True), "deleted-ending", Reason.HOST, "its pod was deleted"),
        (HostEnded(drained=True), "evicted-api-ending", Reason.EVICTED, "is being emptied"),
        (HostEnded(drained=True), "disk", Reason.DISK, "more to disk"),
        (HostEnded(drained=True), "deadline", Reason.TIMEOUT, "ran for as long"),
        (HostEnded(text="it was ended by SIGSEGV", signal="SIGSEGV"), "running", Reason.HOST, "SIGSEGV"),
    ],
)
def test_a_report_is_completed_by_what_the_cluster_says(
    report: HostEnded, found: str | None, reason: Reason, text: str
) -> None:
    failure = evidence.of_report(report, pod(found) if found else None, alone=True)
    assert failure.reason is reason
    assert text in failure.message


def test_the_cluster_has_said_why_once_there_is_a_reason() -> None:
    assert not evidence.says_why(pod("running"))
    assert all(evidence.says_why(pod(name)) for name in ("evicted-api-ending", "deleted-ending", "disk"))


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("Pod ephemeral local storage usage exceeds the total limit of containers 50Mi. ", "50Mi"),
        ('Container host exceeded its local ephemeral storage limit "2Gi". ', "2Gi"),
        ('Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". ', "1Gi"),
    ],
)
def test_a_step_that_wrote_too_much_is_blamed_only_if_it_was_alone(message: str, limit: str) -> None:
    found = Pod(status=PodStatus(phase="Failed", reason="Evicted", message=message))
    alone, shared = evidence.of_pod(found, alone=True), evidence.of_pod(found)
    assert (alone.reason, shared.reason) == (Reason.DISK, Reason.EVICTED)
    assert not alone.reason.is_loss
    assert f"the limit is {limit}" in alone.message
    assert "disk=" in alone.hint


def test_a_node_whose_disk_is_full_blames_no_step() -> None:
    message = (
        "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 900Mi. "
        "Container host was using 3Gi, request is 1Gi, has larger consumption of ephemeral-storage. "
    )
    found = Pod(status=PodStatus(phase="Failed", reason="Evicted", message=message))
    assert evidence.of_pod(found, alone=True).reason is Reason.EVICTED


def with_containers(phase: str, *, before: Terminated | None = None, **ended: Terminated | None) -> Pod:
    """Return a pod with containers, those that have ended with their end."""

    def status(name: str, end: Terminated | None) -> ContainerStatus:
        running = None if end is not None else Running()
        return ContainerStatus(name=name, state=ContainerState(terminated=end, running=running))

    return Pod(
        status=PodStatus(
            phase=phase,
            container_statuses=tuple(status(name, end) for name, end in ended.items()),
            init_container_statuses=(status("packages", before),) if before is not None else (),
        )
    )


COMPLETED = Terminated(reason="Completed")
OUT_OF_MEMORY = Terminated(reason="OOMKilled", exit_code=137)


def test_a_container_before_the_host_that_has_done_its_work_hides_no_end_of_the_host() -> None:
    found = with_containers("Failed", before=COMPLETED, host=OUT_OF_MEMORY)
    assert evidence.of_pod(found, alone=True).reason is Reason.OOM


@pytest.mark.parametrize(
    ("status", "reason"), [(1, Reason.ENVIRONMENT), (75, Reason.HOST), (143, Reason.HOST)]
)
def test_packages_that_do_not_come_are_told_from_a_control_plane_that_does_not_answer(
    status: int, reason: Reason
) -> None:
    end = Terminated(reason="Error", exit_code=status, message="first\nthe store does not hold 01ab\n")
    failure = evidence.of_pod(with_containers("Failed", before=end, host=None))
    assert failure.reason is reason
    if reason is Reason.ENVIRONMENT:
        assert failure.message.endswith("the store does not hold 01ab")


def test_a_container_that_somebody_added_keeps_no_ended_host_alive() -> None:
    found = with_containers("Running", proxy=None, host=OUT_OF_MEMORY)
    assert found.has_ended
    seen = Sighting(pod=found, silent=1.0, alone=True)
    lost = evidence.verdict(seen)
    assert lost is not None
    assert (lost.failure.reason, lost.fenced) == (Reason.OOM, False)


def test_a_container_that_somebody_added_and_that_ended_says_nothing_about_the_host() -> None:
    assert not with_containers("Running", proxy=Terminated(reason="Error", exit_code=1), host=None).has_ended
    both = with_containers("Failed", proxy=Terminated(reason="Error", exit_code=1), host=OUT_OF_MEMORY)
    assert evidence.of_pod(both, alone=True).reason is Reason.OOM

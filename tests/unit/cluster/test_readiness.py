"""The reasons for which a control plane is not ready. The texts are those of a real cluster."""

import msgspec
import pytest

from fairway.cluster.readiness import (
    ClaimStatus,
    ClaimView,
    Concerned,
    Condition,
    ContainerState,
    ContainerView,
    DeploymentStatus,
    DeploymentView,
    DeploymentWish,
    EndedState,
    EventView,
    Finding,
    Named,
    PodStatus,
    PodView,
    Sight,
    TemplateView,
    WaitingState,
    judge,
)

NEW = DeploymentView(metadata=Named(name="fairway", generation=1))
READY = DeploymentView(
    metadata=Named(name="fairway", generation=2),
    status=DeploymentStatus(observed_generation=2, replicas=1, updated_replicas=1, available_replicas=1),
)
CLAIM = ClaimView(metadata=Named(name="fairway-store"), status=ClaimStatus(phase="Pending"))


def waiting(reason: str, message: str = "") -> PodView:
    """Return a pod whose container waits."""
    container = ContainerView(state=ContainerState(waiting=WaitingState(reason=reason, message=message)))
    return PodView(
        metadata=Named(name="fairway-1"), status=PodStatus(phase="Pending", container_statuses=(container,))
    )


def crashed(restarts: int, *, code: int = 1, reason: str = "Error") -> PodView:
    """Return a pod whose container ended and waits for the next try."""
    container = ContainerView(
        restart_count=restarts,
        state=ContainerState(waiting=WaitingState(reason="CrashLoopBackOff")),
        last_state=ContainerState(terminated=EndedState(exit_code=code, reason=reason)),
    )
    return PodView(
        metadata=Named(name="fairway-1"), status=PodStatus(phase="Running", container_statuses=(container,))
    )


def conditions(phase: str, *given: Condition) -> PodView:
    """Return a pod with conditions."""
    return PodView(metadata=Named(name="fairway-1"), status=PodStatus(phase=phase, conditions=given))


def event(kind: str, name: str, reason: str, message: str = "") -> EventView:
    """Return an event."""
    return EventView(involved_object=Concerned(kind=kind, name=name), reason=reason, message=message)


def of(pod: PodView) -> Finding:
    """Return what is found of a pod."""
    return judge(Sight(deployment=NEW, pods=(pod,)))


def test_a_deployment_is_ready_when_the_status_is_of_its_last_change() -> None:
    stale = DeploymentView(metadata=Named(generation=3), status=READY.status)
    assert judge(Sight(deployment=READY)).ready
    assert not judge(Sight(deployment=stale)).ready
    assert not judge(Sight(deployment=NEW)).ready


def test_a_deployment_is_not_ready_while_an_old_pod_is_counted() -> None:
    status = DeploymentStatus(observed_generation=2, replicas=2, updated_replicas=1, available_replicas=1)
    assert not judge(Sight(deployment=DeploymentView(metadata=Named(generation=2), status=status))).ready


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        (
            'rpc error: code = NotFound desc = failed to pull image "r/fairway@sha256:1": not found',
            "image push",
        ),
        ("rpc error: code = Unknown desc = 401 Unauthorized", "--pull-secret"),
        ("pull access denied, repository does not exist or may require authorization", "--pull-secret"),
        ("http: server gave HTTP response to HTTPS client", "hosts.toml"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "hosts.toml"),
        ("dial tcp: lookup registry.example: no such host", "doctor"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_given_up_with_what_mends_it(message: str, hint: str) -> None:
    found = of(waiting("ErrImagePull", message))
    assert message in found.words
    assert hint in found.hint
    assert found.patience <= 60


def test_back_off_and_error_of_a_pull_are_one_finding() -> None:
    first = of(waiting("ErrImagePull", "rpc error: code = NotFound"))
    second = of(waiting("ImagePullBackOff", "Back-off pulling image"))
    assert first.cause == second.cause


def test_one_crash_may_heal_and_the_second_restart_does_not() -> None:
    assert of(crashed(1)).patience > 600
    assert of(crashed(2)).patience == 0.0
    assert of(crashed(2)).crashed == "fairway-1"
    assert "exit code 1" in of(crashed(2)).words


def test_a_kill_for_memory_is_said() -> None:
    assert "more memory" in of(crashed(2, code=137, reason="OOMKilled")).words


def test_a_container_that_cannot_be_made_is_named() -> None:
    message = "container has runAsNonRoot and image will run as root"
    assert message in of(waiting("CreateContainerConfigError", message)).words


def test_a_pod_that_no_node_takes_is_waited_for_because_nodes_may_come() -> None:
    found = of(
        conditions(
            "Pending",
            Condition(
                type="PodScheduled",
                status="False",
                reason="Unschedulable",
                message="0/3 nodes are available: 3 Insufficient memory.",
            ),
        )
    )
    assert "3 Insufficient memory" in found.words
    assert 60 <= found.patience <= 300


def test_a_quota_that_refuses_the_pod_is_said() -> None:
    message = (
        'pods "fairway-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0'
    )
    status = DeploymentStatus(
        conditions=(Condition(type="ReplicaFailure", status="True", reason="FailedCreate", message=message),)
    )
    found = judge(Sight(deployment=DeploymentView(metadata=Named(generation=1), status=status)))
    assert message in found.words
    assert found.patience <= 30


def test_a_claim_without_a_class_is_given_up() -> None:
    message = "no persistent volumes available for this claim and no storage class is set"
    found = judge(
        Sight(
            deployment=NEW,
            pods=(conditions("Pending"),),
            claim=CLAIM,
            events=(event("PersistentVolumeClaim", "fairway-store", "FailedBinding", message),),
        )
    )
    assert message in found.words
    assert "--storage-class" in found.hint
    assert found.patience <= 30


def test_a_claim_that_waits_for_its_first_pod_is_in_order() -> None:
    found = judge(
        Sight(
            deployment=NEW,
            pods=(conditions("Pending"),),
            claim=CLAIM,
            events=(
                event("PersistentVolumeClaim", "fairway-store", "WaitForFirstConsumer", "waiting for first"),
            ),
        )
    )
    assert found.words == "a node starts its pod"


def test_the_claim_of_somebody_else_says_nothing() -> None:
    other = event("PersistentVolumeClaim", "other", "FailedBinding", "no volume")
    found = judge(Sight(deployment=NEW, pods=(conditions("Pending"),), claim=CLAIM, events=(other,)))
    assert "no volume" not in found.words


def test_a_crash_is_told_before_a_claim() -> None:
    events = (event("PersistentVolumeClaim", "fairway-store", "FailedBinding", "no volume"),)
    found = judge(Sight(deployment=NEW, pods=(crashed(2),), claim=CLAIM, events=events))
    assert "exit code" in found.words


def test_the_last_event_of_a_pod_says_if_its_image_is_pulled_or_mounted() -> None:
    pod = conditions("Pending")
    pulling = event("Pod", "fairway-1", "Pulling")
    mount = event("Pod", "fairway-1", "FailedMount", 'configmap "kube-root-ca.crt" not found')
    assert judge(Sight(deployment=NEW, pods=(pod,), events=(pulling,))).words == "a node pulls its image"
    assert "kube-root-ca.crt" in judge(Sight(deployment=NEW, pods=(pod,), events=(pulling, mount))).words


def test_a_pod_that_is_being_deleted_is_only_waited_for() -> None:
    container = ContainerView(state=ContainerState(terminated=EndedState(exit_code=1)), restart_count=5)
    pod = PodView(
        metadata=Named(name="fairway-1", deletion_timestamp="2026-01-01T00:00:00Z"),
        status=PodStatus(phase="Running", container_statuses=(container,)),
    )
    assert of(pod).words == "the pod before it stops"


def test_an_evicted_pod_is_named() -> None:
    pod = PodView(
        metadata=Named(name="fairway-1"),
        status=PodStatus(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
    )
    assert "low on resource" in of(pod).words


def test_a_crash_of_the_configuration_before_says_nothing_about_this_one() -> None:
    template = TemplateView(metadata=Named(annotations={"fairway.dev/config": "new"}))
    deployment = DeploymentView(metadata=Named(generation=3), spec=DeploymentWish(template=template))
    old = msgspec.structs.replace(
        crashed(5), metadata=Named(name="fairway-1", annotations={"fairway.dev/config": "old"})
    )
    new = msgspec.structs.replace(
        crashed(5), metadata=Named(name="fairway-2", annotations={"fairway.dev/config": "new"})
    )
    assert judge(Sight(deployment=deployment, pods=(old,))).words == "the pod before it stops"
    assert judge(Sight(deployment=deployment, pods=(old, new))).crashed == "fairway-2"

"""The reasons for which the control plane is not ready yet, read from what Kubernetes says about its objects. Pure.

Kubernetes repeats most tries for ever. So each finding has a patience: the seconds after which a person gets to know that
waiting does not help.
"""

import msgspec

from fairway.cluster.manifests import CONFIG_HASH

_IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
)
_CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_LONG = 3600.0
_SHORT = 20.0


class _View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of what the API server tells about an object."""


class Named(_View, frozen=True, kw_only=True):
    """The name of an object, and what belongs to it."""

    name: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generation: int = 0
    deletion_timestamp: str = ""
    creation_timestamp: str | None = ""


class Condition(_View, frozen=True, kw_only=True):
    """A condition of an object."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class WaitingState(_View, frozen=True, kw_only=True):
    """The reason for which a container does not run yet."""

    reason: str = ""
    message: str = ""


class EndedState(_View, frozen=True, kw_only=True):
    """The end of a container."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class ContainerState(_View, frozen=True, kw_only=True):
    """The state of a container. At most one is set."""

    waiting: WaitingState | None = None
    terminated: EndedState | None = None


class ContainerView(_View, frozen=True, kw_only=True):
    """A container of a pod as the kubelet sees it."""

    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(_View, frozen=True, kw_only=True):
    """The state of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerView, ...] = ()


class PodView(_View, frozen=True, kw_only=True):
    """A pod of the control plane."""

    metadata: Named = Named()
    status: PodStatus = PodStatus()


class DeploymentStatus(_View, frozen=True, kw_only=True):
    """The state of a Deployment."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class TemplateView(_View, frozen=True, kw_only=True):
    """The pod that a Deployment makes now."""

    metadata: Named = Named()


class DeploymentWish(_View, frozen=True, kw_only=True):
    """The pods that a Deployment should have."""

    template: TemplateView = TemplateView()


class DeploymentView(_View, frozen=True, kw_only=True):
    """The Deployment of the control plane."""

    metadata: Named = Named()
    spec: DeploymentWish = DeploymentWish()
    status: DeploymentStatus = DeploymentStatus()


class ClaimStatus(_View, frozen=True, kw_only=True):
    """The state of a claim."""

    phase: str = ""


class ClaimView(_View, frozen=True, kw_only=True):
    """The claim of the store's volume."""

    metadata: Named = Named()
    status: ClaimStatus = ClaimStatus()


class Concerned(_View, frozen=True, kw_only=True):
    """The object that an event is about."""

    kind: str = ""
    name: str = ""


class EventView(_View, frozen=True, kw_only=True):
    """An event."""

    metadata: Named = Named()
    involved_object: Concerned = Concerned()
    reason: str = ""
    message: str = ""
    last_timestamp: str | None = ""
    event_time: str | None = ""

    @property
    def moment(self) -> str:
        """The moment of the last time, as a text that sorts."""
        return self.last_timestamp or self.event_time or self.metadata.creation_timestamp or ""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """The objects of the control plane at one moment."""

    deployment: DeploymentView
    pods: tuple[PodView, ...] = ()
    claim: ClaimView | None = None
    events: tuple[EventView, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the wait.

    Attributes:
        words: what is going on, as a clause: "a node pulls its image".
        cause: one word for it. The words of one cause may change from moment to moment.
        ready: True if the control plane is ready.
        patience: the seconds after which waiting does not help, if no other cause is found meanwhile.
        hint: the next thing to try.
        crashed: the name of the pod whose last output says more. Empty if there is none.
    """

    words: str
    cause: str
    ready: bool = False
    patience: float = _LONG
    hint: str = ""
    crashed: str = ""


def judge(sight: Sight) -> Finding:
    """Return the state of the wait."""
    if _is_ready(sight.deployment):
        return Finding(words="it is ready", cause="ready", ready=True)
    live = [pod for pod in sight.pods if _is_current(pod, sight.deployment)]
    for pod in live:
        found = _of_container(pod)
        if found is not None:
            return found
    found = _of_claim(sight)
    if found is not None:
        return found
    for pod in live:
        return _of_pod(pod, sight.events)
    if sight.pods:
        return Finding(words="the pod before it stops", cause="before")
    return _without_pod(sight)


def judge_pull(pod: PodView) -> Finding:
    """Return whether a node has pulled the image of a pod, whatever became of its container."""
    for container in pod.status.container_statuses:
        waiting = container.state.waiting
        if waiting is not None and waiting.reason in _IMAGE_REASONS:
            return _of_image(waiting)
        if waiting is None or waiting.reason in _CONFIG_REASONS:
            return Finding(words="its image is pulled", cause="pulled", ready=True)
    return _of_pod(pod, ())


def _is_current(pod: PodView, deployment: DeploymentView) -> bool:
    """Tell whether a pod is of the present configuration. One of an earlier configuration says nothing about this one."""
    wanted = deployment.spec.template.metadata.annotations.get(CONFIG_HASH, "")
    same = pod.metadata.annotations.get(CONFIG_HASH, "") == wanted
    return same and not pod.metadata.deletion_timestamp


def _is_ready(deployment: DeploymentView) -> bool:
    status = deployment.status
    # An old status says nothing about a Deployment that was just changed.
    current = status.observed_generation >= deployment.metadata.generation > 0
    return current and status.available_replicas >= 1 and status.updated_replicas == status.replicas == 1


def _of_container(pod: PodView) -> Finding | None:
    """Return what keeps the container of a pod from its work."""
    for container in pod.status.container_statuses:
        waiting = container.state.waiting or WaitingState()
        ended = container.state.terminated or container.last_state.terminated
        if waiting.reason in _IMAGE_REASONS:
            return _of_image(waiting)
        if ended is not None and (container.restart_count or container.state.terminated):
            return _of_crash(pod, container.restart_count, ended)
        if waiting.reason in _CONFIG_REASONS:
            return Finding(
                words=f"its container cannot be made: {waiting.message or waiting.reason}",
                cause="container",
                patience=_SHORT,
                hint=f"`kubectl describe pod {pod.metadata.name}` shows the pod",
            )
    return None


def _of_image(waiting: WaitingState) -> Finding:
    said = waiting.message or waiting.reason
    patience = _SHORT
    low = said.lower()
    if "not found" in low or "manifest unknown" in low:
        hint = "push it again: `fairway image push REGISTRY`; the name of the registry must be the one that nodes use"
    elif any(word in low for word in ("unauthorized", "denied", "forbidden", "401", "403")):
        hint = "the nodes need credentials: `kubectl create secret docker-registry NAME`, and `--pull-secret NAME`"
    elif "http response to https" in low or "x509" in low or "certificate" in low:
        hint = "the nodes must trust the registry: see the settings of containerd, `hosts.toml`"
    else:
        patience = 3 * _SHORT  # a registry or a network may come back
        hint = "`fairway doctor` tries a pull from a node; a registry on this machine is not reached from the nodes"
    return Finding(words=f"its image cannot be pulled: {said}", cause="image", patience=patience, hint=hint)


def _of_crash(pod: PodView, restarts: int, ended: EndedState) -> Finding:
    if ended.reason == "OOMKilled":
        words, hint = (
            "it was killed because it used more memory than its limit",
            "report this with `kubectl top pod`",
        )
    else:
        words = f"it ended with exit code {ended.exit_code}"
        hint = f"`kubectl logs {pod.metadata.name} --previous` has all of its output"
    # One restart may heal: a volume or the network came late.
    patience = 0.0 if restarts >= 2 else _LONG
    return Finding(words=words, cause="crash", patience=patience, hint=hint, crashed=pod.metadata.name)


def _of_claim(sight: Sight) -> Finding | None:
    """Return what keeps the volume from its existence. A claim that waits for its first pod is in order."""
    claim = sight.claim
    if claim is None or claim.status.phase == "Bound":
        return None
    if claim.status.phase == "Lost":
        return Finding(
            words="the volume of its store is lost",
            cause="volume",
            patience=0.0,
            hint=f"`kubectl describe pvc {claim.metadata.name}` shows what was there",
        )
    for event in reversed(sight.events):
        if event.involved_object.kind != "PersistentVolumeClaim":
            continue
        if event.involved_object.name == claim.metadata.name and event.reason in (
            "ProvisioningFailed",
            "FailedBinding",
        ):
            hint = (
                "name a storage class: `--storage-class NAME` (`kubectl get storageclass` lists them); "
                "`--ephemeral` keeps the store in the pod, where it is lost with it"
            )
            return Finding(
                words=f"there is no volume for its store: {event.message}",
                cause="volume",
                patience=_SHORT,
                hint=hint,
            )
    return None


def _of_pod(pod: PodView, events: tuple[EventView, ...]) -> Finding:
    """Return the state of a pod whose container is in order so far."""
    if pod.status.phase == "Failed":
        return Finding(
            words=f"its pod failed: {pod.status.message or pod.status.reason}",
            cause="pod",
            patience=2 * _SHORT,
            hint=f"`kubectl describe pod {pod.metadata.name}` shows why",
        )
    for condition in pod.status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            return Finding(
                words=f"no node takes its pod: {condition.message}",
                cause="placement",
                hint="it asks for 0.1 CPU, 128 MiB of memory and 256 MiB of disk; `kubectl describe nodes` shows the room",
                patience=120.0,
            )
    last = _last(events, "Pod", pod.metadata.name)
    if last.reason in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
        return Finding(
            words=f"its pod cannot start: {last.message}",
            cause="start",
            patience=120.0,
            hint=f"`kubectl describe pod {pod.metadata.name}` shows more",
        )
    running = any(condition.type == "Initialized" for condition in pod.status.conditions) and bool(
        pod.status.phase == "Running"
    )
    if running:
        return Finding(
            words="it starts",
            cause="begin",
            crashed=pod.metadata.name,
            patience=120.0,
            hint="`kubectl logs deployment/fairway`",
        )
    if last.reason == "Pulling":
        return Finding(words="a node pulls its image", cause="pull")
    return Finding(words="a node starts its pod", cause="node")


def _without_pod(sight: Sight) -> Finding:
    """Return why there is no pod at all."""
    for condition in sight.deployment.status.conditions:
        if condition.type == "ReplicaFailure" and condition.status == "True":
            return Finding(
                words=f"the cluster refuses its pod: {condition.message}",
                cause="refused",
                patience=_SHORT,
                hint="`kubectl describe quota,limitrange` and the labels of the namespace show its rules",
            )
    return Finding(
        words="Kubernetes makes its pod",
        cause="make",
        patience=60.0,
        hint="`kubectl describe deployment fairway`",
    )


def _last(events: tuple[EventView, ...], kind: str, name: str) -> EventView:
    for event in reversed(events):
        if event.involved_object.kind == kind and event.involved_object.name == name:
            return event
    return EventView()

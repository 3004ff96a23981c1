"""The pods, Jobs and events that a cluster shows, with the fields that say how a host fares and no others."""

import calendar
import time
from contextlib import suppress

import msgspec


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of an object. Fields that Kubernetes leaves out have their defaults, and unknown fields are ignored."""


class Metadata(_Part, frozen=True, kw_only=True):
    """The name, identity and labels of an object."""

    name: str = ""
    uid: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    deletion_timestamp: str = ""

    @property
    def deleted_at(self) -> float:
        """The time at which the object was to be gone, in seconds since the epoch. 0 for one that is not deleted."""
        return seconds_of(self.deletion_timestamp)


def seconds_of(text: str) -> float:
    """Return a time as Kubernetes writes it in seconds since the epoch. 0 for a text that is no time."""
    with suppress(ValueError):
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    return 0.0


class Condition(_Part, frozen=True, kw_only=True):
    """A condition of a pod or Job."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class Waiting(_Part, frozen=True, kw_only=True):
    """The reason why a container does not run yet."""

    reason: str = ""
    message: str = ""


class Running(_Part, frozen=True, kw_only=True):
    """The start of a container that runs."""

    started_at: str = ""


class Terminated(_Part, frozen=True, kw_only=True):
    """The end of a container."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    finished_at: str | None = None


class ContainerState(_Part, frozen=True, kw_only=True):
    """The state of a container: one of the three."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Part, frozen=True, kw_only=True):
    """The status of a container."""

    name: str = ""
    image: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(_Part, frozen=True, kw_only=True):
    """The status of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class PodSpec(_Part, frozen=True, kw_only=True):
    """The wishes about a pod."""

    termination_grace_period_seconds: int = 30


class Pod(_Part, frozen=True, kw_only=True):
    """A pod."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def condition(self, kind: str) -> Condition:
        """Return the condition of a type. Without one, it is empty."""
        return next((one for one in self.status.conditions if one.type == kind), Condition())

    @property
    def containers(self) -> tuple[ContainerStatus, ...]:
        """The containers, those first that run before the others."""
        return self.status.init_container_statuses + self.status.container_statuses

    @property
    def has_ended(self) -> bool:
        """True when no container of the pod runs any more, and none will."""
        return self.status.phase in ("Succeeded", "Failed")


class JobStatus(_Part, frozen=True, kw_only=True):
    """The status of a Job."""

    conditions: tuple[Condition, ...] = ()
    active: int = 0
    failed: int = 0


class Limits(_Part, frozen=True, kw_only=True):
    """The most that a container may use, as Kubernetes writes it."""

    limits: dict[str, str] = {}


class Container(_Part, frozen=True, kw_only=True):
    """A container that is wanted."""

    resources: Limits = Limits()


class JobPodSpec(_Part, frozen=True, kw_only=True):
    """The containers of the pod that a Job makes."""

    containers: tuple[Container, ...] = ()


class PodTemplate(_Part, frozen=True, kw_only=True):
    """The pod that a Job makes."""

    spec: JobPodSpec = JobPodSpec()


class JobSpec(_Part, frozen=True, kw_only=True):
    """The pod that a Job is for."""

    template: PodTemplate = PodTemplate()


class Job(_Part, frozen=True, kw_only=True):
    """A Job."""

    metadata: Metadata = Metadata()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class Event(_Part, frozen=True, kw_only=True):
    """An event about an object."""

    reason: str = ""
    message: str = ""
    type: str = ""
    last_timestamp: str | None = None

"""The pods, Jobs and events that a cluster shows, with the fields that say how a host fares and no others."""

import msgspec

HOST = "host"
"""The name of the container in which the host runs."""


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


class Limits(_Part, frozen=True, kw_only=True):
    """The most that a container may use, as Kubernetes writes it."""

    limits: dict[str, str] = {}


class Container(_Part, frozen=True, kw_only=True):
    """A container that is wanted."""

    resources: Limits = Limits()


class PodSpec(_Part, frozen=True, kw_only=True):
    """The wishes about a pod, and the containers that are wanted in it."""

    termination_grace_period_seconds: int = 30
    containers: tuple[Container, ...] = ()


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
        """The containers, those first that run before the others. Of these, one that has done its work is left out."""
        before = (
            one
            for one in self.status.init_container_statuses
            if one.state.terminated is None or one.state.terminated.exit_code
        )
        return (*before, *self.status.container_statuses)

    @property
    def ended(self) -> Terminated | None:
        """The end of the host's container, or of one before it that failed. None while neither has ended.

        Others may have put containers of their own into the pod. Their end says nothing about the host.
        """
        statuses = self.status.container_statuses
        hosts = [one for one in statuses if one.name == HOST] or list(statuses)
        for one in hosts:
            if one.state.terminated is not None:
                return one.state.terminated
        before = (one.state.terminated for one in self.status.init_container_statuses)
        return next((one for one in before if one is not None and one.exit_code), None)

    @property
    def failed_before(self) -> str:
        """The name of a container that failed before the host could start. It is empty if none did."""
        for one in self.status.init_container_statuses:
            if one.state.terminated is not None and one.state.terminated.exit_code:
                return one.name
        return ""

    @property
    def has_ended(self) -> bool:
        """True when the host of the pod does not run any more, and never will."""
        if self.status.phase in ("Succeeded", "Failed"):
            return True
        # A container that somebody added, such as a proxy, may go on for ever.
        return any(
            one.name == HOST and one.state.terminated is not None for one in self.status.container_statuses
        )


class JobStatus(_Part, frozen=True, kw_only=True):
    """The status of a Job."""

    conditions: tuple[Condition, ...] = ()
    active: int = 0
    failed: int = 0


class PodTemplate(_Part, frozen=True, kw_only=True):
    """The pod that a Job makes."""

    spec: PodSpec = PodSpec()


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

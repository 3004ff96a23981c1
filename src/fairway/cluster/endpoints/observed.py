"""The view that a cluster gives of endpoints, with the fields that say how they fare and no others."""

from collections.abc import Iterable, Mapping

import msgspec

from fairway.cluster.endpoints import naming
from fairway.cluster.observed import Condition, Metadata, Pod


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of an object. Fields that Kubernetes leaves out have their defaults, and unknown fields are ignored."""


class DeploymentSpec(_Part, frozen=True, kw_only=True):
    """The number of pods that a Deployment shall have."""

    replicas: int = 1


class DeploymentStatus(_Part, frozen=True, kw_only=True):
    """The numbers of pods that a Deployment has."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class Deployment(_Part, frozen=True, kw_only=True):
    """A Deployment of a revision."""

    metadata: Metadata = Metadata()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()

    def is_complete(self, generation: int, count: int) -> bool:
        """Tell whether all pods are of a generation, and enough of them are ready."""
        status = self.status
        return (
            status.observed_generation >= generation
            and status.updated_replicas >= count
            and status.replicas == status.updated_replicas == self.spec.replicas
            and status.ready_replicas >= count
        )

    @property
    def refusal(self) -> str:
        """The message of the API server that refuses pods. It is empty if pods are made."""
        for one in self.status.conditions:
            if one.type == "ReplicaFailure" and one.status == "True":
                return one.message
        return ""


class ServiceSpec(_Part, frozen=True, kw_only=True):
    """The labels that a Service looks for."""

    selector: dict[str, str] = {}


class Service(_Part, frozen=True, kw_only=True):
    """A Service."""

    metadata: Metadata = Metadata()
    spec: ServiceSpec = ServiceSpec()


class Reference(_Part, frozen=True, kw_only=True):
    """The pod behind an address."""

    name: str = ""


class AddressConditions(_Part, frozen=True, kw_only=True):
    """The state of an address."""

    ready: bool | None = None


class Address(_Part, frozen=True, kw_only=True):
    """An address that a Service leads to."""

    conditions: AddressConditions = AddressConditions()
    target_ref: Reference | None = None


class EndpointSlice(_Part, frozen=True, kw_only=True):
    """A part of the addresses of a Service."""

    endpoints: tuple[Address, ...] | None = ()


def routed(slices: Iterable[EndpointSlice]) -> frozenset[str]:
    """Return the names of the pods that a Service leads new connections to."""
    return frozenset(
        one.target_ref.name
        for part in slices
        for one in part.endpoints or ()
        if one.target_ref is not None and one.conditions.ready is not False
    )


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """All that is seen of one endpoint.

    Attributes:
        pods: the pods that live and are not being deleted.
        leaving: the pods that only finish their requests.
        deployments: the Deployments by the number of their revision, without those that are being deleted.
    """

    service: Service | None = None
    pods: tuple[Pod, ...] = ()
    leaving: tuple[Pod, ...] = ()
    deployments: Mapping[int, Deployment] = {}

    @property
    def is_nothing(self) -> bool:
        """True when nothing of the endpoint exists."""
        return self.service is None and not self.pods and not self.deployments

    @property
    def pointed(self) -> int:
        """The revision that the Service leads to. 0 without a Service."""
        return naming.selects(self.service.spec.selector) if self.service is not None else 0

    @property
    def serving(self) -> int:
        """The revision that answers. 0 if none does."""
        return self.pointed if self.ready(self.pointed) else 0

    def of(self, number: int) -> tuple[Pod, ...]:
        """Return the pods of a revision."""
        return tuple(pod for pod in self.pods if revision_of(pod.metadata) == number)

    def ready(self, number: int) -> int:
        """Return the number of pods of a revision that are ready."""
        return sum(is_ready(pod) for pod in self.of(number))


def gather(
    name: str, services: Mapping[str, Service], pods: Iterable[Pod], deployments: Iterable[Deployment]
) -> Seen:
    """Return what is seen of the endpoint whose Service has a name."""
    own = [pod for pod in pods if pod.metadata.labels.get(naming.ENDPOINT_LABEL) == name]
    found = services.get(name)
    return Seen(
        service=found if found is not None and not found.metadata.deletion_timestamp else None,
        pods=tuple(pod for pod in own if not pod.metadata.deletion_timestamp and not pod.has_ended),
        leaving=tuple(pod for pod in own if pod.metadata.deletion_timestamp and not pod.has_ended),
        deployments={
            revision_of(one.metadata): one
            for one in deployments
            if one.metadata.labels.get(naming.ENDPOINT_LABEL) == name and not one.metadata.deletion_timestamp
        },
    )


def revision_of(metadata: Metadata) -> int:
    """Return the number of the revision that an object belongs to. 0 for none."""
    return naming.selects(metadata.labels)


def is_ready(pod: Pod) -> bool:
    """Tell whether a pod answers."""
    return pod.condition("Ready").status == "True"


def is_crashing(pod: Pod) -> bool:
    """Tell whether the server of a pod has ended at least once, and is not ready again."""
    return not is_ready(pod) and any(
        one.restart_count or one.state.terminated is not None for one in pod.containers
    )

"""The kinds of objects that Fairway writes to Kubernetes, each with the fields that are used and no others."""

import msgspec

from fairway.cluster.podspec import Amounts, Metadata, Part, PodSpec, PodTemplate, always


class Selector(Part, frozen=True, kw_only=True):
    """The labels that pods must have. An empty table selects all pods."""

    match_labels: dict[str, str]


class ServiceAccount(Part, frozen=True, kw_only=True):
    """An account that pods run as, or for which a person makes a token."""

    api_version: str = always("v1")
    kind: str = always("ServiceAccount")
    metadata: Metadata
    automount_service_account_token: bool | None = None


class Rule(Part, frozen=True, kw_only=True):
    """The verbs that a Role grants on resources."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    resource_names: tuple[str, ...] = ()
    verbs: tuple[str, ...]


class Role(Part, frozen=True, kw_only=True):
    """The rights in one namespace."""

    api_version: str = always("rbac.authorization.k8s.io/v1")
    kind: str = always("Role")
    metadata: Metadata
    rules: tuple[Rule, ...]


class RoleReference(Part, frozen=True, kw_only=True):
    """The Role that a RoleBinding grants."""

    api_group: str
    kind: str
    name: str


class Subject(Part, frozen=True, kw_only=True):
    """The account that a RoleBinding grants rights to."""

    kind: str
    name: str
    namespace: str


class RoleBinding(Part, frozen=True, kw_only=True):
    """The grant of a Role to an account."""

    api_version: str = always("rbac.authorization.k8s.io/v1")
    kind: str = always("RoleBinding")
    metadata: Metadata
    role_ref: RoleReference
    subjects: tuple[Subject, ...]


class ConfigMap(Part, frozen=True, kw_only=True):
    """Texts by name."""

    api_version: str = always("v1")
    kind: str = always("ConfigMap")
    metadata: Metadata
    data: dict[str, str]


class ClaimSpec(Part, frozen=True, kw_only=True):
    """The size and the sharing of a volume."""

    access_modes: tuple[str, ...]
    resources: Amounts
    storage_class_name: str = ""


class PersistentVolumeClaim(Part, frozen=True, kw_only=True):
    """The claim for a volume that outlives the pod."""

    api_version: str = always("v1")
    kind: str = always("PersistentVolumeClaim")
    metadata: Metadata
    spec: ClaimSpec


class ServicePort(Part, frozen=True, kw_only=True):
    """A port of a Service."""

    name: str
    port: int
    target_port: str
    app_protocol: str = ""


class ServiceSpec(Part, frozen=True, kw_only=True):
    """The pods behind a Service, and its ports."""

    selector: dict[str, str]
    ports: tuple[ServicePort, ...]


class Service(Part, frozen=True, kw_only=True):
    """An address in the cluster for the pods of a selector."""

    api_version: str = always("v1")
    kind: str = always("Service")
    metadata: Metadata
    spec: ServiceSpec


class Pod(Part, frozen=True, kw_only=True):
    """A pod without a controller."""

    api_version: str = always("v1")
    kind: str = always("Pod")
    metadata: Metadata
    spec: PodSpec


class Strategy(Part, frozen=True, kw_only=True):
    """The way in which a Deployment replaces its pods."""

    type: str


class DeploymentSpec(Part, frozen=True, kw_only=True):
    """The pods of a Deployment."""

    replicas: int
    strategy: Strategy
    selector: Selector
    template: PodTemplate
    revision_history_limit: int | None = None
    progress_deadline_seconds: int | None = None


class Deployment(Part, frozen=True, kw_only=True):
    """Pods that Kubernetes keeps alive."""

    api_version: str = always("apps/v1")
    kind: str = always("Deployment")
    metadata: Metadata
    spec: DeploymentSpec


class PodCondition(Part, frozen=True, kw_only=True):
    """A condition of a pod that a failure rule looks for."""

    type: str
    status: str = always("True")


class FailureRule(Part, frozen=True, kw_only=True):
    """The action of a Job when a pod fails in a certain way."""

    action: str
    on_pod_conditions: tuple[PodCondition, ...]


class FailurePolicy(Part, frozen=True, kw_only=True):
    """The failure rules of a Job, in order."""

    rules: tuple[FailureRule, ...]


class JobSpec(Part, frozen=True, kw_only=True):
    """The pods of a Job."""

    template: PodTemplate
    backoff_limit: int = msgspec.field(default_factory=int)
    completions: int = msgspec.field(default_factory=lambda: 1)
    parallelism: int = msgspec.field(default_factory=lambda: 1)
    completion_mode: str = ""
    pod_failure_policy: FailurePolicy | None = None
    pod_replacement_policy: str = ""
    suspend: bool | None = None


class Job(Part, frozen=True, kw_only=True):
    """Pods that run to their end."""

    api_version: str = always("batch/v1")
    kind: str = always("Job")
    metadata: Metadata
    spec: JobSpec


class PolicyPort(Part, frozen=True, kw_only=True):
    """A port that a NetworkPolicy opens."""

    port: int
    protocol: str = always("TCP")


class Peer(Part, frozen=True, kw_only=True):
    """The pods of this namespace that a NetworkPolicy lets in."""

    pod_selector: Selector


class Ingress(Part, frozen=True, kw_only=True):
    """The connections that a NetworkPolicy lets in. Without `from_`, they may come from anywhere."""

    ports: tuple[PolicyPort, ...]
    from_: tuple[Peer, ...] = msgspec.field(default=(), name="from")


class NetworkPolicySpec(Part, frozen=True, kw_only=True):
    """The pods that a NetworkPolicy protects, and what it lets in."""

    pod_selector: Selector
    policy_types: tuple[str, ...]
    ingress: tuple[Ingress, ...]


class NetworkPolicy(Part, frozen=True, kw_only=True):
    """The rule for connections to pods, where the cluster's network enforces it."""

    api_version: str = always("networking.k8s.io/v1")
    kind: str = always("NetworkPolicy")
    metadata: Metadata
    spec: NetworkPolicySpec


Object = (
    ServiceAccount
    | Role
    | RoleBinding
    | ConfigMap
    | PersistentVolumeClaim
    | Service
    | Deployment
    | NetworkPolicy
    | Job
    | Pod
)
"""An object that can be applied alone."""

"""The kinds of objects that Fairway writes to Kubernetes, each with the fields that are used and no others."""

import msgspec

from fairway.cluster.podspec import Amounts, Metadata, Part, PodSpec, PodTemplate, Selector, always


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


class RollingUpdate(Part, frozen=True, kw_only=True):
    """The numbers of pods that may be absent, and that may be there in addition, while pods are replaced."""

    max_unavailable: int
    max_surge: int


class Strategy(Part, frozen=True, kw_only=True):
    """The way in which a Deployment replaces its pods."""

    type: str
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Part, frozen=True, kw_only=True):
    """The pods of a Deployment. Without `replicas`, somebody else decides about their number."""

    replicas: int | None = None
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
    """The pods of this namespace that a NetworkPolicy means."""

    pod_selector: Selector


class Ingress(Part, frozen=True, kw_only=True):
    """The connections that a NetworkPolicy lets in. Without `from_`, they may come from anywhere."""

    ports: tuple[PolicyPort, ...]
    from_: tuple[Peer, ...] = msgspec.field(default=(), name="from")


class Egress(Part, frozen=True, kw_only=True):
    """The connections that a NetworkPolicy lets out. Without `to`, they may go anywhere."""

    ports: tuple[PolicyPort, ...]
    to: tuple[Peer, ...] = ()


class NetworkPolicySpec(Part, frozen=True, kw_only=True):
    """The pods that a NetworkPolicy protects, and what it lets in and out."""

    pod_selector: Selector
    policy_types: tuple[str, ...]
    ingress: tuple[Ingress, ...]
    egress: tuple[Egress, ...] = ()


class NetworkPolicy(Part, frozen=True, kw_only=True):
    """The rule for connections to pods, where the cluster's network enforces it."""

    api_version: str = always("networking.k8s.io/v1")
    kind: str = always("NetworkPolicy")
    metadata: Metadata
    spec: NetworkPolicySpec


class TargetReference(Part, frozen=True, kw_only=True):
    """The object whose pods are counted."""

    api_version: str
    kind: str
    name: str


class MetricTarget(Part, frozen=True, kw_only=True):
    """The use that an autoscaler keeps to, as a part of the request."""

    type: str = always("Utilization")
    average_utilization: int


class ContainerMetric(Part, frozen=True, kw_only=True):
    """The use of a resource by one container of each pod."""

    name: str
    container: str
    target: MetricTarget


class Metric(Part, frozen=True, kw_only=True):
    """The figure that an autoscaler looks at."""

    type: str = always("ContainerResource")
    container_resource: ContainerMetric


class ScalingPolicy(Part, frozen=True, kw_only=True):
    """The most pods that may come or go in a time."""

    type: str
    value: int
    period_seconds: int


class ScalingRules(Part, frozen=True, kw_only=True):
    """The pace in one direction."""

    stabilization_window_seconds: int | None = None
    policies: tuple[ScalingPolicy, ...] = ()


class Behavior(Part, frozen=True, kw_only=True):
    """The pace of an autoscaler."""

    scale_up: ScalingRules
    scale_down: ScalingRules


class AutoscalerSpec(Part, frozen=True, kw_only=True):
    """The bounds, the figure and the pace of an autoscaler."""

    scale_target_ref: TargetReference
    min_replicas: int
    max_replicas: int
    metrics: tuple[Metric, ...]
    behavior: Behavior


class HorizontalPodAutoscaler(Part, frozen=True, kw_only=True):
    """The part of the cluster that chooses the number of pods."""

    api_version: str = always("autoscaling/v2")
    kind: str = always("HorizontalPodAutoscaler")
    metadata: Metadata
    spec: AutoscalerSpec


class BudgetSpec(Part, frozen=True, kw_only=True):
    """The number of pods that may be absent because somebody wants their nodes."""

    max_unavailable: int
    selector: Selector


class PodDisruptionBudget(Part, frozen=True, kw_only=True):
    """The bound on what a drain of nodes may take away at once."""

    api_version: str = always("policy/v1")
    kind: str = always("PodDisruptionBudget")
    metadata: Metadata
    spec: BudgetSpec


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
    | HorizontalPodAutoscaler
    | PodDisruptionBudget
)
"""An object that can be applied alone."""

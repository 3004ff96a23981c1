"""The parts of a pod that Fairway writes to Kubernetes, each with the fields that are used and no others."""

from typing import Any

import msgspec


def always(text: str) -> Any:
    """Return a field that is encoded although it has its default: the head of an object."""
    # omit_defaults compares with `default` only, so a factory keeps the field in the document.
    return msgspec.field(default_factory=lambda: text)


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of an object. Fields that are not set are left out, so that Kubernetes decides them."""


class OwnerReference(Part, frozen=True, kw_only=True):
    """The object whose deletion deletes this one too."""

    api_version: str
    kind: str
    name: str
    uid: str


class Metadata(Part, frozen=True, kw_only=True):
    """The name, labels, annotations and owners of an object."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()


class Amounts(Part, frozen=True, kw_only=True):
    """The requests and limits of a container, or the requests of a claim."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class HttpGet(Part, frozen=True, kw_only=True):
    """The request of a probe."""

    path: str
    port: str


class Probe(Part, frozen=True, kw_only=True):
    """The question that the kubelet asks a container, and its patience."""

    http_get: HttpGet
    period_seconds: int
    timeout_seconds: int
    failure_threshold: int


class Variable(Part, frozen=True, kw_only=True):
    """A variable of a container's environment. Never a secret."""

    name: str
    value: str


class SecretName(Part, frozen=True, kw_only=True):
    """A Secret by its name. The kubelet reads it, and Fairway never does."""

    name: str


class Variables(Part, frozen=True, kw_only=True):
    """The Secret whose keys become variables of a container."""

    secret_ref: SecretName


class Mount(Part, frozen=True, kw_only=True):
    """The place of a volume in a container."""

    name: str
    mount_path: str
    read_only: bool | None = None


class Sleep(Part, frozen=True, kw_only=True):
    """A pause."""

    seconds: int


class Handler(Part, frozen=True, kw_only=True):
    """The action of the kubelet at a moment in the life of a container."""

    sleep: Sleep


class Lifecycle(Part, frozen=True, kw_only=True):
    """The actions of the kubelet in the life of a container."""

    pre_stop: Handler


class ContainerPort(Part, frozen=True, kw_only=True):
    """A named port of a container."""

    name: str
    container_port: int


class Capabilities(Part, frozen=True, kw_only=True):
    """The capabilities that a container gives up."""

    drop: tuple[str, ...]


class SeccompProfile(Part, frozen=True, kw_only=True):
    """The filter of system calls."""

    type: str


class ContainerSecurity(Part, frozen=True, kw_only=True):
    """The security context of a container."""

    allow_privilege_escalation: bool
    read_only_root_filesystem: bool
    capabilities: Capabilities


class PodSecurity(Part, frozen=True, kw_only=True):
    """The security context of a pod."""

    run_as_non_root: bool
    seccomp_profile: SeccompProfile
    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None
    fs_group_change_policy: str = ""


class Container(Part, frozen=True, kw_only=True):
    """A container of a pod. Every one has requests and limits."""

    name: str
    image: str
    command: tuple[str, ...]
    resources: Amounts
    security_context: ContainerSecurity
    env: tuple[Variable, ...] = ()
    env_from: tuple[Variables, ...] = ()
    volume_mounts: tuple[Mount, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_policy: str = ""


class EmptyDir(Part, frozen=True, kw_only=True):
    """A volume that lives as long as its pod."""

    medium: str = ""
    size_limit: str = ""


class KeyPath(Part, frozen=True, kw_only=True):
    """The file that a key of a ConfigMap becomes."""

    key: str
    path: str


class ConfigMapSource(Part, frozen=True, kw_only=True):
    """The ConfigMap whose keys become files."""

    name: str
    items: tuple[KeyPath, ...] = ()


class ClaimSource(Part, frozen=True, kw_only=True):
    """The claim whose volume is mounted."""

    claim_name: str


class TokenSource(Part, frozen=True, kw_only=True):
    """The token of the pod's account, which the kubelet renews."""

    path: str
    expiration_seconds: int


class FieldReference(Part, frozen=True, kw_only=True):
    """A field of the pod."""

    field_path: str


class FieldFile(Part, frozen=True, kw_only=True):
    """The file that a field of the pod becomes."""

    path: str
    field_ref: FieldReference


class FieldSource(Part, frozen=True, kw_only=True):
    """The fields of the pod that become files."""

    items: tuple[FieldFile, ...]


class Projection(Part, frozen=True, kw_only=True):
    """A source of a projected volume."""

    service_account_token: TokenSource | None = None
    config_map: ConfigMapSource | None = None
    downward_api: FieldSource | None = msgspec.field(default=None, name="downwardAPI")


class Projected(Part, frozen=True, kw_only=True):
    """A volume made of several sources."""

    sources: tuple[Projection, ...]


class Volume(Part, frozen=True, kw_only=True):
    """A volume of a pod. Exactly one source is set."""

    name: str
    empty_dir: EmptyDir | None = None
    config_map: ConfigMapSource | None = None
    persistent_volume_claim: ClaimSource | None = None
    projected: Projected | None = None


class Toleration(Part, frozen=True, kw_only=True):
    """A taint of nodes that a pod accepts."""

    key: str
    operator: str = always("Exists")
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class Requirement(Part, frozen=True, kw_only=True):
    """A label that a node must have, with one of the values."""

    key: str
    operator: str = always("In")
    values: tuple[str, ...]


class NodeTerm(Part, frozen=True, kw_only=True):
    """The labels that a node must have together."""

    match_expressions: tuple[Requirement, ...]


class RequiredNodes(Part, frozen=True, kw_only=True):
    """The terms of which a node must meet one."""

    node_selector_terms: tuple[NodeTerm, ...]


class PreferredNodes(Part, frozen=True, kw_only=True):
    """A term whose nodes are preferred."""

    weight: int
    preference: NodeTerm


class NodeAffinity(Part, frozen=True, kw_only=True):
    """The nodes that a pod must have, and those that it prefers."""

    required: RequiredNodes | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[PreferredNodes, ...] = msgspec.field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Part, frozen=True, kw_only=True):
    """The choice of nodes by their labels."""

    node_affinity: NodeAffinity


class ResolverOption(Part, frozen=True, kw_only=True):
    """An option of the pod's resolver."""

    name: str
    value: str = ""


class Resolver(Part, frozen=True, kw_only=True):
    """The settings of the pod's resolver."""

    options: tuple[ResolverOption, ...]


class Selector(Part, frozen=True, kw_only=True):
    """The labels that pods must have. An empty table selects all pods."""

    match_labels: dict[str, str]


class Spread(Part, frozen=True, kw_only=True):
    """The wish to have the pods of a selector on different nodes."""

    max_skew: int = msgspec.field(default_factory=lambda: 1)
    topology_key: str = always("kubernetes.io/hostname")
    when_unsatisfiable: str = always("ScheduleAnyway")
    label_selector: Selector


class PodSpec(Part, frozen=True, kw_only=True):
    """The containers of a pod and all that they share."""

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    service_account_name: str
    automount_service_account_token: bool | None = None
    enable_service_links: bool | None = None
    security_context: PodSecurity
    restart_policy: str = ""
    termination_grace_period_seconds: int | None = None
    active_deadline_seconds: int | None = None
    volumes: tuple[Volume, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    node_selector: dict[str, str] = {}
    affinity: Affinity | None = None
    image_pull_secrets: tuple[SecretName, ...] = ()
    dns_config: Resolver | None = None
    priority_class_name: str = ""
    topology_spread_constraints: tuple[Spread, ...] = ()


class PodTemplate(Part, frozen=True, kw_only=True):
    """The pod that a Job or a Deployment makes."""

    metadata: Metadata
    spec: PodSpec

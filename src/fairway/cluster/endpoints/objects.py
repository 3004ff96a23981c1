"""The objects of an endpoint, made from a revision and the installation. Pure functions.

A Service for the endpoint owns everything else of it. Each revision has a ConfigMap and a Deployment of the same name, an
autoscaler where the number of its pods has bounds, and a disruption budget from two pods on. The pods pass the Pod Security
level `restricted`.
"""

import hashlib

import msgspec

from fairway.cluster import fetching, placing, pods, trust
from fairway.cluster.endpoints import naming
from fairway.cluster.kinds import (
    AutoscalerSpec,
    Behavior,
    BudgetSpec,
    ConfigMap,
    ContainerMetric,
    Deployment,
    DeploymentSpec,
    Egress,
    HorizontalPodAutoscaler,
    Ingress,
    Metric,
    MetricTarget,
    NetworkPolicy,
    NetworkPolicySpec,
    Object,
    Peer,
    PodDisruptionBudget,
    PolicyPort,
    RollingUpdate,
    ScalingPolicy,
    ScalingRules,
    Service,
    ServicePort,
    ServiceSpec,
    Strategy,
    TargetReference,
)
from fairway.cluster.manifests import CONFIG_HASH, SELECTOR
from fairway.cluster.podspec import (
    Amounts,
    ConfigMapSource,
    Container,
    ContainerPort,
    EmptyDir,
    Handler,
    HttpGet,
    KeyPath,
    Lifecycle,
    Metadata,
    Mount,
    OwnerReference,
    PodSpec,
    PodTemplate,
    Probe,
    Projected,
    Projection,
    Selector,
    Sleep,
    Spread,
    TokenSource,
    Volume,
)
from fairway.spec import install as installs
from fairway.spec.artifact import Artifact
from fairway.spec.endpoint import Bounds, RevisionSpec, WorkerSpec, request_url
from fairway.spec.install import Install

CONTAINER = "server"
PORT = 8080
SERVED_FOLDER = "/opt/fairway/served"
"""Folder of an image that may have the content of the model."""

SERVER_PODS = "fairway-endpoint"
"""Value of `app.kubernetes.io/name` on all objects of endpoints."""

_SPEC_FOLDER = "/etc/fairway"
_FILE = "worker.json"
_CACHE_FOLDER = "/var/cache/fairway"
_CACHE = f"{_CACHE_FOLDER}/store"
"""Folder of the cache. The server makes it, because the volume around it belongs to nobody in the pod."""

_TOKEN_FOLDER = "/var/run/fairway"
_TOKEN_SECONDS = 3600
_LATE_SECONDS = 5
"""Seconds until everybody who routes has learned that a pod ends."""

_MARGIN_SECONDS = 5
_CPU = ("250m", "2")
_LEAST_MEMORY = 512 * 2**20
_BASE_MEMORY = 384 * 2**20
_COPIES = 3
"""Times that the content of a model may be in memory: as it was read, as it was decoded, and as it is used."""

_DISK = 2 * 2**30
_TMP = 2**30
_BUSY_PERCENT = 70
_STEADY_SECONDS = 300
_GROW_SECONDS = 15
_GROW_PODS = 4
_DNS = (53, 5353)
"""Ports of pods with name servers. OpenShift has them at the second one, behind a Service at the first."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A revision for which objects are made.

    Attributes:
        service: the Service that owns the objects. None for the Service itself, and where nobody shall own them.
        least: the number of pods below which the autoscaler does not go for now, if it is more than the revision says.
    """

    revision: RevisionSpec
    install: Install
    service: OwnerReference | None = None
    least: int = 0

    @property
    def name(self) -> str:
        """The name of the objects of the revision."""
        return naming.revision(self.revision.endpoint, self.revision.number)

    @property
    def selector(self) -> dict[str, str]:
        """The labels that find the pods of the revision."""
        return naming.revision_selector(self.revision.endpoint, self.revision.number, self.install)


def render(revision: RevisionSpec, install: Install) -> list[Object]:
    """Return the objects of an endpoint with one revision, for a namespace without Fairway. They are applied in this order."""
    made = Made(revision=revision, install=msgspec.structs.replace(install, owner="", trust=""))
    running = deployment(made)
    template = running.spec.template
    # Nobody made the account there, and there is no control plane that its token would be for.
    alone = msgspec.structs.replace(
        template,
        spec=msgspec.structs.replace(
            template.spec,
            service_account_name="default",
            volumes=tuple(volume for volume in template.spec.volumes if volume.name != "token"),
            containers=tuple(_without_token(container) for container in template.spec.containers),
        ),
    )
    running = msgspec.structs.replace(running, spec=msgspec.structs.replace(running.spec, template=alone))
    return [service(made), network_policy(made), config_map(made), running, *scaling(made)]


def labels(made: Made, *, of_revision: bool = True) -> dict[str, str]:
    """Return the labels of an object of an endpoint."""
    selected = made.selector if of_revision else naming.selector(made.revision.endpoint, made.install)
    return {
        "app.kubernetes.io/name": SERVER_PODS,
        "app.kubernetes.io/instance": naming.service(made.revision.endpoint),
        pods.MANAGED_BY: "fairway",
        **selected,
    }


def service(made: Made) -> Service:
    """Return the Service of an endpoint, which leads to the pods of the revision."""
    endpoint = made.revision.endpoint
    return Service(
        metadata=Metadata(
            name=naming.service(endpoint),
            namespace=made.install.namespace,
            labels=labels(made, of_revision=False),
            annotations={naming.ENDPOINT_NAME: endpoint},
            owner_references=pods.owners(made.install),
        ),
        spec=ServiceSpec(
            selector=made.selector,
            ports=(ServicePort(name="http", port=80, target_port="http", app_protocol="http"),),
        ),
    )


def network_policy(made: Made) -> NetworkPolicy:
    """Return the rule for connections: in from the namespace, out to the control plane and to name servers."""
    endpoint = made.revision.endpoint
    names = tuple(PolicyPort(port=port, protocol=kind) for port in _DNS for kind in ("UDP", "TCP"))
    return NetworkPolicy(
        metadata=_metadata(made, naming.shared(endpoint), of_revision=False),
        spec=NetworkPolicySpec(
            pod_selector=Selector(match_labels=naming.selector(endpoint, made.install)),
            policy_types=("Ingress", "Egress"),
            ingress=(
                Ingress(
                    ports=(PolicyPort(port=PORT),), from_=(Peer(pod_selector=Selector(match_labels={})),)
                ),
            ),
            egress=(
                Egress(ports=names),
                Egress(
                    ports=(PolicyPort(port=installs.HTTP_PORT),),
                    to=(Peer(pod_selector=Selector(match_labels=SELECTOR)),),
                ),
            ),
        ),
    )


def config_map(made: Made) -> ConfigMap:
    """Return the ConfigMap of a revision, which is all that its server is told."""
    return ConfigMap(metadata=_metadata(made, made.name), data={_FILE: worker_spec(made)})


def worker_spec(made: Made) -> str:
    """Return the settings of a server as JSON."""
    endpoint = made.revision.endpoint
    url = f"http://{installs.SERVICE}.{made.install.namespace}.svc:{installs.HTTP_PORT}"
    spec = WorkerSpec(
        revision=made.revision,
        store=f"served:{url}|{_CACHE}|{_TOKEN_FOLDER}/token|{SERVED_FOLDER}",
        metrics="/tmp/fairway/metrics",
        listen=f":{PORT}",
        hosts=naming.hosts(endpoint, made.install),
        routed=True,
    )
    return msgspec.json.encode(spec).decode()


def deployment(made: Made) -> Deployment:
    """Return the Deployment of a revision. It says nothing of the number of pods where an autoscaler chooses that."""
    bounds = made.revision.replicas
    metadata = _metadata(made, made.name)
    return Deployment(
        metadata=msgspec.structs.replace(metadata, annotations=metadata.annotations | _facts(made)),
        spec=DeploymentSpec(
            replicas=None if is_scaled(bounds) else bounds.low,
            strategy=Strategy(
                type="RollingUpdate", rolling_update=RollingUpdate(max_unavailable=0, max_surge=1)
            ),
            selector=Selector(match_labels=made.selector),
            template=PodTemplate(
                metadata=Metadata(
                    labels={**made.install.pod_labels, **labels(made)},
                    annotations={
                        naming.ENDPOINT_NAME: made.revision.endpoint,
                        CONFIG_HASH: hashlib.sha256(worker_spec(made).encode()).hexdigest()[:16],
                    },
                ),
                spec=fetching.with_packages(_pod(made), made.install),
            ),
            revision_history_limit=1,
            progress_deadline_seconds=600,
        ),
    )


def _facts(made: Made) -> dict[str, str]:
    """Return what people want to know of a revision that serves."""
    model = made.revision.model
    rows = model.candidate.sample_rows if model is not None and model.candidate.samples is not None else 0
    address = naming.address(made.revision.endpoint, made.install)
    return {
        naming.REQUEST_URL: request_url(address, made.revision),
        naming.SAMPLES: f"{rows}/{rows}" if rows else "none",
    }


def is_scaled(bounds: Bounds) -> bool:
    """Tell whether an autoscaler chooses the number of pods."""
    return bounds.low < bounds.high


def scaling(made: Made) -> tuple[HorizontalPodAutoscaler | PodDisruptionBudget, ...]:
    """Return the autoscaler and the disruption budget of a revision, as far as it has them."""
    bounds = made.revision.replicas
    found: list[HorizontalPodAutoscaler | PodDisruptionBudget] = []
    if is_scaled(bounds):
        found.append(_autoscaler(made, min(max(bounds.low, made.least), bounds.high)))
    # With one pod, a budget would let no node be emptied.
    if bounds.low > 1:
        found.append(
            PodDisruptionBudget(
                metadata=_metadata(made, made.name),
                spec=BudgetSpec(max_unavailable=1, selector=Selector(match_labels=made.selector)),
            )
        )
    return tuple(found)


def _autoscaler(made: Made, least: int) -> HorizontalPodAutoscaler:
    return HorizontalPodAutoscaler(
        metadata=_metadata(made, made.name),
        spec=AutoscalerSpec(
            scale_target_ref=TargetReference(api_version="apps/v1", kind="Deployment", name=made.name),
            min_replicas=least,
            max_replicas=made.revision.replicas.high,
            # The use of our own container: a sidecar that idles would hide that it is busy.
            metrics=(
                Metric(
                    container_resource=ContainerMetric(
                        name="cpu",
                        container=CONTAINER,
                        target=MetricTarget(average_utilization=_BUSY_PERCENT),
                    )
                ),
            ),
            behavior=Behavior(
                scale_up=ScalingRules(
                    policies=(
                        ScalingPolicy(type="Percent", value=100, period_seconds=_GROW_SECONDS),
                        ScalingPolicy(type="Pods", value=_GROW_PODS, period_seconds=_GROW_SECONDS),
                    )
                ),
                scale_down=ScalingRules(stabilization_window_seconds=_STEADY_SECONDS),
            ),
        ),
    )


def _metadata(made: Made, name: str, *, of_revision: bool = True) -> Metadata:
    return Metadata(
        name=name,
        namespace=made.install.namespace,
        labels=labels(made, of_revision=of_revision),
        annotations={naming.ENDPOINT_NAME: made.revision.endpoint},
        owner_references=(made.service,) if made.service is not None else (),
    )


def _pod(made: Made) -> PodSpec:
    install, limits = made.install, made.revision.limits
    grace = _LATE_SECONDS + limits.longest_drain + limits.request_seconds + _MARGIN_SECONDS
    return PodSpec(
        containers=(_container(made),),
        service_account_name=installs.SERVER_ACCOUNT,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pods.pod_security(install.user),
        termination_grace_period_seconds=int(grace) + 1,
        volumes=_volumes(made),
        tolerations=pods.tolerations() + placing.tolerations_of(install.architecture),
        node_selector=placing.selector_of(install.architecture),
        image_pull_secrets=pods.pull_secrets(install.pull_secrets),
        dns_config=pods.resolver(),
        topology_spread_constraints=(Spread(label_selector=Selector(match_labels=made.selector)),),
    )


def _container(made: Made) -> Container:
    return Container(
        name=CONTAINER,
        image=made.revision.image or made.install.image,
        command=("python3", "-m", "fairway.server", f"{_SPEC_FOLDER}/{_FILE}"),
        resources=amounts(made.revision),
        security_context=pods.container_security(),
        env=pods.environment(trust.variables(made.install)),
        volume_mounts=(
            Mount(name="tmp", mount_path="/tmp"),
            Mount(name="cache", mount_path=_CACHE_FOLDER),
            Mount(name="spec", mount_path=_SPEC_FOLDER, read_only=True),
            Mount(name="token", mount_path=_TOKEN_FOLDER, read_only=True),
            *trust.mounts(made.install),
        ),
        ports=(ContainerPort(name="http", container_port=PORT),),
        # A large model is fetched and loaded before the port listens. The deployer decides how long that may take.
        startup_probe=_probe("ready", period=1, failures=900),
        readiness_probe=_probe("ready", period=2, failures=3),
        # A server with too much to do answers late as well. To restart it would give its requests to the others, which have
        # too much to do then. So only one that has been silent for minutes is restarted.
        liveness_probe=_probe("live", period=15, failures=12),
        # Those who route learn of the end of a pod while it sleeps. Only then does the server ask clients to leave.
        lifecycle=Lifecycle(pre_stop=Handler(sleep=Sleep(seconds=_LATE_SECONDS))),
        termination_message_policy="FallbackToLogsOnError",
    )


def amounts(revision: RevisionSpec) -> Amounts:
    """Return the requests and limits of a server. Its memory follows from the size of what it serves."""
    size = sum(part.size for part in _content(revision))
    memory = max(_LEAST_MEMORY, _BASE_MEMORY + _COPIES * size)
    # Rounded up to whole MiB, so that equal models have equal objects and people can read them.
    text = pods.format_bytes(-(-memory // 2**20) * 2**20)
    requested, most = _CPU
    return Amounts(
        requests={"cpu": requested, "memory": text, "ephemeral-storage": pods.format_bytes(2**30)},
        limits={"cpu": most, "memory": text, "ephemeral-storage": pods.format_bytes(_DISK + _TMP + size)},
    )


def _content(revision: RevisionSpec) -> tuple[Artifact, ...]:
    candidate = revision.model.candidate if revision.model is not None else None
    parts = (candidate.compiled or candidate.artifact,) if candidate is not None else (revision.source,)
    return tuple(part for part in parts if part is not None)


def _probe(question: str, *, period: int, failures: int) -> Probe:
    return Probe(
        http_get=HttpGet(path=f"/v2/health/{question}", port="http"),
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def _volumes(made: Made) -> tuple[Volume, ...]:
    token = TokenSource(path="token", expiration_seconds=_TOKEN_SECONDS)
    return (
        Volume(name="tmp", empty_dir=EmptyDir(size_limit=pods.format_bytes(_TMP))),
        Volume(name="cache", empty_dir=EmptyDir()),
        Volume(
            name="spec",
            config_map=ConfigMapSource(name=made.name, items=(KeyPath(key=_FILE, path=_FILE),)),
        ),
        Volume(
            name="token",
            projected=Projected(sources=(Projection(service_account_token=token),)),
        ),
        *trust.volumes(made.install),
    )


def _without_token(container: Container) -> Container:
    mounts = tuple(mount for mount in container.volume_mounts if mount.name != "token")
    return msgspec.structs.replace(container, volume_mounts=mounts)

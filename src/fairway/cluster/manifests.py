"""The objects of an installation, made from its settings. Pure: `fairway render` prints exactly what `install` applies.

There is nothing cluster-wide, no custom resource, no webhook, no finalizer and no Secret. All objects but the volume are
owned by the ConfigMap, so that its deletion is enough even if nothing of Fairway runs any more.
"""

import hashlib
import re

import msgspec

from fairway.cluster import control_volumes, identities, placing, pod_options, pods, trust
from fairway.cluster.kinds import (
    ClaimSpec,
    ConfigMap,
    Deployment,
    DeploymentSpec,
    Ingress,
    NetworkPolicy,
    NetworkPolicySpec,
    Object,
    Peer,
    PersistentVolumeClaim,
    PolicyPort,
    Role,
    RoleBinding,
    RoleReference,
    Selector,
    Service,
    ServiceAccount,
    ServicePort,
    ServiceSpec,
    Strategy,
    Subject,
)
from fairway.cluster.podspec import (
    Amounts,
    ClaimSource,
    Container,
    ContainerPort,
    EmptyDir,
    HttpGet,
    Metadata,
    Mount,
    PodSpec,
    PodTemplate,
    Probe,
    SecretName,
    Variables,
    Volume,
)
from fairway.cluster.rules import RULES
from fairway.spec import objects
from fairway.spec.errors import UsageError
from fairway.spec.install import (
    CONFIG_MAP,
    FILE,
    HTTP_PORT,
    LINK_PORT,
    ROLE_ACCOUNTS,
    SERVER_ACCOUNT,
    SERVICE,
    STEP_ACCOUNT,
    Install,
)

STORE_CLAIM = "fairway-store"
STORE_FOLDER = "/var/lib/fairway"
SETTINGS_KEY = "settings.json"
CONFIG_HASH = "fairway.dev/config"
INSTALL_UID = "fairway.dev/uid"
VERSION = "fairway.dev/version"

SELECTOR = {"app.kubernetes.io/name": "fairway", "app.kubernetes.io/instance": "fairway"}
"""The labels that find the control plane's pod. A selector cannot be changed later, so no version is in it."""

CONTROL_PLANE = Amounts(
    requests={"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "256Mi"},
    limits={"cpu": "1", "memory": "512Mi", "ephemeral-storage": "2Gi"},
)
"""The requests and limits of the control plane."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_UID = re.compile(r"[0-9a-f]{32}")
_GRACE = 30
_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The place that images of an installation are pushed to, and what they are built on.

    Attributes:
        registry: the registry. Empty where the image was made by somebody else.
        base: the image with Python. Empty for the default.
        python: the version of the base's Python, if the base does not say it.
        insecure: True for HTTP without TLS.
    """

    registry: str = ""
    base: str = ""
    python: str = ""
    insecure: bool = False

    @property
    def typed(self) -> str:
        """The registry with the scheme that says if it speaks HTTP without TLS."""
        plain = self.registry and self.insecure and "://" not in self.registry
        return f"http://{self.registry}" if plain else self.registry


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of an installation.

    Attributes:
        install: what every process reads.
        size: the bytes of the store's volume.
        storage_class: the class of the volume. Empty for the cluster's default.
        access: `ReadWriteOncePod` where the cluster serves it, `ReadWriteOnce` elsewhere.
        ephemeral: keep the store in the pod. It is lost with the pod.
        source: where images come from, so that an upgrade and the check of the registry need not be told again.
        store_identity: what a cloud lets use the object storage, such as the ARN of a role.
        store_secret: the name of a Secret with the variables that a client of the object storage reads.
    """

    install: Install
    size: int = 10 * 2**30
    storage_class: str = ""
    access: str = "ReadWriteOncePod"
    ephemeral: bool = False
    source: Source = Source()
    store_identity: str = ""
    store_secret: str = ""

    @property
    def store_kind(self) -> str:
        """The kind of the object storage, such as `s3`; empty without any."""
        return objects.parse(self.install.store).kind if self.install.store else ""


def check(settings: Settings) -> None:
    """Refuse settings from which no valid objects can be made. Raises UsageError."""
    install = settings.install
    if not _LABEL.fullmatch(install.namespace):
        raise UsageError(
            f"{install.namespace!r} cannot be the name of a namespace",
            hint="small letters, digits and `-`, at most 63, for example `--namespace ml-team`",
        )
    if not _DIGEST.fullmatch(install.image):
        raise UsageError(
            f"the image {install.image!r} is not named by its digest, so that nodes could run different ones",
            hint="write it as `REGISTRY/fairway@sha256:…`; `fairway image push REGISTRY` prints it",
        )
    if not _UID.fullmatch(install.uid):
        raise UsageError(f"the uid {install.uid!r} of the installation is not 32 hexadecimal digits")
    if settings.store_kind:
        identities.check(settings.store_kind, settings.store_identity)
    elif settings.store_identity or settings.store_secret:
        raise UsageError(
            "credentials for object storage are named, and the store is on a volume",
            hint="name the store too: `--store s3://BUCKET/PREFIX`",
        )
    for name in filter(
        None, (*install.pull_secrets, settings.storage_class, settings.store_secret, install.trust)
    ):
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot be the name of a Secret, a ConfigMap or a storage class")
    pod_options.check(install)
    if settings.size < 2**20:
        raise UsageError(
            f"a store of {settings.size} bytes is too small", hint="use 1 MiB or more: `--size 10Gi`"
        )


def render(settings: Settings) -> tuple[Object, ...]:
    """Return all objects, in the order in which they are applied. Raises UsageError."""
    check(settings)
    return (
        _config_map(settings),
        *_accounts(settings),
        _role(settings),
        _binding(settings),
        *([] if settings.ephemeral else [_claim(settings)]),
        _network_policy(settings),
        _service(settings),
        _deployment(settings),
    )


def labels(settings: Settings) -> dict[str, str]:
    """Return the labels of every object of an installation."""
    return {**SELECTOR, pods.MANAGED_BY: "fairway", pods.INSTALL_LABEL: settings.install.short}


def read_settings(data: dict[str, str]) -> Settings:
    """Return the settings that the data of the ConfigMap holds.

    Raises:
        UsageError: the data is not that of an installation.
    """
    try:
        return msgspec.json.decode(data.get(SETTINGS_KEY, ""), type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"the ConfigMap {CONFIG_MAP} does not describe an installation of Fairway: {error}",
            hint=f"look at it: `kubectl get configmap {CONFIG_MAP} -o yaml`",
        ) from None


def _metadata(settings: Settings, name: str, *, owned: bool = True) -> Metadata:
    return Metadata(
        name=name,
        namespace=settings.install.namespace,
        labels=labels(settings),
        annotations={VERSION: settings.install.version},
        owner_references=pods.owners(settings.install) if owned else (),
    )


def _config_map(settings: Settings) -> ConfigMap:
    return ConfigMap(
        metadata=_metadata(settings, CONFIG_MAP, owned=False),
        data={FILE: settings.install.encode(), SETTINGS_KEY: msgspec.json.encode(settings).decode()},
    )


def _accounts(settings: Settings) -> tuple[ServiceAccount, ...]:
    own = _metadata(settings, SERVICE)
    identity = identities.annotations(settings.store_kind, settings.store_identity)
    own = msgspec.structs.replace(own, annotations={**own.annotations, **identity})
    others = (_metadata(settings, name) for name in (*ROLE_ACCOUNTS, STEP_ACCOUNT, SERVER_ACCOUNT))
    return tuple(
        ServiceAccount(metadata=one, automount_service_account_token=False) for one in (own, *others)
    )


def _role(settings: Settings) -> Role:
    return Role(metadata=_metadata(settings, SERVICE), rules=RULES)


def _binding(settings: Settings) -> RoleBinding:
    return RoleBinding(
        metadata=_metadata(settings, SERVICE),
        role_ref=RoleReference(api_group="rbac.authorization.k8s.io", kind="Role", name=SERVICE),
        subjects=(Subject(kind="ServiceAccount", name=SERVICE, namespace=settings.install.namespace),),
    )


def _claim(settings: Settings) -> PersistentVolumeClaim:
    # The ConfigMap does not own the volume: a deletion by mistake must not take the models along.
    metadata = _metadata(settings, STORE_CLAIM, owned=False)
    return PersistentVolumeClaim(
        metadata=msgspec.structs.replace(
            metadata, annotations={**metadata.annotations, INSTALL_UID: settings.install.uid}
        ),
        spec=ClaimSpec(
            access_modes=(settings.access,),
            resources=Amounts(requests={"storage": pods.format_bytes(settings.size)}),
            storage_class_name=settings.storage_class,
        ),
    )


def _network_policy(settings: Settings) -> NetworkPolicy:
    return NetworkPolicy(
        metadata=_metadata(settings, SERVICE),
        spec=NetworkPolicySpec(
            pod_selector=Selector(match_labels=SELECTOR),
            policy_types=("Ingress",),
            ingress=(
                # From anywhere: the API server's address, from which the service proxy comes, has no selector.
                Ingress(ports=(PolicyPort(port=HTTP_PORT),)),
                Ingress(
                    ports=(PolicyPort(port=LINK_PORT),),
                    from_=(
                        Peer(
                            pod_selector=Selector(
                                match_labels={
                                    "app.kubernetes.io/name": pods.RUN_PODS,
                                    pods.INSTALL_LABEL: settings.install.short,
                                }
                            )
                        ),
                    ),
                ),
            ),
        ),
    )


def _service(settings: Settings) -> Service:
    return Service(
        metadata=_metadata(settings, SERVICE),
        spec=ServiceSpec(
            selector=SELECTOR,
            ports=(
                ServicePort(name="http", port=HTTP_PORT, target_port="http", app_protocol="http"),
                # Said to be plain TCP: a mesh must not read it as HTTP.
                ServicePort(name="link", port=LINK_PORT, target_port="link", app_protocol="tcp"),
            ),
        ),
    )


def _deployment(settings: Settings) -> Deployment:
    # A pod has the identity that its account had when it was made, so another identity needs another pod.
    read = settings.install.encode() + settings.store_identity
    digest = hashlib.sha256(read.encode()).hexdigest()[:16]
    return Deployment(
        metadata=_metadata(settings, SERVICE),
        spec=DeploymentSpec(
            replicas=1,
            # The store has one writer, so the old pod must be gone before the new one starts.
            strategy=Strategy(type="Recreate"),
            selector=Selector(match_labels=SELECTOR),
            template=PodTemplate(
                metadata=Metadata(
                    labels={
                        **settings.install.pod_labels,
                        **labels(settings),
                        **identities.labels(settings.store_kind, settings.store_identity),
                        "sidecar.istio.io/inject": "false",
                    },
                    annotations={CONFIG_HASH: digest, "linkerd.io/inject": "disabled"},
                ),
                spec=_control_plane(settings),
            ),
            revision_history_limit=2,
            progress_deadline_seconds=600,
        ),
    )


def _control_plane(settings: Settings) -> PodSpec:
    install = settings.install
    return PodSpec(
        containers=(_container(settings),),
        service_account_name=SERVICE,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pods.pod_security(install.user, owns_volume=True),
        termination_grace_period_seconds=_GRACE,
        volumes=(_store(settings), *control_volumes.small(), *trust.volumes(install)),
        tolerations=pods.tolerations() + placing.tolerations_of(install.architecture),
        node_selector=placing.selector_of(install.architecture),
        image_pull_secrets=pods.pull_secrets(install.pull_secrets),
    )


def _container(settings: Settings) -> Container:
    install = settings.install
    disk = 2 * 2**30 + (settings.size if settings.ephemeral else 0)
    return Container(
        name="control-plane",
        image=install.image,
        command=("python3", "-m", "fairway.control.cluster", "--install", f"/etc/fairway/{FILE}"),
        resources=msgspec.structs.replace(
            CONTROL_PLANE,
            limits={**CONTROL_PLANE.limits, "ephemeral-storage": pods.format_bytes(disk)},
        ),
        security_context=pods.container_security(),
        env=pods.environment(trust.variables(install)),
        env_from=_variables(settings),
        volume_mounts=(
            Mount(name="store", mount_path=STORE_FOLDER),
            Mount(name="tmp", mount_path="/tmp"),
            Mount(name="install", mount_path="/etc/fairway", read_only=True),
            Mount(name="account", mount_path=_ACCOUNT_FOLDER, read_only=True),
            *trust.mounts(install),
        ),
        ports=(
            ContainerPort(name="http", container_port=HTTP_PORT),
            ContainerPort(name="link", container_port=LINK_PORT),
        ),
        # A check of a large store, or a migration of it, takes its time at the start.
        startup_probe=_probe(period=1, failures=600),
        readiness_probe=_probe(period=2, failures=3),
        liveness_probe=_probe(period=20, failures=6),
        termination_message_policy="FallbackToLogsOnError",
    )


def _variables(settings: Settings) -> tuple[Variables, ...]:
    secret = settings.store_secret
    return (Variables(secret_ref=SecretName(name=secret)),) if secret else ()


def _probe(*, period: int, failures: int) -> Probe:
    return Probe(
        http_get=HttpGet(path="/healthz", port="http"),
        period_seconds=period,
        timeout_seconds=5,
        failure_threshold=failures,
    )


def _store(settings: Settings) -> Volume:
    if settings.ephemeral:
        return Volume(name="store", empty_dir=EmptyDir(size_limit=pods.format_bytes(settings.size)))
    return Volume(name="store", persistent_volume_claim=ClaimSource(claim_name=STORE_CLAIM))

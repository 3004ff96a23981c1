"""The pods of runs: security context, volumes, labels and tolerations that all of them share. Pure functions.

Everything here passes the Pod Security level `restricted`. Nothing of a user's size is put into an object: names of people
stand in annotations, and parameters travel over the link.
"""

import math

import msgspec

from fairway.cluster import fetching, placing, trust
from fairway.cluster.kinds import (
    FailurePolicy,
    FailureRule,
    Job,
    JobSpec,
    PodCondition,
)
from fairway.cluster.podspec import (
    Amounts,
    Capabilities,
    Container,
    ContainerSecurity,
    EmptyDir,
    Metadata,
    Mount,
    OwnerReference,
    PodSecurity,
    PodSpec,
    PodTemplate,
    Projected,
    Projection,
    Resolver,
    ResolverOption,
    SeccompProfile,
    SecretName,
    TokenSource,
    Toleration,
    Variable,
    Volume,
)
from fairway.spec.host import HASH_SEED
from fairway.spec.install import CONFIG_MAP, STEP_ACCOUNT, Install
from fairway.spec.quantities import Resources

INSTALL_LABEL = "fairway.dev/install"
RUN_LABEL = "fairway.dev/run"
HOST_LABEL = "fairway.dev/host"
RUN_NAME = "fairway.dev/run-name"
STEP_NAME = "fairway.dev/step"
KIND = "fairway.dev/kind"
MANAGED_BY = "app.kubernetes.io/managed-by"
RUN_PODS = "fairway-run"
"""Value of `app.kubernetes.io/name` on pods of runs. It differs from the control plane's, whose Service must not find them."""

TOKEN_FOLDER = "/var/run/fairway"
"""Folder of the file `token`, the projected token of a pod."""

TOKEN_SECONDS = 600
HOME = "/tmp/home"
"""Home of the user in a pod. The first process makes it, because `/tmp` begins empty."""


_GRACE = 30
_LEAST_CPU = 0.01
_DISK = (2**30, 10 * 2**30)
"""Default request and limit of disk for a container: what its log, its writable folders and their files may take."""

_AWAY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class HostPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that is wanted for a driver or for a step.

    Attributes:
        name: the name of the Job and of the host, a DNS label of at most 52 letters.
        command: the words that start the first process.
        resources: the size. Where no memory is asked for, the driver's memory is the bound.
        run: the value of the label `fairway.dev/run`.
        run_name: the name of the run, for people.
        step: the name of the step, for people. Empty for a driver, and for a pod that steps share.
        kind: the kind of steps that share the pod. Empty for a pod that is not used again.
        image: the image by digest. Empty for the image of the installation.
        environment: the variables to set, none of them a secret.
        deadline: the seconds after which the kubelet stops the pod. 0 is none.
    """

    name: str
    command: tuple[str, ...]
    resources: Resources
    run: str
    run_name: str = ""
    step: str = ""
    kind: str = ""
    image: str = ""
    environment: dict[str, str] = {}
    deadline: int = 0


def job(wanted: HostPod, install: Install) -> Job:
    """Return the Job of a host: one pod that Kubernetes never replaces, because the engine decides about retries."""
    place = placing.placing(wanted.resources, install.cloud, install.architecture)
    return Job(
        metadata=Metadata(
            name=wanted.name,
            namespace=install.namespace,
            labels=labels(wanted, install) | place.queue,
            annotations=_annotations(wanted),
            owner_references=owners(install),
        ),
        spec=JobSpec(
            template=host_pod(wanted, install),
            pod_replacement_policy="Failed",
            suspend=place.suspended,
            # With Ignore, the Job would start a second pod in the same attempt.
            pod_failure_policy=FailurePolicy(
                rules=(
                    FailureRule(action="FailJob", on_pod_conditions=(PodCondition(type="DisruptionTarget"),)),
                )
            ),
        ),
    )


def host_pod(wanted: HostPod, install: Install) -> PodTemplate:
    """Return the pod of a host."""
    place = placing.placing(wanted.resources, install.cloud, install.architecture)
    pod = PodSpec(
        containers=(
            Container(
                name="host",
                image=wanted.image or install.image,
                command=wanted.command,
                resources=amounts(wanted.resources, install.driver.resources.memory),
                security_context=container_security(),
                env=environment(dict([HASH_SEED]) | trust.variables(install) | wanted.environment),
                volume_mounts=(
                    Mount(name="tmp", mount_path="/tmp"),
                    Mount(name="work", mount_path="/fairway"),
                    Mount(name="shm", mount_path="/dev/shm"),
                    Mount(name="token", mount_path=TOKEN_FOLDER, read_only=True),
                    *trust.mounts(install),
                ),
                termination_message_policy="FallbackToLogsOnError",
            ),
        ),
        service_account_name=STEP_ACCOUNT,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=pod_security(install.user),
        restart_policy="Never",
        termination_grace_period_seconds=_GRACE,
        active_deadline_seconds=wanted.deadline or None,
        volumes=_volumes(wanted, install),
        tolerations=tolerations() + place.tolerations,
        node_selector=place.node_selector,
        affinity=place.affinity,
        priority_class_name=place.priority,
        image_pull_secrets=pull_secrets(install.pull_secrets),
        dns_config=resolver(),
    )
    return PodTemplate(
        metadata=Metadata(
            labels={**install.pod_labels, **labels(wanted, install)},
            annotations=_annotations(wanted) | place.annotations,
        ),
        spec=fetching.with_packages(pod, install),
    )


def labels(wanted: HostPod, install: Install) -> dict[str, str]:
    """Return the labels of a host's Job and pod."""
    return {
        "app.kubernetes.io/name": RUN_PODS,
        "app.kubernetes.io/instance": "fairway",
        MANAGED_BY: "fairway",
        INSTALL_LABEL: install.short,
        RUN_LABEL: wanted.run,
        HOST_LABEL: wanted.name,
        # A sidecar of a mesh would outlive the host and keep the Job from its end.
        "sidecar.istio.io/inject": "false",
    }


def _annotations(wanted: HostPod) -> dict[str, str]:
    named = {RUN_NAME: wanted.run_name, STEP_NAME: wanted.step, KIND: wanted.kind}
    return {key: text for key, text in named.items() if text} | {
        "linkerd.io/inject": "disabled",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }


def owners(install: Install) -> tuple[OwnerReference, ...]:
    """Return the reference to the ConfigMap of the installation, whose deletion deletes all that it owns."""
    if not install.owner:
        return ()
    return (OwnerReference(api_version="v1", kind="ConfigMap", name=CONFIG_MAP, uid=install.owner),)


def container_security() -> ContainerSecurity:
    """Return the security context of every container."""
    return ContainerSecurity(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=Capabilities(drop=("ALL",)),
    )


def pod_security(user: int, *, owns_volume: bool = False) -> PodSecurity:
    """Return the security context of every pod.

    Args:
        user: the number of the user and of the group. 0 leaves the choice to the cluster.
        owns_volume: give the volume to the group, unless it has it already: a large one would delay each start.
    """
    return PodSecurity(
        run_as_non_root=True,
        seccomp_profile=SeccompProfile(type="RuntimeDefault"),
        run_as_user=user or None,
        run_as_group=user or None,
        fs_group=user or None if owns_volume else None,
        fs_group_change_policy="OnRootMismatch" if owns_volume and user else "",
    )


def amounts(resources: Resources, memory: int) -> Amounts:
    """Return requests and limits. `memory` is the bound where the resources have none.

    Memory that is only requested can be taken away at any time, so its limit is the request.
    """
    cpu = format_cpu(max(resources.cpu, _LEAST_CPU))
    size = format_bytes(resources.memory or memory)
    gpus = placing.placing(resources).extended
    requested, most = (resources.disk, resources.disk) if resources.disk else _DISK
    return Amounts(
        requests={"cpu": cpu, "memory": size, "ephemeral-storage": format_bytes(requested), **gpus},
        limits={"cpu": cpu, "memory": size, "ephemeral-storage": format_bytes(most), **gpus},
    )


def environment(variables: dict[str, str]) -> tuple[Variable, ...]:
    """Return variables, and those that programs need where the user has no entry in the password file."""
    always = {"HOME": HOME, "USER": "fairway", "LOGNAME": "fairway", "TMPDIR": "/tmp"}
    return tuple(Variable(name=name, value=value) for name, value in sorted({**always, **variables}.items()))


def _volumes(wanted: HostPod, install: Install) -> tuple[Volume, ...]:
    memory = wanted.resources.memory or install.driver.resources.memory
    return (
        Volume(name="tmp", empty_dir=EmptyDir()),
        Volume(name="work", empty_dir=EmptyDir()),
        # The default of 64 MiB is too small for the workers of a data loader.
        Volume(name="shm", empty_dir=EmptyDir(medium="Memory", size_limit=format_bytes(memory // 2))),
        Volume(
            name="token",
            projected=Projected(
                sources=(
                    Projection(
                        service_account_token=TokenSource(path="token", expiration_seconds=TOKEN_SECONDS)
                    ),
                )
            ),
        ),
        *trust.volumes(install),
    )


def tolerations() -> tuple[Toleration, ...]:
    """Return the taints that every pod accepts. It leaves a lost node after 20 s, not after five minutes."""
    return tuple(Toleration(key=key, effect="NoExecute", toleration_seconds=20) for key in _AWAY)


def pull_secrets(names: tuple[str, ...]) -> tuple[SecretName, ...]:
    """Return the Secrets with which the kubelet pulls the image."""
    return tuple(SecretName(name=name) for name in names)


def resolver() -> Resolver:
    """Return settings with which a full name is asked for once, and not once for each domain of the cluster."""
    return Resolver(
        options=(ResolverOption(name="ndots", value="2"), ResolverOption(name="single-request-reopen"))
    )


def format_cpu(cores: float) -> str:
    """Return cores as Kubernetes writes them: "2", "500m". Parts of a thousandth are rounded up."""
    thousandths = math.ceil(round(cores * 1000, 6))
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"


def format_bytes(size: int) -> str:
    """Return bytes as Kubernetes writes them, exactly: "1Gi", "1500000"."""
    for unit, power in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if size and size % 2**power == 0:
            return f"{size >> power}{unit}"
    return str(size)

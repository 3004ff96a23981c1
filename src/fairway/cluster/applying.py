"""The writing of an installation's objects: all of them as a dry run first, then each in its order."""

from collections.abc import Sequence

import msgspec

from fairway.cluster import pods
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import NotThere
from fairway.cluster.client.kinds import Kind
from fairway.cluster.kinds import Deployment, Object, Pod
from fairway.cluster.manifests import Settings
from fairway.cluster.pods import HostPod
from fairway.cluster.podspec import Metadata

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        kinds.CONFIG_MAP,
        kinds.SERVICE_ACCOUNT,
        kinds.ROLE,
        kinds.ROLE_BINDING,
        kinds.VOLUME_CLAIM,
        kinds.NETWORK_POLICY,
        kinds.SERVICE,
        kinds.DEPLOYMENT,
        kinds.JOB,
        kinds.POD,
    )
}
_TRIAL = "fairway-trial"


def kind_of(one: Object) -> Kind:
    """Return the kind of an object."""
    return KINDS[one.kind]


async def try_all(kube: Kubernetes, objects: Sequence[Object], *, force: bool = False) -> None:
    """Ask the cluster about every object without making one. Raises KubernetesError for the first that it refuses."""
    for one in objects:
        try:
            await kube.apply(kind_of(one), one.metadata.name, one, dry_run=True, force=force)
        except NotThere:
            # The Role that the binding names was only tried. To an administrator that does not matter, to others it does.
            if one.kind != "RoleBinding":
                raise
        if isinstance(one, Deployment):
            await _try_pod(kube, one)


async def _try_pod(kube: Kubernetes, deployment: Deployment) -> None:
    """Ask about the control plane's pod: a quota, a limit or a policy refuses pods, not Deployments."""
    template = deployment.spec.template
    # The account does not exist yet, and a pod of an absent account is refused.
    spec = msgspec.structs.replace(template.spec, service_account_name="default")
    metadata = msgspec.structs.replace(
        template.metadata, name=_TRIAL, namespace=deployment.metadata.namespace
    )
    await kube.create(kinds.POD, Pod(metadata=metadata, spec=spec), dry_run=True)


async def try_driver(kube: Kubernetes, settings: Settings) -> None:
    """Ask the cluster about a pod as runs will make them. Raises KubernetesError if it refuses one."""
    install = settings.install
    wanted = HostPod(
        name=_TRIAL,
        command=("true",),
        resources=install.driver.resources,
        run=install.short,
        run_name="trial",
    )
    template = pods.host_pod(wanted, install)
    spec = msgspec.structs.replace(template.spec, service_account_name="default")
    metadata = Metadata(name=_TRIAL, namespace=install.namespace, labels=template.metadata.labels)
    await kube.create(kinds.POD, Pod(metadata=metadata, spec=spec), dry_run=True)


async def apply_all(kube: Kubernetes, objects: Sequence[Object], *, force: bool = False) -> None:
    """Write objects in their order. Raises KubernetesError."""
    for one in objects:
        await kube.apply(kind_of(one), one.metadata.name, one, force=force)

"""The questions before anything is written: can this user install in this namespace, and will the cluster accept it all."""

import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec

from fairway.cluster import applying, manifests, node_views, placing, removing, rights
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import Forbidden, Invalid, NotThere
from fairway.cluster.installed import numbers
from fairway.cluster.manifests import Settings, Source
from fairway.cluster.pod_options import PodOptions
from fairway.cluster.pods import INSTALL_LABEL, MANAGED_BY
from fairway.cluster.readiness import Named
from fairway.spec.errors import FairwayError, NotAllowed, NotFound
from fairway.spec.install import CONFIG_MAP, PLATFORMS, Install
from fairway.spec.quantities import parse_memory

OLDEST = (1, 28)
UNKNOWN_IMAGE = f"fairway.invalid/fairway@sha256:{'0' * 64}"
"""Stands for the image until it is pushed. No rule of a namespace looks at a digest."""

_RWOP_SINCE = (1, 29)
_RELEASE = "meta.helm.sh/release-name"


class InstallError(FairwayError):
    """The error for an installation that cannot be made, changed or removed."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An installation as a person wants it.

    Attributes:
        version: the version of the command.
        image: the image by digest. Empty where one is pushed to the source's registry.
        source: the registry and the base of images.
        size: the bytes of the store's volume. 0 is the default, or what is there.
        storage_class: the class of the volume. Empty for the default.
        ephemeral: keep the store in the pod.
        pull_secrets: the names of the Secrets with which nodes pull the image.
        cloud: the cloud whose labels nodes have. Empty asks the cluster.
        platform: the platform of the images. Empty asks the cluster, or leaves what is there in an upgrade.
        seconds: the most seconds to wait until the control plane is ready.
        store: the place of artifacts in object storage. Empty keeps them on the volume.
        store_identity: what a cloud lets use that place. Empty in an upgrade leaves what is there.
        store_secret: the Secret with the variables for that place. Empty in an upgrade leaves what is there.
        restore: the copy of a log in that place to begin with, or `newest`. Empty begins anew.
        pods: what is said of the pods.
    """

    version: str
    image: str = ""
    source: Source = Source()
    size: int = 0
    storage_class: str = ""
    ephemeral: bool = False
    pull_secrets: tuple[str, ...] = ()
    cloud: str = ""
    platform: str = ""
    seconds: float = 300.0
    store: str = ""
    store_identity: str = ""
    store_secret: str = ""
    restore: str = ""
    pods: PodOptions = PodOptions()


class _Amounts(msgspec.Struct, frozen=True):
    requests: dict[str, str] = {}


class _ClaimSpec(msgspec.Struct, frozen=True, rename="camel"):
    access_modes: tuple[str, ...] = ()
    resources: _Amounts = _Amounts()
    storage_class_name: str = ""


class _Claim(msgspec.Struct, frozen=True):
    metadata: Named = Named()
    spec: _ClaimSpec = _ClaimSpec()


async def check_place(kube: Kubernetes) -> None:
    """Refuse a cluster that is too old, a namespace that is not there or ends, and a user who lacks rights."""
    version = await kube.version()
    if numbers(version) < OLDEST:
        raise InstallError(f"the cluster runs Kubernetes {version}, and Fairway needs 1.28 or newer")
    namespace = kube.access.namespace
    try:
        found = await kube.get(kinds.NAMESPACE, namespace, type=removing.Member)
    except NotThere:
        raise NotFound(
            f"there is no namespace {namespace!r} in the cluster at {kube.access.server}",
            hint=f"`{kube.access.kubectl} create namespace {namespace}`, or name another one with `--namespace`",
        ) from None
    except Forbidden:
        found = removing.Member()  # a user of one namespace need not see the namespace itself
    if found.metadata.deletion_timestamp:
        raise InstallError(
            f"the namespace {namespace!r} is being deleted",
            hint=f"wait until it is gone: `{kube.access.kubectl} get namespace {namespace}`",
        )
    lacking = await rights.missing(kube, rights.NEEDED)
    if lacking:
        who = (await kube.review_self()).username
        raise NotAllowed(
            f"{who} may not do in namespace {namespace!r} what this needs: {rights.in_words(lacking)}",
            hint="an administrator grants it: "
            f"`kubectl create rolebinding fairway-admin --clusterrole=admin --user={who} -n {namespace}`",
        )


async def check_names(kube: Kubernetes) -> None:
    """Refuse a namespace in which something else has a name that Fairway needs. It would be changed silently."""
    example = Settings(install=Install(uid="0" * 32, namespace="x", version="0", image=UNKNOWN_IMAGE))
    for one in manifests.render(example):
        try:
            found = await kube.get(applying.kind_of(one), one.metadata.name, type=removing.Member)
        except NotThere:
            continue
        if INSTALL_LABEL not in found.metadata.labels:
            raise InstallError(
                f"there is a {one.kind} {one.metadata.name!r} in namespace {kube.access.namespace!r} that is not Fairway's",
                hint=f"install in a namespace of its own: `{kube.access.kubectl} create namespace fairway` "
                "and `fairway install --namespace fairway`",
            )


async def check_keeper(kube: Kubernetes, verb: str) -> None:
    """Refuse a verb on an installation that Helm keeps: its next upgrade would take the change back, or fail at it."""
    try:
        found = await kube.get(kinds.CONFIG_MAP, CONFIG_MAP, type=removing.Member)
    except NotThere:
        return
    if found.metadata.labels.get(MANAGED_BY) != "Helm":
        return
    namespace, release = kube.access.namespace, found.metadata.annotations.get(_RELEASE, "")
    if not release:
        raise InstallError(
            f"Fairway in namespace {namespace!r} comes from its Helm chart, which another program applies",
            hint="change the values where that program has them",
        )
    command = f"helm upgrade {release} CHART --namespace {namespace} --reset-then-reuse-values"
    if verb == "uninstall":
        command = f"helm uninstall {release} --namespace {namespace}"
    raise InstallError(
        f"Helm keeps Fairway in namespace {namespace!r}, as the release {release!r}", hint=f"`{command}`"
    )


def check_version(found: str, own: str, kube: Kubernetes) -> None:
    """Refuse to install beside an installation of another version."""
    if found == own:
        return
    newer = numbers(found) > numbers(own)
    raise InstallError(
        f"Fairway {found} is installed in namespace {kube.access.namespace!r} already, and this command is {own}",
        hint=f"`pip install fairway-ml=={found}`"
        if newer
        else f"`fairway upgrade --namespace {kube.access.namespace}`",
    )


def check_upgrade(found: str, own: str) -> None:
    """Refuse to go back to an older version, which may not read the store of the newer one."""
    if numbers(found) > numbers(own):
        raise InstallError(
            f"Fairway {found} is installed, which is newer than this command, {own}",
            hint=f"`pip install --upgrade fairway-ml=={found}`; an older version may not read the newer one's store",
        )


async def plan(kube: Kubernetes, order: Order) -> tuple[Settings, bool]:
    """Return the settings of a new installation, and True if it takes over the data of an earlier one."""
    version, nodes = await kube.version(), await _nodes(kube)
    install = Install(
        uid=secrets.token_hex(16),
        namespace=kube.access.namespace,
        version=order.version,
        image=UNKNOWN_IMAGE,
        pull_secrets=order.pull_secrets,
        registry=order.source.typed,
        cloud=order.cloud or _cloud(kube, version, nodes),
        store=order.store,
        restore=order.restore,
        platform=_platform(order, nodes),
    )
    settings = Settings(
        install=order.pods.applied(install),
        size=order.size or Settings(install=install).size,
        storage_class=order.storage_class,
        access="ReadWriteOncePod" if numbers(version) >= _RWOP_SINCE else "ReadWriteOnce",
        ephemeral=order.ephemeral,
        source=order.source,
        store_identity=order.store_identity,
        store_secret=order.store_secret,
    )
    if order.ephemeral:
        return with_cache(settings), False
    try:
        claim = await kube.get(kinds.VOLUME_CLAIM, manifests.STORE_CLAIM, type=_Claim)
    except NotThere:
        return with_cache(settings), False
    return with_cache(_taken_over(settings, claim, order)), True


async def _nodes(kube: Kubernetes) -> list[Mapping[str, str]] | None:
    """Return the labels of each node; None if the user may not list nodes."""
    try:
        found = (await kube.list(kinds.NODE, type=removing.Member)).items
    except Forbidden:
        return None
    return [node.metadata.labels for node in found]


def _cloud(kube: Kubernetes, version: str, nodes: Sequence[Mapping[str, str]] | None) -> str:
    """Return the cloud that the nodes or the API server tell. It is empty if none does."""
    return placing.cloud_at(version, kube.access.server) if nodes is None else placing.cloud_of(nodes)


def _platform(order: Order, nodes: Sequence[Mapping[str, str]] | None) -> str:
    """Return the platform of the images: the one that the user names, or that all nodes have if it is not the usual one.

    Otherwise an image that is made here is for the usual one, and one that is there may be for nodes of every kind.
    """
    found = node_views.platform_of(nodes or ())
    unusual = found if found != PLATFORMS[0] else ""
    return order.platform or unusual or usual_platform(order.image, order.source)


def usual_platform(image: str, source: Source) -> str:
    """Return the platform of an image that nothing is said of: the usual one if it is made here, and otherwise none."""
    return PLATFORMS[0] if source.registry and not image else ""


def _taken_over(settings: Settings, claim: _Claim, order: Order) -> Settings:
    """Return settings with the identity and the form of a volume that an earlier installation left."""
    uid = claim.metadata.annotations.get(manifests.INSTALL_UID, "")
    size = parse_memory(claim.spec.resources.requests.get("storage", "0"))
    modes = claim.spec.access_modes
    return msgspec.structs.replace(
        settings,
        install=msgspec.structs.replace(settings.install, uid=uid or settings.install.uid),
        size=max(size, order.size),
        storage_class=claim.spec.storage_class_name,
        access=modes[0] if modes else settings.access,
    )


async def ask(
    kube: Kubernetes, settings: Settings, note: Callable[[str], None], *, force: bool = False
) -> None:
    """Ask the cluster about every object and about one pod of each sort. Raises KubernetesError."""
    objects = manifests.render(settings)
    note(f"asks the cluster about {len(objects)} objects")
    await applying.try_all(kube, objects, force=force)
    try:
        await applying.try_driver(kube, settings)
    except (Forbidden, Invalid) as error:
        note(f"note: a run's first pod would be refused now: {error.message}")


def with_image(settings: Settings, image: str) -> Settings:
    """Return settings with an image."""
    return msgspec.structs.replace(settings, install=msgspec.structs.replace(settings.install, image=image))


def with_owner(settings: Settings, owner: str) -> Settings:
    """Return settings with the uid of the ConfigMap that owns the objects."""
    return msgspec.structs.replace(settings, install=msgspec.structs.replace(settings.install, owner=owner))


def with_cache(settings: Settings) -> Settings:
    """Return settings whose volume keeps half of its room for artifacts of object storage."""
    if not settings.install.store:
        return settings
    cache = max(settings.size // 2, 2**20)
    return msgspec.structs.replace(settings, install=msgspec.structs.replace(settings.install, cache=cache))

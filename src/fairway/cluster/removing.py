"""The removal of an installation. It asks nothing of the control plane, which may be dead or may never have lived."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec

from fairway.cluster import pods
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import Forbidden, NotThere
from fairway.cluster.client.kinds import Kind
from fairway.cluster.endpoints import naming
from fairway.cluster.readiness import Named
from fairway.spec.install import SERVER_ACCOUNT

_SECONDS = 90.0
_POLL = 0.5

_ORDER = (
    # The control plane goes first: it would make new pods, and replace Jobs that vanish.
    (kinds.DEPLOYMENT,),
    (kinds.JOB, kinds.REPLICA_SET, kinds.POD),
    (
        kinds.SERVICE,
        kinds.AUTOSCALER,
        kinds.DISRUPTION_BUDGET,
        kinds.NETWORK_POLICY,
        kinds.ROLE_BINDING,
        kinds.ROLE,
        kinds.SERVICE_ACCOUNT,
    ),
    (kinds.VOLUME_CLAIM,),
    # The ConfigMap goes last: as long as it is there, `fairway uninstall` finds the rest.
    (kinds.CONFIG_MAP,),
)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An object of an installation."""

    metadata: Named = Named()


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is still there.

    Attributes:
        kind: the kind, such as "Job".
        leaving: True if its deletion has begun.
    """

    kind: str
    name: str
    leaving: bool


async def remove(
    kube: Kubernetes,
    *,
    keep_data: bool,
    note: Callable[[str], None],
    keep_endpoints: bool = False,
    seconds: float = _SECONDS,
) -> list[Left]:
    """Delete everything of the installation, wait until it is gone, and return what is not.

    Args:
        keep_data: leave the volume of the store.
        keep_endpoints: leave the endpoints, which answer on. Nothing owns them from then on.
        note: prints the progress.
        seconds: the most seconds to wait.
    """
    end = time.monotonic() + seconds
    spared = keep_endpoints and await _disown_endpoints(kube)
    for group in _ORDER:
        if keep_data and kinds.VOLUME_CLAIM in group:
            continue
        for kind in group:
            for member in await members(kube, kind, spared=spared):
                if not member.metadata.deletion_timestamp:
                    await kube.delete(kind, member.metadata.name, uid=member.metadata.uid)
        left = await _left(kube, group, spared=spared)
        if left:
            note(f"waits for {_counted(left)} to end")
        while left and time.monotonic() < end:
            await asyncio.sleep(_POLL)
            left = await _left(kube, group, spared=spared)
    everything = tuple(kind for group in _ORDER for kind in group)
    counted = tuple(kind for kind in everything if not (keep_data and kind == kinds.VOLUME_CLAIM))
    return await _left(kube, counted, spared=spared)


async def members(kube: Kubernetes, kind: Kind, *, spared: bool = False) -> list[Member]:
    """Return the objects of a kind that belong to an installation in the namespace.

    Args:
        spared: leave out the endpoints, and the account of their servers.
    """
    # A ReplicaSet is the Deployment's, and goes with it. Who may not list them need not.
    with contextlib.suppress(NotThere, Forbidden) if kind == kinds.REPLICA_SET else contextlib.nullcontext():
        found = (await kube.list(kind, labels=pods.INSTALL_LABEL, type=Member)).items
        return [one for one in found if not (spared and _is_of_endpoints(kind, one))]
    return []


async def is_there(kube: Kubernetes, *, data_counts: bool, endpoints_count: bool = True) -> bool:
    """Tell whether there is anything of an installation. With `data_counts`, a volume alone is enough.

    Endpoints that an earlier removal has left are enough as well, if they count.
    """
    for kind in (kind for group in reversed(_ORDER) for kind in group):
        if (data_counts or kind != kinds.VOLUME_CLAIM) and await members(
            kube, kind, spared=not endpoints_count
        ):
            return True
    return False


async def _disown_endpoints(kube: Kubernetes) -> bool:
    """Let nothing own the endpoints and the account of their servers. Return False if there are no endpoints."""
    selected = f"{pods.INSTALL_LABEL},{naming.ENDPOINT_LABEL}"
    services = (await kube.list(kinds.SERVICE, labels=selected, type=Member)).items
    nobody = {"metadata": {"ownerReferences": None}}
    for service in services:
        await kube.patch(kinds.SERVICE, service.metadata.name, nobody)
    if services:
        # A pod that is replaced later needs its account.
        with contextlib.suppress(NotThere):
            await kube.patch(kinds.SERVICE_ACCOUNT, SERVER_ACCOUNT, nobody)
    return bool(services)


def _is_of_endpoints(kind: Kind, member: Member) -> bool:
    if kind == kinds.SERVICE_ACCOUNT:
        return member.metadata.name == SERVER_ACCOUNT
    return naming.ENDPOINT_LABEL in member.metadata.labels


async def count_live(kube: Kubernetes) -> int:
    """Return the number of pods of runs that have not ended."""
    found = await kube.list(
        kinds.POD,
        labels=f"{pods.INSTALL_LABEL},{pods.RUN_LABEL}",
        fields="status.phase!=Succeeded,status.phase!=Failed",
        type=Member,
    )
    return len(found.items)


async def _left(kube: Kubernetes, group: tuple[Kind, ...], *, spared: bool) -> list[Left]:
    return [
        Left(
            kind=kind.name,
            name=member.metadata.name,
            leaving=bool(member.metadata.deletion_timestamp),
        )
        for kind in group
        for member in await members(kube, kind, spared=spared)
    ]


def _counted(left: list[Left]) -> str:
    counts: dict[str, int] = {}
    for one in left:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    return ", ".join(kind if count == 1 else f"{kind} ({count})" for kind, count in counts.items())

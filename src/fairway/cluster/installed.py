"""The installation that a namespace has, as its ConfigMap describes it."""

import re

import msgspec

from fairway.cluster import manifests
from fairway.cluster.client import kinds
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import NotThere
from fairway.cluster.manifests import Settings
from fairway.cluster.readiness import Named
from fairway.spec.install import CONFIG_MAP


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """An installation.

    Attributes:
        owner: the uid of the ConfigMap, which owns the other objects.
    """

    settings: Settings
    owner: str


class _ConfigMap(msgspec.Struct, frozen=True, kw_only=True):
    metadata: Named = Named()
    data: dict[str, str] = {}


async def find(kube: Kubernetes) -> Installed | None:
    """Return the installation of the namespace. None if there is none.

    Raises:
        UsageError: there is a ConfigMap of that name, and it is not Fairway's.
    """
    try:
        found = await kube.get(kinds.CONFIG_MAP, CONFIG_MAP, type=_ConfigMap)
    except NotThere:
        return None
    return Installed(settings=manifests.read_settings(found.data), owner=found.metadata.uid)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, to compare it: "v1.37.2-gke.1" gives (1, 37, 2)."""
    match = re.match(r"v?(\d{1,9}(?:\.\d{1,9})*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()

"""A pod whose image has no packages of the project, and which fetches them before its host starts.

That is for targets where nobody may push an image. Pure functions.
"""

import msgspec

from fairway.cluster.podspec import Amounts, EmptyDir, Mount, PodSpec, Volume
from fairway.cluster.room import amount
from fairway.spec.install import HTTP_PORT, SERVICE, Install
from fairway.spec.layers import PLACE, LayerReference, parse_reference

PACKAGES = "packages"
"""The name of the container that fetches the packages, and of the volume for them."""

_DISK = "ephemeral-storage"


def with_packages(pod: PodSpec, install: Install) -> PodSpec:
    """Return a pod as it is if its image is one. Otherwise let it fetch the layers that stand there instead."""
    (host,) = pod.containers
    wanted = parse_reference(host.image)
    if wanted is None:
        return pod
    mount = Mount(name=PACKAGES, mount_path=PLACE)
    host = msgspec.structs.replace(
        host,
        image=install.image,
        resources=_with_room(host.resources, wanted.room),
        volume_mounts=(*host.volume_mounts, msgspec.structs.replace(mount, read_only=True)),
    )
    fetch = msgspec.structs.replace(
        host,
        name=PACKAGES,
        command=_command(wanted, install),
        resources=_without_gpus(host.resources),
        volume_mounts=(*host.volume_mounts[:-1], mount),
        # The cluster refuses these for a container that ends before the others begin.
        ports=(),
        startup_probe=None,
        readiness_probe=None,
        liveness_probe=None,
        lifecycle=None,
    )
    volume = Volume(name=PACKAGES, empty_dir=EmptyDir(size_limit=str(wanted.room)))
    return msgspec.structs.replace(
        pod, containers=(host,), init_containers=(fetch,), volumes=(*pod.volumes, volume)
    )


def _command(wanted: LayerReference, install: Install) -> tuple[str, ...]:
    api = f"http://{SERVICE}.{install.namespace}.svc:{HTTP_PORT}"
    return ("python", "-m", "fairway.runner.layers", "--api", api, "--list", wanted.digest, "--to", PLACE)


def _with_room(given: Amounts, room: int) -> Amounts:
    """Return amounts with more disk, because the packages count as what the pod writes."""

    def more(amounts: dict[str, str]) -> dict[str, str]:
        return amounts | {_DISK: str(int(amount(amounts[_DISK])) + room)}

    return Amounts(requests=more(given.requests), limits=more(given.limits))


def _without_gpus(given: Amounts) -> Amounts:
    """Return amounts without devices: their names have a vendor before a slash, as in `nvidia.com/gpu`."""

    def plain(amounts: dict[str, str]) -> dict[str, str]:
        return {name: text for name, text in amounts.items() if "/" not in name}

    return Amounts(requests=plain(given.requests), limits=plain(given.limits))

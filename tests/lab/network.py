"""The lab's network: a bridge on the machine, and a network namespace each for the control plane and every node."""

import subprocess
from pathlib import Path

from .places import BRIDGE, NAME, RUN, Addresses
from .processes import namespace, run

_NAMESPACES = Path("/run/netns")
_SETTINGS = """
echo 1 > /proc/sys/net/ipv4/ip_forward
bridged=/proc/sys/net/bridge/bridge-nf-call-iptables
if [ -e $bridged ]; then echo 1 > $bridged; fi
"""
_MADE = RUN / "made-netns-folder"
"""Mark of a machine that had no folder of network namespaces before the lab."""


def make(addresses: Addresses, nodes: int) -> None:
    """Make the bridge and the namespaces, and route pods and Services between them and from the machine.

    The machine forwards nothing, so nothing of the lab leaves it. A test on the machine reaches the API server, pods
    and Services directly.
    """
    if not _NAMESPACES.exists():
        _MADE.touch()
    # Without it, pods of one node miss the answers of Services that another pod of the same node gives.
    subprocess.run(["modprobe", "-q", "br_netfilter"], capture_output=True, check=False)
    if not _exists(BRIDGE):
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{addresses.machine}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
    _add(addresses, "cp", addresses.control_plane)
    for number in range(1, nodes + 1):
        _add(addresses, f"n{number}", addresses.node(number))
    places = ["", "cp", *(f"n{number}" for number in range(1, nodes + 1))]
    for place in places:
        for number in range(1, nodes + 1):
            if place != f"n{number}":
                _ip(
                    "route", "replace", addresses.pods_of(number), "via", addresses.node(number), inside=place
                )
        if place in ("", "cp"):
            _ip("route", "replace", str(addresses.services), "via", addresses.node(1), inside=place)


def remove() -> None:
    """Remove every link and namespace of the lab. The kernel removes the routes with them."""
    for link in [path.name for path in Path("/sys/class/net").iterdir()]:
        if link.startswith(f"v-{NAME}-"):
            subprocess.run(["ip", "link", "del", link], capture_output=True, check=False)
    for place in _NAMESPACES.glob(f"{NAME}-*") if _NAMESPACES.is_dir() else ():
        _ip("netns", "del", place.name)
    if _exists(BRIDGE):
        _ip("link", "del", BRIDGE)
    _forget_folder()


def cut(place: str) -> None:
    """Cut the link of a node (`n2`) or of the control plane (`cp`)."""
    _ip("link", "set", f"v-{NAME}-{place}", "down")


def mend(place: str) -> None:
    """Join a link again that was cut."""
    _ip("link", "set", f"v-{NAME}-{place}", "up")


def _add(addresses: Addresses, place: str, address: str) -> None:
    """Make one namespace with a link to the bridge."""
    if namespace(place).exists():
        return
    name = f"{NAME}-{place}"
    _ip("netns", "add", name)
    _ip("link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("link", "set", f"v-{name}", "master", BRIDGE, "up")
    _ip("link", "set", "lo", "up", inside=place)
    _ip("addr", "add", f"{address}/24", "dev", "eth0", inside=place)
    _ip("link", "set", "eth0", "up", inside=place)
    # Programs look at the default route for an address of their own. Nothing forwards what takes it.
    _ip("route", "add", "default", "via", addresses.machine, inside=place)
    run(["nsenter", f"--net={namespace(place)}", "sh", "-c", _SETTINGS])


def _forget_folder() -> None:
    """Remove the folder that `ip` mounts for the first network namespace, if the lab's was the first."""
    if _MADE.exists() and _NAMESPACES.is_dir() and not any(_NAMESPACES.iterdir()):
        while subprocess.run(["umount", str(_NAMESPACES)], capture_output=True, check=False).returncode == 0:
            pass
        _NAMESPACES.rmdir()


def _exists(link: str) -> bool:
    """Tell whether the machine has a link of a name."""
    return Path("/sys/class/net", link).exists()


def _ip(*words: str, inside: str = "") -> None:
    """Run `ip` on the machine, or in one of the namespaces."""
    run(["ip", *(("-n", f"{NAME}-{inside}") if inside else ()), *words])

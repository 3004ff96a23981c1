"""Places and addresses: where the lab keeps what it builds and runs, and how its parts reach each other."""

import ipaddress
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

IDENTITY = os.environ.get("FAIRWAY_LAB_NAME", "fw")
"""Name of the lab, of at most three letters. Two labs of different names live side by side on one machine."""

if not re.fullmatch("[a-z][a-z0-9]{0,2}", IDENTITY):
    raise RuntimeError(f"FAIRWAY_LAB_NAME is one to three small letters or digits, not {IDENTITY[:40]!r}")

NAME = f"k8s-{IDENTITY}"
"""Prefix of every network namespace and link, and name of the lab's cgroup."""

BRIDGE = f"k8s{IDENTITY}"

_SUFFIX = "" if IDENTITY == "fw" else f"-{IDENTITY}"

RUN = Path(f"/run/fairway-lab{_SUFFIX}")
"""Folder of the running lab's record, the same for the whole machine, whoever brought it up."""

RECORD = RUN / "lab.json"
KUBECONFIG = RUN / "kubeconfig"


def cache() -> Path:
    """Return the folder of everything that is built and of the running lab's data."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "fairway-lab"


def data() -> Path:
    """Return the folder of the running lab's data, which goes when the lab goes."""
    return cache() / f"data{_SUFFIX}"


def logs() -> Path:
    """Return the folder of the logs of the last lab, which stay until the next one is brought up."""
    return cache() / f"logs{_SUFFIX}"


@dataclass(frozen=True)
class Addresses:
    """The networks of one lab. `block` counts up when another lab has taken those of the block before."""

    block: int = 0

    @property
    def link(self) -> ipaddress.IPv4Network:
        """Network of the control plane, the nodes and the machine."""
        return ipaddress.IPv4Network(f"10.{250 + self.block}.0.0/24")

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """Network of all pods."""
        return ipaddress.IPv4Network(f"10.{244 + self.block}.0.0/16")

    @property
    def services(self) -> ipaddress.IPv4Network:
        """Network of the cluster addresses of Services."""
        return ipaddress.IPv4Network(f"10.{96 + self.block}.0.0/16")

    @property
    def control_plane(self) -> str:
        """Address of the API server and the registry."""
        return str(self.link[1])

    @property
    def machine(self) -> str:
        """Address of the machine itself on the bridge."""
        return str(self.link[254])

    @property
    def registry(self) -> str:
        """Address of the registry, as images are named by it."""
        return f"{self.control_plane}:5000"

    @property
    def dns(self) -> str:
        """Cluster address of the DNS server."""
        return str(self.services[10])

    def node(self, number: int) -> str:
        """Return the address of a node."""
        return str(self.link[10 + number])

    def pods_of(self, number: int) -> str:
        """Return the network of the pods of one node."""
        return str(list(self.pods.subnets(new_prefix=24))[number])


BLOCKS = 5


def free_block() -> Addresses:
    """Return the first block of networks that no route of this machine leads to."""
    shown = subprocess.run(
        ["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True
    )
    taken = [network for line in shown.stdout.splitlines() if (network := _routed(line))]
    for block in range(BLOCKS):
        wanted = Addresses(block)
        mine = (wanted.link, wanted.pods, wanted.services)
        if not any(one.overlaps(other) for one in mine for other in taken):
            return wanted
    raise RuntimeError("every block of networks that the lab could use is routed on this machine already")


def _routed(line: str) -> ipaddress.IPv4Network | None:
    """Return the network of a line of `ip route`; None for a default route."""
    words = line.split()
    while words and words[0] in ("local", "broadcast", "unreachable", "blackhole"):
        words.pop(0)
    try:
        network = ipaddress.IPv4Network(words[0], strict=False) if words else None
    except ValueError:
        return None
    return network if network is None or network.prefixlen else None

"""A node: containerd, kubelet and kube-proxy in a network namespace and a mount namespace of its own.

The mount namespace has its own `/run` and `/var`, so every program finds its usual places and none is shared. All mounts
of a node, those of its pods included, end with its last process.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from . import cgroups
from .api import Api, condition
from .building import programs
from .control_plane import config, keys
from .places import Addresses, cache, data
from .processes import holder, inside, launch, run, start, wait
from .programs import IMAGES

_SOCKET = "/run/containerd/containerd.sock"

_MOUNTS = """
set -e
mount --make-rshared /
case "$2" in /var/*) mkdir -p "$1/${2#/var/}"; mount --rbind "$2" "$1/${2#/var/}";; esac
mount --rbind "$1" /var
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /opt
exec sleep infinity
"""
"""Script of the process that holds a node's mount namespace. Its arguments: the node's `/var`, and the cache."""


class Node:
    """A node of the lab."""

    def __init__(self, number: int, addresses: Addresses) -> None:
        self.number = number
        self.name = f"n{number}"
        self.addresses = addresses
        self.folder = data() / self.name

    def start_runtime(self) -> None:
        """Start containerd and wait until it answers."""
        self._lay_out()
        command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _MOUNTS, "mounts"]
        launch(f"mounts-{self.name}", [*command, str(self.folder / "var"), str(cache())])
        wait(f"mount namespace of {self.name}", self._has_mounts, daemon=f"mounts-{self.name}")
        self.start_containerd()

    def start_containerd(self) -> None:
        """Start containerd and wait until it answers."""
        command = [programs() / "containerd", "--config", self.folder / "containerd.toml"]
        start(f"containerd-{self.name}", self.name, command)
        wait(f"answer of containerd on {self.name}", self._answers, daemon=f"containerd-{self.name}")

    def load(self, image: str) -> None:
        """Load one of the lab's images."""
        run([*self._ctr(), "images", "import", "--local", programs() / "images" / f"{image}.tar"])
        if image == "python":
            reference = next(one.reference for one in IMAGES if one.name == image)
            named = f"{self.addresses.registry}/{reference.split('/', 1)[1]}"
            run([*self._ctr(), "images", "tag", "--local", "--force", reference, named])

    def start_kubelet(self) -> None:
        """Start the kubelet and kube-proxy."""
        command = [programs() / "kubelet", f"--config={self.folder / 'kubelet.json'}"]
        command += [f"--kubeconfig={config(f'kubelet-{self.name}')}", f"--hostname-override={self.name}"]
        start(f"kubelet-{self.name}", self.name, [*command, f"--node-ip={self.addresses.node(self.number)}"])
        command = [programs() / "kube-proxy", f"--config={self.folder / 'kube-proxy.json'}"]
        start(f"kube-proxy-{self.name}", self.name, command)

    def wait_until_ready(self, api: Api) -> None:
        """Wait until the node is ready for pods."""
        path = f"/api/v1/nodes/{self.name}"
        wait(
            f"readiness of {self.name}",
            lambda: condition(api.get(path), "Ready"),
            daemon=f"kubelet-{self.name}",
        )

    def _lay_out(self) -> None:
        """Write the folders and the configuration of the node's programs."""
        var = self.folder / "var"
        for name in ("lib", "log", "tmp", "cache"):
            (var / name).mkdir(parents=True, exist_ok=True)
        for name, target in (("run", "/run"), ("lock", "/run/lock")):
            if not (var / name).is_symlink():
                (var / name).symlink_to(target)
        hosts = self.folder / "certs.d" / self.addresses.registry
        for folder in (hosts, self.folder / "cni"):
            folder.mkdir(parents=True, exist_ok=True)
        address = f"http://{self.addresses.registry}"
        lines = [f'server = "{address}"', f'[host."{address}"]', 'capabilities = ["pull", "resolve"]']
        (hosts / "hosts.toml").write_text("\n".join(lines), "utf-8")
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", "utf-8")
        (self.folder / "containerd.toml").write_text(containerd_config(self.folder), "utf-8")
        group = cgroups.make_node(self.name)
        written = {
            "cni/10-bridge.conflist": network_config(self.addresses.pods_of(self.number)),
            "kubelet.json": kubelet_config(self.folder, group, self.addresses),
            "kube-proxy.json": proxy_config(self.name, self.addresses),
        }
        for name, content in written.items():
            (self.folder / name).write_text(json.dumps(content, indent=1), "utf-8")

    def _has_mounts(self) -> bool:
        """Tell whether the holder of the mount namespace has made all mounts."""
        try:
            return Path(f"/proc/{holder(self.name)}/comm").read_text().strip() == "sleep"
        except (OSError, RuntimeError):
            return False

    def _ctr(self) -> list[str | Path]:
        """Return the words that begin a command to containerd."""
        return [*inside(self.name), programs() / "ctr", "-a", _SOCKET, "-n", "k8s.io"]

    def _answers(self) -> bool:
        """Tell whether containerd answers."""
        return subprocess.run([*self._ctr(), "version"], capture_output=True, check=False).returncode == 0


def containerd_config(folder: Path) -> str:
    """Return the configuration of containerd. Root, state and socket are at their usual places in the node."""
    pause = next(image.reference for image in IMAGES if image.name == "pause")
    snapshotters = ("btrfs", "zfs", "devmapper", "blockfile", "erofs")
    unused = ("nri.v1.nri", "tracing.processor.v1.otlp", *(f"snapshotter.v1.{name}" for name in snapshotters))
    disabled = ", ".join(f'"io.containerd.{name}"' for name in unused)
    return f"""version = 3
disabled_plugins = [{disabled}]
[plugins."io.containerd.metadata.v1.bolt"]
# The data of a node goes with the node, so nothing waits for the disk.
no_sync = true
[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"
[plugins."io.containerd.cri.v1.images".registry]
config_path = "{folder}/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
# Root in a container of its own may not lower the score by which the kernel picks whom to kill.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{programs()}/cni"]
conf_dir = "{folder}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{programs()}/runc"
SystemdCgroup = false
"""


def network_config(subnet: str) -> dict[str, Any]:
    """Return the configuration of the network of a node's pods."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": subnet}]]},
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "lab", "plugins": [bridge, ports]}


def kubelet_config(folder: Path, group: str, addresses: Addresses) -> dict[str, Any]:
    """Return the configuration of the kubelet."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": group,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(keys() / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [addresses.dns],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "resolvConf": str(folder / "resolv.conf"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "failSwapOn": False,
        # The nodes share one disk, which other work may have filled.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "2%", "imagefs.available": "2%"},
        "imageGCHighThresholdPercent": 100,
        "registryPullQPS": 0,
        "serializeImagePulls": False,
        # An image that was loaded is used as it is, also when the registry has one of the same digest.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
    }


def proxy_config(node: str, addresses: Addresses) -> dict[str, Any]:
    """Return the configuration of kube-proxy."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": str(addresses.pods),
        "hostnameOverride": node,
        "clientConnection": {"kubeconfig": str(config("kube-proxy"))},
        # The size of the table of connections is a setting of the whole machine.
        "conntrack": {"maxPerCore": 0},
    }

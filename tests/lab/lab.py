"""The lab as a whole: up, down, and what stands between."""

import contextlib
import fcntl
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import cgroups, control_plane, images, network, processes
from .api import Api, condition
from .building import Report, build, programs, report
from .node import Node
from .places import KUBECONFIG, RECORD, RUN, Addresses, data, free_block, logs
from .programs import whole_key

MOST_NODES = 3
_PATIENCE = 30.0
_THREADS = 16
"""More than ever wait for each other, so that none of them waits for a free one."""
_LOCK = RUN.with_suffix(".lock")
"""Held while the lab is brought up or down. It stays on the machine, empty: a lock that is removed locks nobody out."""


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A lab that is up, as its record tells it."""

    key: str
    block: int
    nodes: int
    data: str
    temporary: bool = False
    """True if tests brought the lab up, the last of which takes it down."""

    @property
    def addresses(self) -> Addresses:
        """Networks of the lab."""
        return Addresses(self.block)

    @property
    def registry(self) -> str:
        """Address of the registry."""
        return self.addresses.registry

    def exports(self) -> str:
        """Return the two lines for a shell that lead to the lab."""
        return f"export KUBECONFIG={KUBECONFIG}\nexport FAIRWAY_LAB_REGISTRY={self.registry}\n"


def current() -> Lab | None:
    """Return the lab that is up; None if there is none, or if one was left half-way."""
    try:
        return Lab(**json.loads(RECORD.read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def up(nodes: int = 1, *, temporary: bool = False, say: Report = report) -> Lab:
    """Bring the lab up, or add nodes to the one that is up. Whatever an earlier try has left is removed first."""
    if not 1 <= nodes <= MOST_NODES:
        raise ValueError(f"the lab has 1 to {MOST_NODES} nodes, not {nodes}")
    build(say)
    with _locked():
        begun = time.monotonic()
        there = current()
        if there and is_well(there):
            if there.key != whole_key():
                # Somebody may use it, and what is true of one Kubernetes is mostly true of the next.
                say("the lab that is up was built from other versions; `make cluster-down` first for these")
            lab = _grown(there, nodes, temporary, say)
        else:
            _remove()
            lab = _fresh(nodes, temporary, say)
        say(f"{lab.nodes} node(s) up after {time.monotonic() - begun:.1f} s")
        return lab


def down(say: Report = report) -> None:
    """Remove everything of the lab from the machine, however far it was brought up."""
    with _locked():
        begun = time.monotonic()
        _remove()
        say(f"down after {time.monotonic() - begun:.1f} s")


def is_well(lab: Lab) -> bool:
    """Tell whether every daemon runs and the API server answers, for which a busy machine gets time."""
    wanted = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "registry", "volumes"}
    for number in range(1, lab.nodes + 1):
        wanted |= {f"{name}-n{number}" for name in ("mounts", "containerd", "kubelet", "kube-proxy")}
    if not wanted <= {name for name, ids in cgroups.daemons().items() if ids}:
        return False
    api = Api(KUBECONFIG)
    give_up = time.monotonic() + _PATIENCE
    while api.get("/readyz") != "ok":
        if time.monotonic() > give_up:
            return False
        time.sleep(0.5)
    return True


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Hold the machine's lock of the lab."""
    with _LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove() -> None:
    """Remove everything that carries the lab's names."""
    there = current()
    # Without the record, nobody takes what is left for a lab that is up.
    RECORD.unlink(missing_ok=True)
    cgroups.kill_all()
    network.remove()
    cgroups.remove_all()
    for folder in {data(), Path(there.data) if there else data()}:
        _remove_folder(folder)
    shutil.rmtree(RUN, ignore_errors=True)


def _remove_folder(folder: Path) -> None:
    """Remove the data of a lab. The last mounts of a node that has ended go a moment later."""
    give_up = time.monotonic() + 20
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def _fresh(nodes: int, temporary: bool, say: Report) -> Lab:
    """Bring up a lab where there is none."""
    RUN.mkdir(mode=0o755)
    data().mkdir(parents=True, mode=0o700)
    shutil.rmtree(logs(), ignore_errors=True)
    logs().mkdir(parents=True)
    addresses = free_block()
    lab = Lab(key=whole_key(), block=addresses.block, nodes=nodes, data=str(data()), temporary=temporary)
    network.make(addresses, nodes)
    with ThreadPoolExecutor(_THREADS) as pool:
        # Containers and certificates depend on nothing of each other.
        joining = [_Joining(pool, Node(number, addresses)) for number in range(1, nodes + 1)]
        control_plane.start_registry(addresses)
        control_plane.start_etcd()
        step = _steps(say)
        control_plane.make_certificates(addresses, nodes)
        step("certificates")
        control_plane.start_api_server(addresses)
        step("etcd and API server")
        control_plane.start_controllers(addresses)
        waiting = [
            pool.submit(_add_on, addresses),
            pool.submit(images.push, programs() / "images/python.tar", addresses.registry, "python", "3.11"),
            *(pool.submit(one.join) for one in joining),
        ]
        for one in waiting:
            one.result()
        step("nodes, registry and volumes")
        _wait_for_deployments()
        step("DNS and metrics")
    return _published(lab)


def _steps(say: Report) -> Callable[[str], None]:
    """Return a function that reports a step with the seconds since the one before."""
    last = time.monotonic()

    def step(what: str) -> None:
        """Report a step that has ended."""
        nonlocal last
        now = time.monotonic()
        say(f"{what}: {now - last:.1f} s")
        last = now

    return step


class _Joining:
    """A node on its way into the cluster. Its containers begin before the API server is there."""

    def __init__(self, pool: ThreadPoolExecutor, node: Node) -> None:
        self._node = node
        self._prepared = pool.submit(self._prepare)
        self._loaded = pool.submit(self._load)

    def join(self) -> None:
        """Start the kubelet, and wait until the node is ready and has every image."""
        self._prepared.result()
        self._node.start_kubelet()
        self._node.wait_until_ready(Api(control_plane.config("operator")))
        self._loaded.result()

    def _prepare(self) -> None:
        """Start containerd and load what the first pods need."""
        self._node.start_runtime()
        first = ("pause", "coredns", "metrics-server") if self._node.number == 1 else ("pause",)
        for image in first:
            self._node.load(image)

    def _load(self) -> None:
        """Load the image that only tests need."""
        self._prepared.result()
        self._node.load("python")


def _add_on(addresses: Addresses) -> None:
    """Apply the manifests, and start the provisioner of volumes."""
    names = ("access", "storage", "coredns", "metrics-server")
    control_plane.apply([control_plane.MANIFESTS / f"{name}.yaml" for name in names], addresses)
    volumes = data() / "volumes"
    volumes.mkdir()
    package = __package__ or ""
    root = Path(__file__).parents[len(package.split("."))]
    command = ["env", f"PYTHONPATH={root}", sys.executable, "-m", f"{package}.volumes"]
    processes.launch("volumes", [*command, str(control_plane.config("operator")), str(volumes)])


def _wait_for_deployments() -> None:
    """Wait until names are resolved, metrics are served and the first ServiceAccount exists."""
    api = Api(control_plane.config("operator"))
    for name in ("coredns", "metrics-server"):
        path = f"/apis/apps/v1/namespaces/kube-system/deployments/{name}"
        processes.wait(
            f"available {name}",
            lambda: condition(api.get(path), "Available"),  # noqa: B023
            seconds=120,
            daemon="kubelet-n1",
        )
    processes.wait(
        "ServiceAccount of the namespace default",
        lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None,
        daemon="kube-controller-manager",
    )


def _grown(lab: Lab, nodes: int, temporary: bool, say: Report) -> Lab:
    """Add nodes to a lab that is up. A lab that a person brought up stays theirs."""
    new = range(lab.nodes + 1, nodes + 1)
    network.make(lab.addresses, max(nodes, lab.nodes))
    step = _steps(say)
    with ThreadPoolExecutor(_THREADS) as pool:
        for number in new:
            control_plane.make_node_user(number)
        joining = [_Joining(pool, Node(number, lab.addresses)) for number in new]
        for one in [pool.submit(one.join) for one in joining]:
            one.result()
    if new:
        step(f"nodes {', '.join(f'n{number}' for number in new)}")
    return _published(
        Lab(
            key=lab.key,
            block=lab.block,
            nodes=max(nodes, lab.nodes),
            data=lab.data,
            temporary=lab.temporary and temporary,
        )
    )


def _published(lab: Lab) -> Lab:
    """Write the kubeconfig and then the record, whose presence says that the lab is up."""
    control_plane.publish_kubeconfig()
    unfinished = RECORD.with_suffix(".new")
    unfinished.write_text(json.dumps(vars(lab)), "utf-8")
    unfinished.rename(RECORD)
    return lab

"""The programs of the lab: their Go modules, versions and flags, and the key under which each is kept."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

OWN = Path(__file__).parent / "go"
"""Main packages of our own, for modules that cannot be built where they were downloaded to."""

KUBERNETES = "1.37.2"
_LIBRARIES = f"v0.{KUBERNETES.split('.', 1)[1]}"
"""Version of the modules that Kubernetes is made of."""

_VERSION_FLAGS = " ".join(
    f"-X {package}.{name}={value}"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in (
        ("gitVersion", f"v{KUBERNETES}"),
        ("gitMajor", KUBERNETES.split(".")[0]),
        ("gitMinor", KUBERNETES.split(".")[1]),
        ("gitTreeState", "clean"),
        ("buildDate", "1970-01-01T00:00:00Z"),
    )
)


def _told(product: "Program | Image") -> str:
    """Return all that is said of a product. Empty parts are left out, so that a new kind of part leaves the other keys alone."""
    return json.dumps({name: value for name, value in asdict(product).items() if value})


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to build. `own` names the folder of a main package of ours that requires the module."""

    name: str
    module: str
    version: str
    package: str = "."
    own: str = ""
    tags: str = ""
    flags: str = ""
    cgo: bool = False
    replaced: str = ""
    """Version that replaces the module's own sub-modules, which its `replace` block gives as folders."""
    beside: tuple[str, ...] = ()
    """Further modules and their versions. With those of Kubernetes, packages that were compiled once are used again."""

    @property
    def key(self) -> str:
        """Name and version, and a digest of all that decides what is built."""
        sources = sorted((OWN / self.own).glob("*.go")) if self.own else []
        told = _told(self) + "".join(source.read_text("utf-8") for source in sources)
        return f"{self.name}-{self.version}-{hashlib.sha256(told.encode()).hexdigest()[:10]}"


def _libraries(*names: str) -> tuple[str, ...]:
    """Return modules of the lab's Kubernetes. Less of what it was built with is compiled again for the program beside them."""
    return tuple(f"k8s.io/{name} {_LIBRARIES}" for name in names)


_CONTAINERD = "github.com/containerd/containerd/v2"
_STATIC = "urfave_cli_no_docs osusergo netgo static_build"
_CONTAINERD_FLAGS = f"-X {_CONTAINERD}/version.Version=v2.4.2"
_PLUGINS = "github.com/containernetworking/plugins"

PROGRAMS = (
    Program(
        name="kubernetes",
        module="k8s.io/kubernetes",
        version=KUBERNETES,
        own="kubernetes",
        flags=_VERSION_FLAGS,
        replaced=_LIBRARIES,
    ),
    Program(name="etcd", module="go.etcd.io/etcd/server/v3", version="3.7.3", own="etcd"),
    Program(
        name="policies",
        module="sigs.k8s.io/kube-network-policies",
        version="0.8.0",
        own="policies",
        beside=_libraries("client-go", "component-base", "component-helpers"),
    ),
    Program(
        name="containerd",
        module=_CONTAINERD,
        version="2.4.2",
        package="./cmd/containerd",
        tags=_STATIC,
        flags=f"{_CONTAINERD_FLAGS} -X {_CONTAINERD}/version.Package={_CONTAINERD}",
    ),
    Program(
        name="containerd-shim-runc-v2",
        module=_CONTAINERD,
        version="2.4.2",
        package="./cmd/containerd-shim-runc-v2",
        tags=f"{_STATIC} no_grpc",
        flags=_CONTAINERD_FLAGS,
    ),
    Program(
        name="ctr",
        module=_CONTAINERD,
        version="2.4.2",
        package="./cmd/ctr",
        tags=_STATIC,
        flags=_CONTAINERD_FLAGS,
    ),
    # Without `libpathrs`, a library in Rust that is no Go module.
    Program(
        name="runc",
        module="github.com/opencontainers/runc",
        version="1.5.2",
        tags="seccomp urfave_cli_no_docs",
        flags="-X main.version=1.5.2",
        cgo=True,
    ),
    *(
        Program(name=path.rsplit("/", 1)[1], module=_PLUGINS, version="1.9.1", package=f"./plugins/{path}")
        for path in ("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap")
    ),
    Program(
        name="coredns",
        module="github.com/coredns/coredns",
        version="1.15.0",
        own="coredns",
        beside=_libraries("client-go"),
    ),
    Program(
        name="metrics-server",
        module="sigs.k8s.io/metrics-server",
        version="0.9.0",
        package="./cmd/metrics-server",
    ),
)

TOOLS = (
    Program(
        name="helm",
        module="helm.sh/helm/v4",
        version="4.3.1",
        package="./cmd/helm",
        flags="-X helm.sh/helm/v4/internal/version.version=v4.3.1",
    ),
    Program(
        name="versitygw", module="github.com/versity/versitygw", version="1.8.0", package="./cmd/versitygw"
    ),
)
"""Programs that tests use and the lab does not. They are no part of its key, so that a new one leaves a lab as it is."""

PERSONALITIES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubectl",
    "kubeadm",
)
"""Names that the one binary `kubernetes` answers to."""

PLUGINS = ("bridge", "loopback", "host-local", "portmap")
"""Programs that containerd looks for in a folder of their own."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A container image to make. `recipe` counts up when the way of making it changes."""

    name: str
    tag: str
    program: str = ""
    packages: tuple[str, ...] = ()
    recipe: int = 1

    @property
    def key(self) -> str:
        """Name and tag, and a digest of all that decides what is inside."""
        inside = next((program.key for program in PROGRAMS if program.name == self.program), "")
        told = _told(self) + inside
        return f"{self.name}-{self.tag}-{hashlib.sha256(told.encode()).hexdigest()[:10]}"

    @property
    def reference(self) -> str:
        """Name of the image on the nodes. It leads to no registry, so that nothing is ever pulled under it."""
        return f"lab.fairway.dev/{self.name}:{self.tag}"


SUITE = "bookworm"
"""Release of Debian that the Python image is made of. Its Python is 3.11."""

IMAGES = (
    Image(name="pause", tag="1"),
    Image(name="coredns", tag="1.15.0", program="coredns"),
    Image(name="metrics-server", tag="0.9.0", program="metrics-server"),
    Image(
        name="python",
        tag="3.11",
        packages=("python3", "ca-certificates", "tzdata", "libgomp1", "libstdc++6"),
    ),
)


def whole_key() -> str:
    """Return the digest of everything that the lab builds."""
    told = " ".join(product.key for product in (*PROGRAMS, *IMAGES))
    return hashlib.sha256(told.encode()).hexdigest()[:12]

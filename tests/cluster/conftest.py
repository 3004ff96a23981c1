"""Fixtures of the tests that need a Kubernetes cluster.

With KUBECONFIG set, they use that cluster, in namespaces that they make and remove. Without it they use the lab of
`tests/lab`, bring it up if nobody has, and take down what they brought up. A machine with neither skips them.
"""

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import teams

from cluster import standing_in
from lab import audit as audit_log
from lab import network, policies
from lab.audit import Asked
from lab.building import UnobtainableError, is_built, obstacle, programs, report
from lab.faults import FaultProxy
from lab.kubectl import Kubectl, MakeUser, make_user
from lab.lab import Lab, current, up
from lab.places import KUBECONFIG
from lab.sharing import shared

HERE = Path(__file__).parent
_LIMIT = 600.0
_NO_CLUSTER = "set KUBECONFIG to use a cluster of yours"
_RESTRICTED = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "enforce-version")
} | {"pod-security.kubernetes.io/enforce-version": "latest"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Limit the time of tests without their fixtures, since the first one may have to build Kubernetes.

    A thorough test waits long for what a cluster says late, or takes nodes and daemons away. It runs with `--full` alone.
    """
    if not config.getoption("--full"):
        thorough = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=thorough)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    for item in items:
        if HERE in item.path.parents and not any(item.iter_markers("timeout")):
            item.add_marker(pytest.mark.timeout(_LIMIT, func_only=True))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run the last of these tests as if none followed: the lab goes then, which takes a fifth of a small machine.

    Fixtures of a session would keep it until the tests of other folders have ended as well.
    """
    if HERE not in item.path.parents or nextitem is None or HERE in nextitem.path.parents:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    runtestprotocol(item, nextitem=None)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put all tests that lack a cluster into one line of the summary, which names the place of a skip and its reason."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and _NO_CLUSTER in report.longrepr[2]:
        report.longrepr = (str(HERE), None, report.longrepr[2])  # type: ignore[assignment]
    return report


@dataclass(frozen=True)
class Cluster:
    """The cluster of the tests. `lab` is set if it is the lab, whose nodes and links a test may harm."""

    kubeconfig: str
    registry: str
    lab: Lab | None


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster that answers."""
    given = os.environ.get("KUBECONFIG", "")
    registry = os.environ.get("FAIRWAY_LAB_REGISTRY", "")
    if given:
        lab = current() if given == str(KUBECONFIG) else None
        yield Cluster(given, registry or (lab.registry if lab else ""), lab)
        return
    problem = obstacle()
    if problem:
        pytest.skip(f"no lab: {problem}; {_NO_CLUSTER}")
    output = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        # A build of half an hour is not to look like a test that hangs.
        if output is not None and not is_built():
            with output.global_and_fixture_disabled():
                report(line)

    with contextlib.ExitStack() as using:
        try:
            # A run has a driver and pods of its own, and each node of a small machine has room for one of them.
            lab = using.enter_context(shared(3, say))
        except UnobtainableError as missing:
            pytest.skip(f"no lab: {missing}; {_NO_CLUSTER}")
        yield Cluster(str(KUBECONFIG), lab.registry, lab)


@pytest.fixture(scope="session")
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    """`kubectl` with the rights of whoever runs the tests."""
    built = programs() / "kubectl"
    program = str(built) if built.exists() else shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl on the path, and the lab is not built")
    with tempfile.TemporaryDirectory(prefix="fairway-kubectl-") as cache:
        yield Kubectl(program=program, kubeconfig=cluster.kubeconfig, cache=Path(cache))


@pytest.fixture(scope="session")
def registry(cluster: Cluster) -> str:
    """The address of a registry that speaks plain HTTP, takes pushes from here and is pulled from by the nodes."""
    if not cluster.registry:
        pytest.skip("no registry: set FAIRWAY_LAB_REGISTRY to one that the nodes of this cluster pull from")
    return cluster.registry


@pytest.fixture
def lab(cluster: Cluster) -> Lab:
    """The lab itself, for tests that harm nodes or links, or read its logs."""
    if cluster.lab is None:
        pytest.skip("this test harms nodes or links or reads the audit log, which needs the lab")
    # A test before this one may have added nodes.
    return current() or cluster.lab


@pytest.fixture
def three_nodes(lab: Lab) -> Iterator[Lab]:
    """The lab with three nodes, whose links are whole again afterwards."""
    yield up(3, temporary=True)
    for place in ("cp", "n1", "n2", "n3"):
        network.mend(place)


@pytest.fixture
def fault_proxy(lab: Lab) -> Iterator[FaultProxy]:
    """A proxy before the lab's API server, which fails as it is told."""
    with FaultProxy(lab.addresses) as proxy:
        yield proxy


@pytest.fixture
def audit(lab: Lab) -> Callable[[], list[Asked]]:
    """Gives the calls of the API server since the test began, the lab's own and those of discovery left out."""
    begun = audit_log.path().stat().st_size
    return lambda: list(audit_log.calls(begun))


@pytest.fixture
def enforced(lab: Lab) -> Iterator[None]:
    """NetworkPolicies hold on every node of the lab."""
    policies.enforce(lab)
    yield
    policies.relax(lab)


@pytest.fixture(scope="session")
def make_namespace(cluster: Cluster, kubectl: Kubectl) -> Iterator[Callable[..., str]]:
    """Makes a namespace that enforces the Pod Security level `restricted`; all are removed at the end."""
    made: list[str] = []

    def make(**labels: str) -> str:
        name = f"fairway-test-{secrets.token_hex(4)}"
        kubectl("create", "namespace", name)
        made.append(name)
        kubectl("label", "namespace", name, *(f"{key}={value}" for key, value in _RESTRICTED.items()))
        # Pods are refused until the namespace has its account.
        kubectl.inside(name)("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        return name

    yield make
    # A lab that goes with its last user need not be waited for.
    patience = "--wait=false" if cluster.lab and cluster.lab.temporary else "--timeout=120s"
    if made:
        kubectl("delete", "namespace", *made, "--ignore-not-found", patience, seconds=150, check=False)


@pytest.fixture
def namespace(make_namespace: Callable[..., str], kubectl: Kubectl) -> Iterator[str]:
    """A namespace of the test's own."""
    name = make_namespace()
    yield name
    kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def user(kubectl: Kubectl, namespace: str, tmp_path: Path) -> MakeUser:
    """Makes the kubeconfig of a user who is `admin`, `edit`, `view` or nothing in the test's namespace, and nobody elsewhere."""

    def make(role: str, where: str = namespace, name: str = "") -> Path:
        return make_user(kubectl, tmp_path, role, where, name)

    return make


@pytest.fixture(scope="session")
def ready(registry: str) -> str:
    """An image with a control plane that answers."""
    return standing_in.push(registry, "standing-in", standing_in.READY)


@pytest.fixture(scope="session")
def broken(registry: str) -> str:
    """An image with a control plane that ends."""
    return standing_in.push(registry, "standing-in", standing_in.BROKEN)


@pytest.fixture(scope="module")
def team(
    make_namespace: Callable[..., str],
    kubectl: Kubectl,
    registry: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[teams.Team]:
    """A namespace with Fairway, for the tests of a file."""
    with teams.made(kubectl, registry, make_namespace(), tmp_path_factory.mktemp("team")) as found:
        yield found

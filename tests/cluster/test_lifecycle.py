"""The lab's way up and down, tried on a second lab of another name beside the first."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.building import programs
from lab.lab import Lab
from lab.places import cache

NAME = "fwt"
COMMAND = [sys.executable, "-m", "lab"]
ENVIRONMENT = {**os.environ, "FAIRWAY_LAB_NAME": NAME, "PYTHONPATH": str(Path(__file__).parents[1])}
DAEMONS = Path("/sys/fs/cgroup/pids" if Path("/sys/fs/cgroup/pids").is_dir() else "/sys/fs/cgroup")


def traces() -> dict[str, set[str]]:
    """Return everything on this machine that a lab could leave behind."""

    def lines(*command: str) -> set[str]:
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return {" ".join(line.split()) for line in shown.splitlines()}

    groups = {str(path) for place in ("*", "*/*") for path in Path("/sys/fs/cgroup").glob(place)}
    return {
        "namespaces": {str(path) for path in Path("/run/netns").glob("*")},
        "links": {path.name for path in Path("/sys/class/net").iterdir()},
        "routes": lines("ip", "route", "show", "table", "all"),
        "mounts": set(Path("/proc/self/mounts").read_text().splitlines()),
        "groups": {group for group in groups if os.path.isdir(group)},
        "processes": {name for name in map(_described, Path("/proc").glob("[0-9]*")) if name},
        "folders": {str(path) for place in _FOLDERS for path in Path(place).glob("*")},
    }


_FOLDERS = (
    "/run",
    "/opt",
    "/var/lib",
    "/var/log",
    "/var/run/containerd",
    "/etc",
    str(cache() / f"data-{NAME}"),
)


def _described(process: Path) -> str:
    """Return the program of a process if it was built for the lab or is inside it."""
    try:
        program = os.readlink(process / "exe")
        words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
    mine = f"k8s-{NAME}" in words or f"lab-{NAME}" in words or f"data-{NAME}" in words
    return (
        f"{process.name} {words}" if mine or (Path(program).is_relative_to(cache()) and NAME in words) else ""
    )


def mine(found: dict[str, set[str]], before: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what has come since, without what belongs to the first lab or to other work on this machine."""
    new = {kind: there - before[kind] for kind, there in found.items()}
    new["folders"] -= {f"/run/fairway-lab-{NAME}.lock"}
    new["mounts"] = {mount for mount in new["mounts"] if f"data-{NAME}" in mount or "netns" in mount}
    new["links"] = {link for link in new["links"] if NAME in link}
    new["routes"] = {route for route in new["routes"] if NAME in route}
    new["groups"] = {group for group in new["groups"] if NAME in group}
    new["namespaces"] = {place for place in new["namespaces"] if NAME in place}
    return {kind: there for kind, there in new.items() if there}


def second(*words: str) -> str:
    """Run a command of the second lab."""
    done = subprocess.run([*COMMAND, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kill_when(is_true: Callable[[], bool]) -> None:
    """Begin to bring the second lab up, and kill whoever does it at some point on the way."""
    coming = subprocess.Popen([*COMMAND, "up"], env=ENVIRONMENT, start_new_session=True)
    while not is_true():
        assert coming.poll() is None, "it was up before it was killed"
        time.sleep(0.01)
    os.killpg(coming.pid, signal.SIGKILL)
    coming.wait()


@pytest.fixture
def untouched(lab: Lab) -> Iterator[dict[str, set[str]]]:
    """The machine with the first lab and without a second one."""
    with (cache() / f"{NAME}.lock").open("a") as lock:
        # Sessions of other checkouts try the same lab.
        fcntl.flock(lock, fcntl.LOCK_EX)
        second("down")
        yield traces()
        second("down")


def runs(daemon: str) -> bool:
    """Tell whether a daemon of the second lab has a process."""
    group = DAEMONS / f"k8s-{NAME}" / "daemons" / daemon / "cgroup.procs"
    return group.exists() and bool(group.read_text())


@pytest.mark.thorough
def test_a_lab_that_was_killed_on_its_way_up_leaves_nothing_when_it_is_taken_down(
    untouched: dict[str, set[str]],
) -> None:
    kill_when(lambda: runs("etcd") and runs("containerd-n1"))
    assert mine(traces(), untouched).keys() >= {"namespaces", "links", "groups", "processes"}
    second("down")
    assert mine(traces(), untouched) == {}


@pytest.mark.thorough
def test_a_lab_that_was_killed_on_its_way_up_comes_up_afterwards_and_goes_without_a_trace(
    untouched: dict[str, set[str]],
) -> None:
    kill_when(lambda: runs("kubelet-n1"))
    *_, config, registry = second("up").splitlines()
    assert config == f"export KUBECONFIG=/run/fairway-lab-{NAME}/kubeconfig"
    assert registry.startswith("export FAIRWAY_LAB_REGISTRY=10.25")
    kubectl = [programs() / "kubectl", "--kubeconfig", config.split("=")[1], "--cache-dir", "/nonexistent"]
    shown = subprocess.run([*kubectl, "get", "nodes"], capture_output=True, text=True, check=True)
    assert " Ready " in shown.stdout
    assert second("up").count("export") == 2
    second("down")
    assert mine(traces(), untouched) == {}

"""The lab's control groups. A process is the lab's exactly if it is in one of them, so nothing else is ever killed.

Each daemon has a group of its own below `k8s-fw/daemons`, which it enters before its program begins. The pods of a node
are in `k8s-fw/<node>`, where their kubelet puts them. Both ways of mounting control groups work: one hierarchy (v2), or
one for each controller (v1).
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from .places import NAME

_MOUNT = Path("/sys/fs/cgroup")
_PATIENCE = 30.0
_NEEDED = {"cpu", "memory", "pids"}
"""Controllers without which a kubelet does not begin."""


def is_unified() -> bool:
    """Tell whether control groups are of version 2 alone."""
    return (_MOUNT / "cgroup.controllers").exists()


def hierarchies() -> list[Path]:
    """Return the mount points of all hierarchies of control groups."""
    if is_unified():
        return [_MOUNT]
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    # Beside hierarchies of v1 there may be one of v2 without controllers, where runc makes groups as well.
    return [
        Path(words[1])
        for words in mounts
        if words[2] in ("cgroup", "cgroup2") and Path(words[1]).parent == _MOUNT
    ]


def tracking() -> Path:
    """Return the hierarchy by which processes are found."""
    return _MOUNT if is_unified() else _MOUNT / "pids"


def make_daemon(name: str) -> Path:
    """Make the group of a daemon and return it."""
    group = tracking() / NAME / "daemons" / name
    group.mkdir(parents=True, exist_ok=True)
    return group


def make_node(node: str) -> str:
    """Make the group of a node's pods in every hierarchy, and return its path for the kubelet."""
    for hierarchy in hierarchies():
        parts = (hierarchy / NAME, hierarchy / NAME / node)
        for group in parts:
            group.mkdir(exist_ok=True)
            # A new group of this controller allows no processor and no memory until it is told which.
            for limit in ("cpuset.cpus", "cpuset.mems"):
                if hierarchy.name == "cpuset":
                    (group / limit).write_text((group.parent / limit).read_text())
    if is_unified():
        _enable_controllers()
    return f"/{NAME}/{node}"


def _enable_controllers() -> None:
    """Give the nodes' groups all controllers that the groups above them have."""
    for group in (_MOUNT, _MOUNT / NAME):
        for controller in (group / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                (group / "cgroup.subtree_control").write_text(f"+{controller}")
    given = (_MOUNT / NAME / "cgroup.controllers").read_text().split()
    if missing := _NEEDED - set(given):
        # In a container whose own group has processes, the kernel does not let it divide what it has.
        raise RuntimeError(f"control groups cannot be divided here: {', '.join(sorted(missing))} missing")


def members(group: Path) -> list[int]:
    """Return the ids of all processes in a group and the groups below it."""
    found: list[int] = []
    for place, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            found += [int(word) for word in (Path(place) / "cgroup.procs").read_text().split()]
    return found


def daemons() -> dict[str, list[int]]:
    """Return every daemon that has a group, with the ids of its processes."""
    place = tracking() / NAME / "daemons"
    return {group.name: members(group) for group in sorted(place.iterdir())} if place.is_dir() else {}


def kill(group: Path) -> None:
    """Kill every process in a group and the groups below it, and wait until none is left."""
    give_up = time.monotonic() + _PATIENCE
    while processes := members(group):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > give_up:
            raise RuntimeError(f"processes {processes} of {group} do not end")
        time.sleep(0.02)


def kill_all() -> None:
    """Kill every process of the lab."""
    kill(tracking() / NAME)


def remove_all() -> None:
    """Remove all groups of the lab."""
    for hierarchy in hierarchies():
        remove(hierarchy / NAME)


def remove(group: Path) -> None:
    """Remove a group and those below it. The kernel frees a group a moment after its last process has ended."""
    give_up = time.monotonic() + _PATIENCE
    for place, _, _ in os.walk(group, topdown=False):
        while True:
            try:
                os.rmdir(place)
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)
            else:
                break

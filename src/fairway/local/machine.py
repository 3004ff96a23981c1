"""The resources of this machine that the present process may use."""

import os
import sys
from contextlib import suppress

from fairway.local import gpus
from fairway.spec.nodes import ANY, ARCHITECTURES, NodeChoice
from fairway.spec.quantities import Resources

_RESERVED_MEMORY = 256 * 2**20


def capacity() -> Resources:
    """Return the processors that this process may use, the physical memory, the GPUs and the free disk."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") - _RESERVED_MEMORY
    return Resources(
        cpu=float(processors().bit_count()),
        memory=max(memory, 0),
        gpu=len(gpus.visible()),
        disk=_free_disk(),
        nodes=_nodes(),
    )


def _nodes() -> NodeChoice:
    """Return the choices of nodes that this machine meets. The words that only a cluster knows make no difference here."""
    machine = os.uname().machine.lower()
    return NodeChoice(
        gpu=",".join(gpus.models()) or ANY,
        spot=True,
        arch=ARCHITECTURES.get(machine, machine),
        priority=ANY,
        queue=ANY,
    )


def _free_disk() -> int:
    """Return the free bytes where steps write: their folder, or the one for temporary files."""
    free = 0
    for folder in (".", "/tmp"):
        with suppress(OSError):
            found = os.statvfs(folder)
            free = max(free, found.f_frsize * found.f_bavail)
    return free


def processors() -> int:
    """Return the processors that this process may use, one bit each."""
    if sys.platform == "linux":
        return sum(1 << number for number in os.sched_getaffinity(0))
    return (1 << (os.cpu_count() or 1)) - 1

"""The resources of this machine that the present process may use."""

import os
import sys

from fairway.local import gpus
from fairway.spec.quantities import Resources

_RESERVED_MEMORY = 256 * 2**20


def capacity() -> Resources:
    """Return the processors that this process may use, the physical memory, and the GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") - _RESERVED_MEMORY
    return Resources(cpu=float(processors().bit_count()), memory=max(memory, 0), gpu=len(gpus.visible()))


def processors() -> int:
    """Return the processors that this process may use, one bit each."""
    if sys.platform == "linux":
        return sum(1 << number for number in os.sched_getaffinity(0))
    return (1 << (os.cpu_count() or 1)) - 1

"""How much this machine has, for the process that asks."""

import os
import sys

from fairway.local import gpus
from fairway.spec.quantities import Resources

_RESERVED_MEMORY = 256 * 2**20


def capacity() -> Resources:
    """Processors this process may use, physical memory, GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") - _RESERVED_MEMORY
    return Resources(cpu=float(processors().bit_count()), memory=max(memory, 0), gpu=len(gpus.visible()))


def processors() -> int:
    """The processors this process may use, a bit for each."""
    if sys.platform == "linux":
        return sum(1 << number for number in os.sched_getaffinity(0))
    return (1 << (os.cpu_count() or 1)) - 1

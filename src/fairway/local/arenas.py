"""The memory that the allocator of the system keeps: one pool for all threads of a process.

GNU libc gives each thread a pool of its own, and what one thread has freed stays in its pool. A process whose threads take
turns at large work holds that work once for each of them. Must not know what the process does.
"""

import sys
from contextlib import suppress

_ARENA_MAX = -8
"""The number of `M_ARENA_MAX` in malloc.h."""


def share_one() -> None:
    """Let all threads that start from now on share one pool. Does nothing where the library of the system has no pools."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # here and not at the top, because most processes of this package never need it

    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)

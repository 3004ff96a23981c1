"""Locks between processes of this machine: taken on an open file, and let go of by the system when a process ends."""

import fcntl
import time

_LOOK_SECONDS = 0.01


def take(fd: int, *, shared: bool = False) -> bool:
    """Lock an open file for this process; False when another process holds it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_within(fd: int, seconds: float) -> bool:
    """Lock an open file for this process, and wait for it so long at most: whoever only asks holds it for a moment."""
    deadline = time.monotonic() + seconds
    while not take(fd):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True

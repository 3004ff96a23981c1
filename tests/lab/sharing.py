"""Lets several test sessions on one machine share a lab: the first brings it up, and the last takes it down."""

import contextlib
import fcntl
from collections.abc import Iterator

from .building import Report, report
from .lab import Lab, current, down, up
from .places import RUN

_USERS = RUN.with_suffix(".users")
"""Locked by every session that uses the lab, shared. The kernel frees the lock of a session that was killed."""


@contextlib.contextmanager
def shared(nodes: int = 1, say: Report = report) -> Iterator[Lab]:
    """Use the lab, and take it down afterwards if tests brought it up and nobody else uses it."""
    with _USERS.open("a") as users:
        # First the lock, then the lab: a session that ends meanwhile sees that somebody still needs it.
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield up(nodes, temporary=True, say=say)
        finally:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = current()
                if there is None or there.temporary:
                    down(say)

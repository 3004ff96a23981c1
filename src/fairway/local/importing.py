"""Keeps what a project starts while it is imported apart from the process that imports it.

A program that a project starts gets no descriptor of ours anyway, because all of them are closed on exec. A process that
it only forks has them, and would keep a port taken or a peer waiting.
"""

import contextlib
import os
from collections.abc import Generator

_FIRST = 3
"""The first descriptor behind the standard streams."""


@contextlib.contextmanager
def apart() -> Generator[None]:
    """Import a project. A forked process has none of our descriptors, and ends where it leaves the import.

    Otherwise it would go on as a second host, or as a second server.
    """
    owner = os.getpid()
    ours = _descriptors()

    def let_go() -> None:
        for fd in ours:
            with contextlib.suppress(OSError):
                os.close(fd)
        ours.clear()  # their numbers may be those of other files by the next fork

    os.register_at_fork(after_in_child=let_go)
    try:
        yield
    finally:
        if os.getpid() != owner:
            os._exit(0)
        ours.clear()  # a hook cannot be taken back


def _descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/dev/fd") if int(name) >= _FIRST]
    except OSError:
        return []

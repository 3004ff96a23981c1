"""The import of a project, apart from the processes that the project starts meanwhile.

A program that the project starts gets no descriptor of Fairway, because all of them are closed on exec. A process that it forks
without exec has them all. Such a process would keep a port taken or a peer waiting.
"""

import contextlib
import os
from collections.abc import Generator

_FIRST = 3
"""The first descriptor after the standard streams."""


@contextlib.contextmanager
def apart() -> Generator[None]:
    """Import a project in this block. A process forked in it has no descriptor of Fairway and ends when it leaves the block.

    Otherwise the forked process would continue as a second host or a second server.
    """
    owner = os.getpid()
    ours = _descriptors()

    def close_descriptors() -> None:
        for fd in ours:
            with contextlib.suppress(OSError):
                os.close(fd)
        ours.clear()  # at the next fork, these numbers may belong to other files

    os.register_at_fork(after_in_child=close_descriptors)
    try:
        yield
    finally:
        if os.getpid() != owner:
            os._exit(0)
        ours.clear()  # the hook stays registered for ever, so leave it nothing to close


def _descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/dev/fd") if int(name) >= _FIRST]
    except OSError:
        return []

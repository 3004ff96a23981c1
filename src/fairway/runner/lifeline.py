"""The end of a process when its parent ends, even while code of a library or of the user is running.

A host does this before anything else, so this file imports next to nothing. Linux sends a signal when the parent dies.
Other systems send a signal when something happens at a socket, and the handler looks whether the other end is closed. No
thread waits for that, because a host with threads must not fork.
"""

import ctypes
import fcntl
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None


def become_subreaper() -> None:
    """Let orphans among the descendants of this process become its children, so that they can be found and ended."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def hold(parent: int, line: int) -> None:
    """Kill this process when its parent dies, or now if the parent has died.

    Args:
        parent: the process id of the parent.
        line: the descriptor of a socket whose other end the parent holds.
    """
    if _libc is not None:
        die_with_parent(signal.SIGKILL, parent)
    else:
        end_with_line(line)


def hold_politely(parent: int, line: int) -> None:
    """Let the system send SIGTERM to this process when its parent dies.

    Only Linux can do that. On other systems this call ends the watch on the socket, because the process reads the socket by
    itself from now on and sees its end.
    """
    if _libc is not None:
        die_with_parent(signal.SIGTERM, parent)
    else:
        fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) & ~os.O_ASYNC)


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Let the system send a signal to this process when its parent dies. Send it now if the parent has died."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    # After the request, so that a parent that dies in between is noticed by one of the two.
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def end_with_line(line: int) -> None:
    """Kill this process and its group when the other end of a socket is closed, or now if it is closed already."""

    def look(number: int, frame: object) -> None:
        if _is_closed(line):
            if os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGIO, look)
    fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
    # After the request, so that an end that closed before it is noticed as well.
    look(signal.SIGIO, None)


def _is_closed(line: int) -> bool:
    poll = select.poll()
    poll.register(line, 0)  # The system reports a closed end without being asked for it.
    return bool(poll.poll(0))

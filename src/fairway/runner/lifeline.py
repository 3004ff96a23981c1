"""Ties the life of a process to that of the one that started it, also in the middle of somebody else's code.

This is the first thing that a host does, so this file loads next to nothing. Linux sends a signal when a parent dies.
Elsewhere the system tells when the other end of a socket is closed, and a handler of that signal looks; no thread waits
for it, because a host with threads must not fork.
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
    """Let orphans among our descendants become our children, so that they can be found and ended."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def hold(parent: int, line: int) -> None:
    """End this process at once when `parent`, which has the other end of the socket `line`, dies or has died."""
    if _libc is not None:
        die_with_parent(signal.SIGKILL, parent)
    else:
        end_with_line(line)


def hold_politely(parent: int, line: int) -> None:
    """Have SIGTERM sent to this process when its parent dies; elsewhere than on Linux it reads the line by itself now."""
    if _libc is not None:
        die_with_parent(signal.SIGTERM, parent)
    else:
        fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) & ~os.O_ASYNC)


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Have this process sent a signal when its parent dies, or now when that has happened before this call."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def end_with_line(line: int) -> None:
    """End this process and its group when the other end of a socket is closed, or now when it is closed already."""

    def look(number: int, frame: object) -> None:
        if _is_closed(line):
            if os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGIO, look)
    fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
    look(signal.SIGIO, None)


def _is_closed(line: int) -> bool:
    poll = select.poll()
    poll.register(line, 0)  # a closed end is told of without being asked for
    return bool(poll.poll(0))

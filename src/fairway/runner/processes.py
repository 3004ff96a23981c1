"""What the operating system offers to keep processes together: death signals, subreaping, memory of a group.

Linux has all of it; elsewhere a call does what it can. Knows nothing of steps.
"""

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
from pathlib import Path

_LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None) if _LINUX else None


def become_subreaper() -> None:
    """Let orphans of our children become our children, so that they can be found and ended."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Have this process killed when the process that made it dies."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def watch_children() -> socket.socket:
    """A socket that becomes readable whenever a child of this process ends."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    signal.signal(signal.SIGCHLD, _ignore)
    signal.set_wakeup_fd(far.detach(), warn_on_full_buffer=False)
    return near


def _ignore(number: int, frame: object) -> None:
    """A handler that does nothing: the wakeup descriptor is what counts."""


def thread_count() -> int:
    """Threads of this process; 1 where it cannot be told."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def readable(fd: int) -> bool:
    """Whether reading would not block."""
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def group_memory(leader: int) -> int:
    """Resident bytes of every process in the session of `leader`, what they share counted once where it can be told."""
    total = 0
    for pid in _session_members(leader):
        with contextlib.suppress(OSError, ValueError, IndexError):
            resident, shared = Path(f"/proc/{pid}/statm").read_bytes().split()[1:3]
            total += (int(resident) - (0 if pid == leader else int(shared))) * _PAGE
    return total


def kill_strays(known: set[int]) -> None:
    """End children of this process that it did not start: orphans that left their group."""
    for pid in _children():
        if pid not in known:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _children() -> list[int]:
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:
        return []
    return [int(pid) for pid in text.split()]


def _session_members(leader: int) -> list[int]:
    members = [leader]
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != leader:
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader:
                    members.append(int(entry))
    return members

"""Processes as the operating system shows them: their signals, threads, memory and descendants.

Linux offers all of this. On other systems a function does what it can. Nothing in this module knows of steps.
"""

import contextlib
import io
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from fairway.spec.run import Usage

_PAGE = os.sysconf("SC_PAGE_SIZE")
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""The unit, in bytes, in which the system counts the peak of memory of a process."""
_MANY = 1 << 16
_FORK_SAFE = (b"jemalloc_bg_thd",)


class Terminated(BaseException):
    """An exception for a process that was asked to end by a cancelled run or a timeout. Only `finally` blocks run after it."""


def unwind_on_termination() -> None:
    """Raise `Terminated` in the running code at the first SIGTERM. A process that this one forks simply ends by it."""
    owner = os.getpid()

    def asked(number: int, frame: object) -> None:
        if os.getpid() != owner:
            end_by(signal.SIGTERM)
        signal.signal(signal.SIGTERM, _ignore)
        raise Terminated

    signal.signal(signal.SIGTERM, asked)


def print_anything() -> None:
    """Let this process and its forks print any text. A character that UTF-8 does not have is printed as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def end_by(number: signal.Signals) -> None:
    """End this process by a signal, so that a process that waits for it sees which one."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def watch_children() -> socket.socket:
    """Return a socket that becomes readable whenever a child of this process ends."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    signal.signal(signal.SIGCHLD, _ignore)
    signal.set_wakeup_fd(far.detach(), warn_on_full_buffer=False)
    return near


def _ignore(number: int, frame: object) -> None:
    """Do nothing. A signal needs a handler before it is written to the wakeup descriptor."""


def thread_count() -> int:
    """Count the threads of this process that a fork would interrupt in the middle of their work.

    Threads of native libraries are counted where the system lists them. The thread of jemalloc, which pyarrow starts, is not
    counted, because it handles forks by itself.
    """
    try:
        threads = os.listdir("/proc/self/task")
    except OSError:
        return threading.active_count()
    return sum(1 for thread in threads if len(threads) == 1 or _thread_name(thread) not in _FORK_SAFE)


def _thread_name(thread: str) -> bytes:
    try:
        with open(f"/proc/self/task/{thread}/comm", "rb") as file:
            return file.read().strip()
    except OSError:
        return b""


def usage(begun: float) -> Usage:
    """Return the time and memory that this process and the children it waited for have used.

    Args:
        begun: the start of the wall time, in monotonic seconds.
    """
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        wall=time.monotonic() - begun,
        cpu=own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime,
        memory=max(own.ru_maxrss, others.ru_maxrss) * PEAK_UNIT,
    )


def readable(fd: int) -> bool:
    """Tell whether a read of the descriptor would return at once."""
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def tree_memory(leader: int) -> int:
    """Return the resident bytes of a process and its descendants. Memory that descendants share is counted once."""
    total = 0
    for pid in (leader, *_descendants(leader)):
        with contextlib.suppress(OSError, ValueError, IndexError):
            resident, shared = Path(f"/proc/{pid}/statm").read_bytes().split()[1:3]
            total += (int(resident) - (0 if pid == leader else int(shared))) * _PAGE
    return total


def kill_strays(known: set[int]) -> None:
    """Kill the children of this process that are not in `known`: orphans that left the group of their parent."""
    for pid in _thread_children(os.getpid(), os.getpid()):
        if pid not in known:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def end_all_children(seconds: float) -> None:
    """Kill all children, and the orphans that become children by that, until none is left or the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        kill_strays(set())
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    todo = [pid]
    while todo:
        children = _children(todo.pop())
        found += children
        todo += children
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += _thread_children(pid, thread)
    return found


def _thread_children(pid: int, thread: int | str) -> list[int]:
    try:
        fd = os.open(f"/proc/{pid}/task/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return [int(one) for one in os.read(fd, _MANY).split()]
    except OSError:
        return []
    finally:
        os.close(fd)

"""The end of a host and of every process that it started.

A host ends its processes itself. If the host was killed, the engine ends them in its place.
"""

import contextlib
import os
import signal
from collections.abc import Iterable

from fairway.local import descent
from fairway.local.launching import Launched

_SWEEPS = 100


def end(launched: Launched, groups: Iterable[int]) -> str:
    """End a host process and everything that it started, and return how the host ended.

    `groups` are the last known process groups of the host. They are the only way to its processes if marks cannot be read.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(launched.pid, signal.SIGKILL)
    try:
        _, status = os.waitpid(launched.pid, 0)
    except ChildProcessError:
        status = -1
    if status != 0:
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        _end_marked(launched.mark)
    if status < 0:
        return "it ended"
    if os.WIFSIGNALED(status):
        return f"it was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"it ended with status {os.waitstatus_to_exitcode(status)}"


def _end_marked(mark: str) -> None:
    """Kill the processes with a mark, again and again until there is none. A process can start another one meanwhile."""
    for _ in range(_SWEEPS):
        found = [pid for pid in _processes() if descent.descends(pid, mark)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []

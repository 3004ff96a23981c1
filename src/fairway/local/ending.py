"""Makes sure that nothing stays of a host: it ends what it started, and when it was killed, we do in its place."""

import contextlib
import os
import signal
from collections.abc import Iterable

from fairway.local import descent
from fairway.local.launching import Launched

_SWEEPS = 100


def end(launched: Launched, groups: Iterable[int]) -> str:
    """Make sure a host process is gone, and with it all that it started; returns how it ended.

    `groups` are the process groups it had at last: all there is to go by where a mark cannot be read.
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
    """Kill what carries a mark until nothing does: a process may start another while it is looked for."""
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

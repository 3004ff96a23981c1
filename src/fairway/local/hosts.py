"""Starts hosts as processes of this machine, and makes sure that nothing of them stays.

This file imports little, so that a command can start the host first and load the rest while the host imports the
project. A host ends what it started; when it was killed, whatever carries its mark is ended in its place.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterable
from typing import NamedTuple

from fairway.spec.errors import NotFound

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_CHILD_FD = 3
_MARK = "FAIRWAY_HOST"
"""Set for a host and so for all that descends from it: how its orphans are known when it is gone."""

_SWEEPS = 100


class Launched(NamedTuple):
    """A host process, our end of its socket, and the mark of all that descends from it."""

    pid: int
    connection: socket.socket
    mark: str


class HostOptions(NamedTuple):
    """What a host is told on its command line.

    Attributes:
        fd: the connected socket to the engine.
        root: directory of the store.
        project: the project file; empty when `pickled` holds a pipeline made in a notebook.
        pickled: path of a file with a pipeline serialised by the process that starts this host.
        foreign: whether it runs under another environment than the project's own.
        spawn: start a fresh interpreter per attempt instead of forking.
    """

    fd: int
    root: str
    project: str = ""
    pickled: str = ""
    foreign: bool = False
    spawn: bool = False

    @classmethod
    def from_words(cls, words: list[str]) -> "HostOptions":
        """Read them as `words` gives them."""
        fd, root, project, pickled, *how = words
        return cls(int(fd), root, project, pickled, "foreign" in how, "spawn" in how)

    def words(self) -> list[str]:
        """As words of a command line, which need nothing to be loaded to be read."""
        how = [word for word, wanted in (("foreign", self.foreign), ("spawn", self.spawn)) if wanted]
        return [str(self.fd), self.root, self.project, self.pickled, *how]


class HostSetup(NamedTuple):
    """How to start a host.

    Attributes:
        root: directory of the store.
        project: the project file; or `pickled`, a file with a pipeline handed over by a notebook.
        python: the interpreter; ours when empty.
        path: value for PYTHONPATH, where the interpreter does not have Fairway installed.
        foreign: whether it is another environment than the project's own.
    """

    root: str
    project: str = ""
    pickled: str = ""
    python: str = ""
    path: str = ""
    foreign: bool = False
    spawn: bool = False


def launch(setup: HostSetup) -> Launched:
    """Start a host; it begins to import the project at once. Its own output goes to our standard error.

    Raises:
        NotFound: there is no such project file.
    """
    if setup.project and not os.path.isfile(setup.project):
        raise NotFound(
            f"there is no file {setup.project}", hint="`fairway init` writes a project to start from"
        )
    near, far = socket.socketpair()
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONUNBUFFERED": "1"}
    mark = environment[_MARK] = os.urandom(8).hex()
    if setup.path:
        environment["PYTHONPATH"] = setup.path
    options = HostOptions(_CHILD_FD, setup.root, setup.project, setup.pickled, setup.foreign, setup.spawn)
    command = [setup.python or sys.executable, "-P", "-m", "fairway.runner", *options.words()]
    actions = [(os.POSIX_SPAWN_DUP2, 2, 1), (os.POSIX_SPAWN_DUP2, far.fileno(), _CHILD_FD)]
    if far.fileno() == _CHILD_FD:
        far.set_inheritable(True)
        actions = actions[:1]
    pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setpgroup=0)
    far.close()
    return Launched(pid, near, mark)


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
    wanted = f"{_MARK}={mark}".encode()
    for _ in range(_SWEEPS):
        found = [pid for pid in _processes() if wanted in _environment(pid)]
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


def _environment(pid: int) -> bytes:
    """What a process was started with; nothing for one that is gone or not ours."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""

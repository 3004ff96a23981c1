"""Starts hosts as processes of this machine and carries messages to and from them.

`launch` is separate and imports little, so that a command can start the host first and load the rest while the host
imports the project.
"""

import contextlib
import os
import signal
import socket
import sys

import msgspec

from fairway.spec.errors import NotFound

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_CHILD_FD = 3


class Launched(msgspec.Struct, frozen=True):
    """A host process and our end of its socket."""

    pid: int
    connection: socket.socket


class HostSetup(msgspec.Struct, frozen=True, kw_only=True):
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
    options = {
        "fd": _CHILD_FD, "root": setup.root, "project": setup.project, "pickled": setup.pickled,
        "foreign": setup.foreign, "spawn": setup.spawn,
    }  # fmt: skip
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONUNBUFFERED": "1"}
    if setup.path:
        environment["PYTHONPATH"] = setup.path
    command = [
        setup.python or sys.executable,
        "-P",
        "-m",
        "fairway.runner",
        msgspec.json.encode(options).decode(),
    ]
    actions = [(os.POSIX_SPAWN_DUP2, 2, 1), (os.POSIX_SPAWN_DUP2, far.fileno(), _CHILD_FD)]
    if far.fileno() == _CHILD_FD:
        far.set_inheritable(True)
        actions = actions[:1]
    pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setpgroup=0)
    far.close()
    return Launched(pid, near)


def end(pid: int) -> str:
    """Make sure a host process is gone; returns how it ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return "it ended"
    if os.WIFSIGNALED(status):
        return f"it was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"it ended with status {os.waitstatus_to_exitcode(status)}"

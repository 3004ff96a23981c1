"""Starts hosts as processes of this machine.

This file loads next to nothing, not even `typing` or `contextlib`, so that a command can start the host first and load
the rest while the host imports the project.
"""

import os
import socket
import sys

from fairway.local import descent
from fairway.spec.errors import NotFound
from fairway.spec.host import LINE, THREAD_VARIABLES, HostSetup

TOKEN = "FAIRWAY_TOKEN"
"""Kept from hosts, steps and installers: with it, other people's code could act as the person who started the run."""


class Launched:
    """A host process, our end of its socket, the mark of all that descends from it, and where its own output can be read."""

    __slots__ = ("connection", "mark", "output", "pid")

    def __init__(self, pid: int, connection: socket.socket, mark: str, output: int) -> None:
        self.pid = pid
        self.connection = connection
        self.mark = mark
        self.output = output


def launch(setup: HostSetup, python: str = "", path: str = "") -> Launched:
    """Start a host; it begins to import the project at once. Whoever connects to it reads its own output.

    Args:
        setup: what it is to do.
        python: its interpreter; ours when empty.
        path: value for PYTHONPATH, where that interpreter does not have Fairway installed.

    Raises:
        NotFound: there is no such project file.
        UsageError: a project starts this host when it is imported, or too many runs are inside one another.
    """
    mark = descent.next_mark()
    if setup.code.file and not os.path.isfile(setup.code.file):
        raise NotFound(
            f"there is no file {setup.code.file}", hint="`fairway init` writes a project to start from"
        )
    near, far = socket.socketpair()
    output, far_output = os.pipe()
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONUNBUFFERED": "1"}
    environment[descent.MARK] = mark
    environment.pop(TOKEN, None)
    if path:
        environment["PYTHONPATH"] = path
    words = [str(os.getpid()), *setup.words()]
    command = [python or sys.executable, "-P", "-m", "fairway.runner", *words]
    # The socket comes last: its number there may be that of the pipe here.
    actions = [(os.POSIX_SPAWN_DUP2, far_output, 1), (os.POSIX_SPAWN_DUP2, far_output, 2)]
    if far.fileno() == LINE:
        far.set_inheritable(True)
    else:
        actions.append((os.POSIX_SPAWN_DUP2, far.fileno(), LINE))
    pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setpgroup=0)
    far.close()
    os.close(far_output)
    os.set_blocking(output, False)
    return Launched(pid, near, mark, output)

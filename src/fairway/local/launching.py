"""The start of hosts as processes of this machine.

This file imports almost nothing, not even `typing` or `contextlib`. So a command can start the host first and load its own
modules while the host imports the project.
"""

import os
import socket
import sys

from fairway.local import descent
from fairway.spec.errors import NotFound
from fairway.spec.host import HASH_SEED, LINE, THREAD_VARIABLES, HostSetup

TOKEN = "FAIRWAY_TOKEN"
"""The variable with the platform's token. Hosts, steps and installers do not get it: their code could use the platform."""


class Launched:
    """A host process: this end of its socket, the mark of its descendants, and the pipe with its own output."""

    __slots__ = ("connection", "mark", "output", "pid")

    def __init__(self, pid: int, connection: socket.socket, mark: str, output: int) -> None:
        self.pid = pid
        self.connection = connection
        self.mark = mark
        self.output = output


def launch(setup: HostSetup, python: str = "", path: str = "") -> Launched:
    """Start a host, which begins to import the project at once. The process that connects to it reads its own output.

    Args:
        setup: the instructions for the host.
        python: its interpreter; empty for the present one.
        path: value for PYTHONPATH, if that interpreter does not have Fairway installed.

    Raises:
        NotFound: there is no such project file.
        UsageError: the import of a project starts this host, or too many runs are inside one another.
    """
    mark = checked(setup)
    near, far = socket.socketpair()
    output, far_output = os.pipe()
    environment = variables(mark)
    if path:
        environment["PYTHONPATH"] = path
    words = [str(os.getpid()), *setup.words()]
    command = [python or sys.executable, "-P", "-m", "fairway.runner", *words]
    # Place the socket last: its number in the host may be the number of the pipe in this process.
    # No input: a host is in the background of the terminal, and would stop for ever if the project read from it.
    actions: list[tuple[object, ...]] = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    actions += [(os.POSIX_SPAWN_DUP2, far_output, 1), (os.POSIX_SPAWN_DUP2, far_output, 2)]
    if far.fileno() == LINE:
        far.set_inheritable(True)
    else:
        actions.append((os.POSIX_SPAWN_DUP2, far.fileno(), LINE))
    pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setpgroup=0)
    far.close()
    os.close(far_output)
    os.set_blocking(output, False)
    return Launched(pid, near, mark, output)


def checked(setup: HostSetup) -> str:
    """Return the mark for a host that can be started now. Raises NotFound or UsageError, as `launch` does."""
    mark = descent.next_mark()
    if setup.code.file and not os.path.isfile(setup.code.file):
        raise NotFound(
            f"there is no file {setup.code.file}", hint="`fairway init` writes a project to start from"
        )
    return mark


def variables(mark: str) -> dict[str, str]:
    """Return the environment of a host."""
    given = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONUNBUFFERED": "1"}
    given.setdefault(*HASH_SEED)
    given[descent.MARK] = mark
    given.pop(TOKEN, None)
    return given

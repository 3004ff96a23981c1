"""Starts hosts as processes of this machine.

This file loads next to nothing, not even `typing` or `contextlib`, so that a command can start the host first and load
the rest while the host imports the project.
"""

import os
import socket
import sys

from fairway.local import descent
from fairway.spec.errors import NotFound

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
TOKEN = "FAIRWAY_TOKEN"
"""Kept from hosts, steps and installers: with it, other people's code could act as the person who started the run."""

CHILD_FD = 3
"""Where a process that is started has its socket."""


class Launched:
    """A host process, our end of its socket, the mark of all that descends from it, and where its own output can be read."""

    __slots__ = ("connection", "mark", "output", "pid")

    def __init__(self, pid: int, connection: socket.socket, mark: str, output: int) -> None:
        self.pid = pid
        self.connection = connection
        self.mark = mark
        self.output = output


class HostSetup:
    """What a host is to do; it is told on its command line, as plain words, which need nothing to be loaded.

    Attributes:
        root: directory of the store.
        project: the project file; empty when `pickled` holds a pipeline made in a notebook.
        pickled: path of a file with a pipeline serialised by the process that starts this host.
        module: name under which the project file is imported; found from its place when empty.
        foreign: whether it runs under another environment than the project's own.
    """

    __slots__ = ("foreign", "module", "pickled", "project", "root")

    def __init__(
        self, root: str, project: str = "", pickled: str = "", module: str = "", foreign: bool = False
    ) -> None:
        self.root = root
        self.project = project
        self.pickled = pickled
        self.module = module
        self.foreign = foreign

    @classmethod
    def from_words(cls, words: list[str]) -> "tuple[int, HostSetup]":
        """Read what `words` gives: the connected socket to whoever started this process, and the rest."""
        fd, root, project, pickled, module, *how = words
        return int(fd), cls(root, project, pickled, module, "foreign" in how)

    def words(self, fd: int) -> list[str]:
        """As words of a command line, for a process that has its socket at `fd`."""
        return [
            str(fd),
            self.root,
            self.project,
            self.pickled,
            self.module,
            *(["foreign"] if self.foreign else []),
        ]


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
    if setup.project and not os.path.isfile(setup.project):
        raise NotFound(
            f"there is no file {setup.project}", hint="`fairway init` writes a project to start from"
        )
    near, far = socket.socketpair()
    output, far_output = os.pipe()
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONUNBUFFERED": "1"}
    environment[descent.MARK] = mark
    environment.pop(TOKEN, None)
    if path:
        environment["PYTHONPATH"] = path
    words = [str(os.getpid()), *setup.words(CHILD_FD)]
    command = [python or sys.executable, "-P", "-m", "fairway.runner", *words]
    # The socket comes last: its number there may be that of the pipe here.
    actions = [(os.POSIX_SPAWN_DUP2, far_output, 1), (os.POSIX_SPAWN_DUP2, far_output, 2)]
    if far.fileno() == CHILD_FD:
        far.set_inheritable(True)
    else:
        actions.append((os.POSIX_SPAWN_DUP2, far.fileno(), CHILD_FD))
    pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setpgroup=0)
    far.close()
    os.close(far_output)
    os.set_blocking(output, False)
    return Launched(pid, near, mark, output)

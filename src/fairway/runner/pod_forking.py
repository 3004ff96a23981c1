"""The start of the host of a pod as a fork of the first process of the pod.

Both need nearly the same modules. An interpreter of its own would import all of them again, on the part of a core that the pod
has, and keep a second copy of them in the memory of the pod.
"""

import gc
import os
import signal
import socket
import sys
import threading
from typing import NoReturn

from fairway.local import launching
from fairway.local.exiting import leave
from fairway.local.launching import Launched
from fairway.runner import host, lifeline
from fairway.spec.host import LINE, HostSetup


def start_host(setup: HostSetup) -> Launched:
    """Start a host, which begins to import the project at once.

    Only the thread that forks lives on in a fork, and a lock that another one held would stay locked there. So this process
    starts a new interpreter if it is just looking for the control plane in a thread.

    Raises:
        NotFound: there is no such project file.
    """
    return _fork(setup) if threading.active_count() == 1 else launching.launch(setup)


def _fork(setup: HostSetup) -> Launched:
    mark = launching.checked(setup)
    near, far = socket.socketpair()
    output, far_output = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        try:
            _become_host(parent, far.fileno(), far_output, launching.variables(mark))
        except BaseException:
            os._exit(1)
        _serve(parent, setup)
    far.close()
    os.close(far_output)
    os.set_blocking(output, False)
    return Launched(pid, near, mark, output)


def _become_host(parent: int, line: int, output: int, variables: dict[str, str]) -> None:
    """Leave nothing of the first process in its fork but modules: no descriptor, no handler of a signal, no group."""
    os.setpgid(0, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(old, new)
    # The line comes last, because its number may be that of the pipe.
    if line == LINE:
        os.set_inheritable(line, True)
    else:
        os.dup2(line, LINE)
    os.closerange(LINE + 1, os.sysconf("SC_OPEN_MAX"))
    lifeline.hold(parent, LINE)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(variables)


def _serve(parent: int, setup: HostSetup) -> NoReturn:
    """Do what the command `python -m fairway.runner` does in a process of its own."""
    status = 1
    words = setup.words()
    sys.argv = [sys.argv[0], str(parent), *words]
    # What the first process has made is never freed here. The host enables the collection again.
    gc.disable()
    gc.freeze()
    try:
        status = host.main(words)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    leave(status)

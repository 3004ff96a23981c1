"""The process that writes a worker's output to its log and removes secrets from it.

It is forked before any code of the project is loaded. So it gets everything that Python, C libraries and child programs write to
descriptors 1 and 2. It ends when no process can write to them any more: it outlives the platform, and output that a worker
wrote before a crash still arrives.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Callable

from fairway.author import redaction
from fairway.spec.wire import Revealed, Splitter, frame_for_host, revealed

NAME = "fairway-output"
"""Name of the process in a list of processes. Linux shows 15 letters at most."""

_READ = 1 << 16


def redirect() -> Callable[[str, str], None]:
    """Send descriptors 1 and 2 through a new process. Return a function that registers a further secret with it."""
    near, far = socket.socketpair()
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):  # another worker's process may still write there
        # Only the new process keeps the log's descriptor, so its lock is free when the last output has been written.
        fcntl.flock(1, fcntl.LOCK_EX | fcntl.LOCK_NB)
    child = os.fork()
    if child == 0:
        _become_reader(reading, far)
    os.waitpid(child, 0)
    os.close(reading)
    far.close()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)

    def register(name: str, value: str) -> None:
        with contextlib.suppress(OSError):
            near.sendall(frame_for_host(Revealed(name=name, value=value)))

    return register


def _become_reader(output: int, line: socket.socket) -> None:
    """Run the forked process: leave the worker's session, close its descriptors, and copy output until its end."""
    try:
        os.setsid()
        if os.fork():  # a second fork: the process gets another parent, and the worker need not wait for it
            return
        with contextlib.suppress(OSError), open("/proc/self/comm", "w") as name:
            name.write(NAME)  # the command line still names the worker
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        kept = sorted({1, output, line.fileno()})
        for before, after in zip([-1, *kept], [*kept, os.sysconf("SC_OPEN_MAX")], strict=True):
            os.closerange(before + 1, after)
        _copy(output, line)
    finally:
        os._exit(0)


def _copy(output: int, line: socket.socket) -> None:
    stream, splitter = redaction.Stream(), Splitter()
    line.setblocking(False)
    poll = select.poll()
    poll.register(output, select.POLLIN)
    poll.register(line, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        data = os.read(output, _READ) if output in ready else None
        # A worker registers a secret before it can print it. So `line` has every secret that `data` can contain.
        if not _read_secrets(line, splitter):
            with contextlib.suppress(KeyError, ValueError):
                poll.unregister(line)
        if data is not None:
            _write(stream.feed(data, redaction.live()) if data else stream.end(redaction.live()))
            if not data:
                return


def _read_secrets(line: socket.socket, splitter: Splitter) -> bool:
    """Read the secrets that the worker registered. Return false once the worker has closed the line."""
    while True:
        try:
            data = line.recv(_READ)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        for content in splitter.feed(data):
            secret = revealed(content)
            if secret is not None:
                redaction.know(secret.name, secret.value)


def _write(data: bytes) -> None:
    with contextlib.suppress(OSError):  # a full disk must not stop the worker
        while data:
            data = data[os.write(1, data) :]

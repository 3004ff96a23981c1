"""The way of a worker's output into its log: through a process of its own, which takes secrets out.

That process is forked before anything of the project is loaded, so it sees what Python, C libraries and programs that the
project starts write to descriptors 1 and 2. It lives until nobody can write to them any more: it outlives the platform,
and what a worker wrote before it crashed still arrives.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
from collections.abc import Callable

from fairway.author import redaction
from fairway.spec.wire import Revealed, Splitter, frame, revealed

NAME = "fairway-output"
"""The process is seen under this name where processes are listed; Linux has room for 15 letters."""

_READ = 1 << 16


def redirect() -> Callable[[str, str], None]:
    """Send what is written to descriptors 1 and 2 through a new process; returns what tells it of a further secret."""
    near, far = socket.socketpair()
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):  # another worker's process may still write there
        # Held by the descriptor of the log, which only the new process keeps: who waits for the last words looks at it.
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

    def tell(name: str, value: str) -> None:
        with contextlib.suppress(OSError):
            near.sendall(frame(Revealed(name=name, value=value)))

    return tell


def _become_reader(output: int, line: socket.socket) -> None:
    """In the forked process: belong to nobody, hold nothing of the worker, and pass output on until it ends."""
    try:
        os.setsid()
        if os.fork():
            return
        with contextlib.suppress(OSError), open("/proc/self/comm", "w") as name:
            name.write(NAME)  # its command line is the worker's
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        kept = sorted({1, output, line.fileno()})
        for before, after in zip([-1, *kept], [*kept, os.sysconf("SC_OPEN_MAX")], strict=True):
            os.closerange(before + 1, after)
        _pass_on(output, line)
    finally:
        os._exit(0)


def _pass_on(output: int, line: socket.socket) -> None:
    stream, splitter = redaction.Stream(), Splitter()
    line.setblocking(False)
    poll = select.poll()
    poll.register(output, select.POLLIN)
    poll.register(line, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        data = os.read(output, _READ) if output in ready else None
        # Told before it was printed: whatever is in `data` was told of by now.
        if not _learn(line, splitter):
            with contextlib.suppress(KeyError, ValueError):
                poll.unregister(line)
        if data is not None:
            _write(stream.feed(data, redaction.live()) if data else stream.end(redaction.live()))
            if not data:
                return


def _learn(line: socket.socket, splitter: Splitter) -> bool:
    """Take in what the worker tells of its secrets; False once it tells nothing more."""
    while True:
        try:
            told = line.recv(_READ)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not told:
            return False
        for content in splitter.feed(told):
            secret = revealed(content)
            if secret is not None:
                redaction.know(secret.name, secret.value)


def _write(data: bytes) -> None:
    with contextlib.suppress(OSError):  # a full disk must not stop the worker
        while data:
            data = data[os.write(1, data) :]

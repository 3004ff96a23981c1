"""The host: a process that imports the project once and forks one child per attempt.

It stays single-threaded and runs no code of the user after the import. It forwards the messages and the output of its
children to the engine and enforces their limits of time and memory. When the engine is gone, it ends everything it started.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import cast

import msgspec

from fairway.author import code, redaction
from fairway.formats.warming import warm
from fairway.local import descent
from fairway.runner import attempt, debugging, lifeline, processes, reaping
from fairway.runner.channel import Channel
from fairway.runner.children import Child, Limits
from fairway.runner.project import ImportedProject, bind, describe_project
from fairway.spec.host import LINE, HostSetup
from fairway.spec.wire import (
    DRIVER,
    Answer,
    Bind,
    Exited,
    FromHost,
    Identified,
    Identify,
    Log,
    Quit,
    Said,
    Splitter,
    Start,
    Started,
    Stop,
    decode_to_host,
    frame,
    revealed,
)
from fairway.stores.opening import open_store

_READ = 1 << 16
_MEMORY_CHECK = 0.05
_END_SECONDS = 1.0
_MOST_READS = 1 << 12
"""The most reads of the output that a child left in its pipe.

Without a limit, a descendant that escaped and goes on printing would keep the host busy.
"""
_NO_FORK_ON_MAC = frozenset({"torch", "tensorflow", "jax", "keras", "objc", "matplotlib.backends._macosx"})
"""Frameworks whose system libraries do not survive a fork on macOS, even before they start a thread."""


class Host:
    """A server of one engine over one socket. It works until the engine tells it to quit or the socket closes."""

    def __init__(self, fd: int, setup: HostSetup) -> None:
        self.setup = setup
        self.engine = socket.socket(fileno=fd)
        self.store = open_store(setup.store)
        self._selector = selectors.DefaultSelector()
        self._splitter = Splitter()
        self._children: dict[int, Child] = {}
        self._out: list[bytes] = []
        self._quitting = False
        self._project: ImportedProject | None = None
        self._warm = False
        self._spare: Child | None = None
        self._enter_step = descent.enter_step
        self._closed = False

    def serve(self) -> int:
        """Import the project, describe it to the engine, serve until the end, and return the exit status."""
        parent = os.getppid()
        lifeline.become_subreaper()
        descent.enter(os.environ[descent.MARK])
        self.engine.set_inheritable(False)
        os.register_at_fork(after_in_child=self._close_in_child)
        self._project, described = describe_project(self.setup, self.store)
        self._send(described)
        self._flush()
        # After the import, which may change the environment and the limits of the process.
        self._enter_step = descent.step_entry()
        # A frozen object is never visited by the collector, so its memory stays shared with the children.
        gc.collect()
        gc.freeze()
        gc.enable()
        self._selector.register(self.engine, selectors.EVENT_READ, self._read_engine)
        wakeup = processes.watch_children()
        signal.signal(signal.SIGTERM, self._asked_to_end)
        lifeline.hold_politely(parent, self.engine.fileno())
        self._selector.register(wakeup, selectors.EVENT_READ, lambda: self._reap(wakeup))
        while not self._quitting:
            for key, _ in self._selector.select(self._pause()):
                cast("Callable[[], None]", key.data)()
            self._enforce()
            self._flush()
            self._fork_ahead()
        self._end_all()
        return 0

    def _asked_to_end(self, number: int, frame: object) -> None:
        self._quitting = True

    @property
    def project(self) -> ImportedProject:
        """The imported project. The engine sends no order before the import."""
        assert self._project is not None
        return self._project

    def _read_engine(self) -> None:
        try:
            data = self.engine.recv(_READ)
        except ConnectionError:
            data = b""
        if not data:
            self._quitting = True
            return
        for content in self._splitter.feed(data):
            self._handle(content)

    def _handle(self, content: bytes) -> None:
        message = decode_to_host(content)
        if isinstance(message, Start):
            self._start(message, content)
        elif isinstance(message, Answer):
            for child in self._children.values():
                if child.step == message.step:
                    child.queue(content)
                    self._write_child(child)
        elif isinstance(message, Stop):
            for child in self._children.values():
                if (child.step, child.attempt) == (message.step, message.attempt):
                    child.stop(message.grace)
        elif isinstance(message, Bind):
            self._send(bind(self.project, self.store, message))
        elif isinstance(message, Identify):
            self._send(Identified(digests={name: code.digest(name) for name in message.names}))
        elif isinstance(message, Quit):
            self._quitting = True

    def _start(self, start: Start, content: bytes) -> None:
        if start.step != DRIVER and not self._warm:
            self._warm = True
            warm()
            gc.freeze()
        self.store.before_fork(start.run)
        child, self._spare = self._spare or self._child(), None
        child.take(start.step, start.attempt, Limits(start.timeout, start.memory))
        child.queue(content)
        self._selector.register(child.output, selectors.EVENT_READ, lambda: self._service_output(child))
        self._selector.register(child.line, selectors.EVENT_READ, lambda: self._service_child(child))
        self._write_child(child)
        self._send(Started(step=child.step, attempt=child.attempt, pid=child.pid))

    def _child(self) -> Child:
        """Start a process that waits for its order, by a fork if one is possible."""
        child = Child()
        child.pid = self._fork(child) if self._may_fork() else self._spawn(child)
        child.started()
        self._children[child.pid] = child
        return child

    def _fork_ahead(self) -> None:
        """Fork the next child while the last one works, so that a step finds its process ready."""
        if self._warm and self._spare is None and not self._quitting and self._may_fork():
            self._spare = self._child()

    def _place(self) -> attempt.Workplace:
        store = self.store
        return attempt.Workplace(
            self.project,
            store.artifacts,
            store.results,
            self.setup.foreign,
            store.place,
            keeps=self.setup.keeps,
        )

    def _may_fork(self) -> bool:
        """Tell whether a forked child could work.

        Only the thread that forks lives on in the child. A lock that another thread held would stay locked there.
        """
        if processes.thread_count() > 1:
            return False
        return sys.platform != "darwin" or _NO_FORK_ON_MAC.isdisjoint(sys.modules)

    def _fork(self, child: Child) -> int:
        host = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            child.become(host, self._enter_step)
            if self._quitting:
                raise processes.Terminated
            channel = Channel(child.far_line)
            status = attempt.run(channel.order(), channel, self._place())
        except processes.Terminated:
            processes.end_by(signal.SIGTERM)
        except BaseException as error:
            with contextlib.suppress(BaseException):
                sys.excepthook(type(error), error, error.__traceback__)
                sys.stderr.flush()
        finally:
            os._exit(status)

    def _close_in_child(self) -> None:
        """Close the host's descriptors in a process forked from it, by the host or by the project.

        Only descriptors are closed. Freeing the objects as well would copy every page of memory that holds them.
        """
        if self._closed:
            return  # This process is forked from a fork, where the numbers may belong to other files.
        self._closed = True
        os.close(self._selector.fileno())
        os.close(self.engine.fileno())
        for child in self._children.values():
            os.close(child.output)
            os.close(child.line.fileno())

    def _spawn(self, child: Child) -> int:
        words = [str(os.getpid()), *self.setup.words()]
        command = [sys.executable, "-P", "-m", "fairway.runner.spawned", *words]
        # The connection becomes inheritable in the new process only. Here, a thread of the project may be starting a program,
        # which would inherit it.
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, child.far_output, 1),
            (os.POSIX_SPAWN_DUP2, child.far_output, 2),
            (os.POSIX_SPAWN_DUP2, child.far_line.fileno(), LINE),
        ]
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsid=True)

    def _write_child(self, child: Child) -> None:
        """Send the queued messages that a child takes now. The others follow when it takes them, and the host does not wait."""
        if child.mute:
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.send() else 0)
        if self._selector.get_key(child.line).events != events:
            self._selector.modify(child.line, events, lambda: self._service_child(child))

    def _service_child(self, child: Child) -> None:
        self._write_child(child)
        self._read_messages(child)

    def _read_output(self, child: Child) -> bool:
        """Read and forward output of a child. Return False if its output has ended."""
        if child.silent:
            return False
        try:
            data = os.read(child.output, _READ)
        except BlockingIOError:
            return True
        if data:
            # Before the output is forwarded: a message that names a secret may have been sent before it was printed.
            self._receive(child)
            self._log(child, child.stream.feed(data, redaction.live()))
            return True
        self._forget_output(child)
        return False

    def _service_output(self, child: Child) -> None:
        self._read_output(child)
        self._forward(child)

    def _log(self, child: Child, data: bytes) -> None:
        if data:
            self._send(Log(step=child.step, attempt=child.attempt, time=time.time(), data=data))

    def _forget_output(self, child: Child) -> None:
        if not child.silent:
            self._log(child, child.stream.end(redaction.live()))
            child.silent = True
            self._selector.unregister(child.output)

    def _read_messages(self, child: Child) -> bool:
        """Read and forward messages of a child, after the output that it printed before them.

        Return False if no more is there now.
        """
        more = self._receive(child)
        if child.messages:
            self._read_output(child)
        self._forward(child)
        return more

    def _receive(self, child: Child) -> bool:
        """Read messages of a child into its list. A secret that a message names is removed from all output that is read later."""
        if child.mute:
            return False
        try:
            contents, more = child.receive()
        except EOFError:
            self._forget_line(child)
            return False
        except ValueError:
            child.stop(0.0)
            self._forget_line(child)
            return False
        for content in contents:
            secret = revealed(content)
            if secret is None:
                child.messages.append(content)
            else:
                redaction.know(secret.name, secret.value)
        return more

    def _forward(self, child: Child) -> None:
        for content in child.messages:
            self._send(Said(step=child.step, attempt=child.attempt, message=msgspec.Raw(content)))
        child.messages.clear()

    def _forget_line(self, child: Child) -> None:
        if not child.mute:
            child.mute = True
            self._selector.unregister(child.line)

    def _reap(self, wakeup: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while wakeup.recv(4096):
                pass
        for reaped in reaping.reap():
            child = self._children.pop(reaped.pid, None)
            if child is None:
                processes.kill_strays(set(self._children))
            elif child is self._spare:
                self._spare = None
                child.close()
            else:
                self._finish(child, reaped)

    def _finish(self, child: Child, reaped: reaping.Reaped) -> None:
        """Report the end of a child to the engine, after all output and messages of the child and its descendants."""
        # First, so that no process is left that could write: after it, the pipes hold all there will be.
        child.kill_group()
        processes.kill_strays(set(self._children))
        while self._read_messages(child):
            pass
        for _ in range(_MOST_READS):
            if child.silent or not processes.readable(child.output) or not self._read_output(child):
                break
        self._forward(child)
        self._forget_output(child)
        self._forget_line(child)
        child.close()
        self._send(
            Exited(
                step=child.step,
                attempt=child.attempt,
                ended=reaping.ended(reaped, child),
                usage=reaping.usage(reaped, child),
            )
        )

    def _pause(self) -> float | None:
        pauses = [child.pause() for child in self._children.values()]
        known = [pause for pause in pauses if pause is not None]
        if any(child.limits.memory for child in self._children.values()):
            known.append(_MEMORY_CHECK)
        return min(known) if known else None

    def _enforce(self) -> None:
        for child in self._children.values():
            child.enforce()

    def _end_all(self) -> None:
        for child in self._children.values():
            child.kill_group()
        processes.end_all_children(_END_SECONDS)

    def _send(self, message: FromHost) -> None:
        self._out.append(frame(message))
        if len(self._out) > 64:
            self._flush()

    def _flush(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            try:
                self.engine.sendall(data)
            except OSError:
                self._quitting = True


def main(words: list[str]) -> int:
    """Run a host with its options as words of a command line, and return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    processes.print_anything()
    debugging.refuse_breakpoints()
    return Host(*HostSetup.from_words(words)).serve()

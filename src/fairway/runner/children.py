"""A child as its host sees it: the process of one attempt, its pipe, its connection and its limits."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable

import msgspec

from fairway.author import redaction
from fairway.runner import lifeline, processes
from fairway.spec.wire import Splitter

_KILL_AFTER = 2.0


class Limits(msgspec.Struct, frozen=True):
    """The limits of an attempt: seconds of wall time, and bytes of memory of all its processes. 0 means no limit."""

    seconds: float = 0.0
    memory: int = 0


class Child:
    """A process that carries out one attempt, with the host's ends of its output pipe and of its message connection.

    Attributes:
        silent: True when the host reads no more output of it.
        mute: True when the host reads no more messages of it.
        peak: the most memory that a check of the limit has seen, in bytes.
        messages: messages that are received and not yet forwarded.
    """

    def __init__(self) -> None:
        self.step = ""
        self.attempt = 0
        self.limits = Limits()
        self.pid = 0
        self.output, self.far_output = os.pipe()
        os.set_blocking(self.output, False)
        self.line, self.far_line = socket.socketpair()
        self.silent = False
        self.mute = False
        self.timed_out = False
        self.over_memory = False
        self.stopped = False
        self.peak = 0
        self.messages: list[bytes] = []
        self.stream = redaction.Stream()
        self._splitter = Splitter()
        self._unsent = bytearray()
        self._begun = time.monotonic()
        self._deadline: float | None = None
        self._kill_at: float | None = None

    def take(self, step: str, attempt: int, limits: Limits) -> None:
        """Begin an attempt in this process: its time counts from now."""
        self.step, self.attempt, self.limits = step, attempt, limits
        self._begun = time.monotonic()
        self._deadline = self._begun + limits.seconds if limits.seconds else None

    def started(self) -> None:
        """Close the child's ends of pipe and connection, in the host, once the process exists."""
        os.close(self.far_output)
        self.far_line.close()
        self.line.setblocking(False)

    def become(self, host: int, enter_step: Callable[[], None]) -> None:
        """Turn the forked process into the child.

        It leads a session of its own, prints to the pipe, reads no input, handles signals in the ordinary way and dies with
        its host.

        Args:
            host: the process id of the host.
            enter_step: changes the mark of the process from that of a host to that of a step.
        """
        os.setsid()
        # First, because the host may be killed at any moment, and nobody else would end this process.
        lifeline.hold(host, self.far_line.fileno())
        lifeline.become_subreaper()
        enter_step()
        os.close(self.output)
        self.line.close()
        os.dup2(self.far_output, 1)
        os.dup2(self.far_output, 2)
        os.close(self.far_output)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        processes.unwind_on_termination()

    def receive(self) -> tuple[list[bytes], bool]:
        """Return the messages that are complete now, and whether more may be waiting.

        Raises:
            EOFError: the child has closed its end, and no message is left.
            ValueError: the received bytes are not frames.
        """
        try:
            data = self.line.recv(1 << 16)
        except BlockingIOError:
            return [], False
        except OSError:
            data = b""
        if not data:
            raise EOFError
        return self._splitter.feed(data), True

    def queue(self, content: bytes) -> None:
        """Queue a message for the child, which `send` delivers."""
        self._unsent += len(content).to_bytes(4, "big") + content

    def send(self) -> bool:
        """Send as much of the queue as the child takes without waiting, and tell whether something is left."""
        try:
            while self._unsent:
                del self._unsent[: self.line.send(self._unsent)]
        except BlockingIOError:
            return True
        except OSError:
            self._unsent.clear()
        return False

    def stop(self, grace: float) -> None:
        """Stop the child: with SIGTERM if there is any grace, and with SIGKILL after that many seconds."""
        polite = grace > 0 and self._kill_at is None
        self.stopped = True
        if grace <= 0:
            self.kill_group()
        elif polite:
            self._signal(signal.SIGTERM)
            self._kill_at = time.monotonic() + grace

    def enforce(self) -> None:
        """End the child if it is over a limit, or if its grace has passed."""
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self.kill_group()
            self._kill_at = now + _KILL_AFTER
        elif self._deadline is not None and now >= self._deadline and not self.timed_out:
            self.timed_out = True
            self._signal(signal.SIGTERM)
            self._kill_at = now + _KILL_AFTER
        if self.limits.memory and not self.over_memory:
            used = processes.tree_memory(self.pid)
            self.peak = max(self.peak, used)
            if used > self.limits.memory:
                self.over_memory = True
                self.kill_group()

    def pause(self) -> float | None:
        """Return the seconds until a limit or a grace ends, or None when there is neither."""
        times = [at for at in (self._kill_at, None if self.timed_out else self._deadline) if at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def age(self) -> float:
        """Return the seconds since the attempt began."""
        return time.monotonic() - self._begun

    def kill_group(self) -> None:
        """Kill the child and every process in its group at once."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the host's ends of pipe and connection."""
        with contextlib.suppress(OSError):
            os.close(self.output)
        self.line.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        # The process itself as well: a child that was forked just now leads no group yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)

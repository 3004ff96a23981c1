"""One forked attempt as its host sees it: its process, its lines and its limits."""

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
    """Bounds of an attempt: seconds of wall time, bytes of memory of all its processes; 0 is none."""

    seconds: float = 0.0
    memory: int = 0


class Child:
    """The host's ends of a child's output pipe and message line, and what is known of its end."""

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
        """Its attempt begins now."""
        self.step, self.attempt, self.limits = step, attempt, limits
        self._begun = time.monotonic()
        self._deadline = self._begun + limits.seconds if limits.seconds else None

    def started(self) -> None:
        """In the host, after the child exists: its own ends are not ours."""
        os.close(self.far_output)
        self.far_line.close()
        self.line.setblocking(False)

    def become(self, host: int, enter_step: Callable[[], None]) -> None:
        """In the child: a session of its own, output to the pipe, no input, ordinary signals, death with the host."""
        os.setsid()
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
        """Messages that are complete now, and whether more may be waiting. Raises EOFError after its last word.

        Raises:
            ValueError: what it says makes no sense.
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
        """Add a message for the child; `send` passes on what it takes."""
        self._unsent += len(content).to_bytes(4, "big") + content

    def send(self) -> bool:
        """Send what the child takes without waiting for it; whether something is left."""
        try:
            while self._unsent:
                del self._unsent[: self.line.send(self._unsent)]
        except BlockingIOError:
            return True
        except OSError:
            self._unsent.clear()
        return False

    def stop(self, grace: float) -> None:
        """End it: politely first when there is grace, and for good after so many seconds."""
        polite = grace > 0 and self._kill_at is None
        self.stopped = True
        if grace <= 0:
            self.kill_group()
        elif polite:
            self._signal(signal.SIGTERM)
            self._kill_at = time.monotonic() + grace

    def enforce(self) -> None:
        """End it when it is over a limit."""
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
        """Seconds until something is due; None when nothing is."""
        times = [at for at in (self._kill_at, None if self.timed_out else self._deadline) if at is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._begun

    def kill_group(self) -> None:
        """End the child and everything in its process group, at once."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the host's ends."""
        with contextlib.suppress(OSError):
            os.close(self.output)
        self.line.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)

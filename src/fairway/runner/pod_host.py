"""The host in a pod, as the first process of the pod sees it: a child with a socket, and a pipe with its own output."""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from fairway.local.launching import Launched
from fairway.local.reaping import end
from fairway.runner.pod_memory import ControlGroup
from fairway.runner.pod_scratch import Scratch
from fairway.spec.wire import (
    Cause,
    Described,
    Exited,
    FrameTooLarge,
    Quit,
    Said,
    Splitter,
    Start,
    Started,
    Stop,
    ToHost,
    decode_from_host,
    decode_to_host,
    frame,
    is_kept,
)

_READ = 1 << 18
_QUIT_SECONDS = 10.0
_LAST_SECONDS = 1.0
_MEASURE_SECONDS = 0.5
_MOST_KEPT = 512
"""The most ends of attempts that are kept for a control plane that has missed them.

A control plane stops listening while more than 256 facts are not on disk, and each end is several facts. So earlier ends are in
its log.
"""
_MOST_NAMED = 32 * 2**10
"""The most bytes of the names of attempts that have ended in a hello, which has a limit."""
_NUMBER = 16
"""The most bytes of the number of an attempt, and of what a message needs around it."""
_KILLED = signal.SIGKILL.name
_encode = msgspec.msgpack.Encoder().encode


class HostEnd(NamedTuple):
    """The end of a host: its exit status, or the name of the signal that ended it, and both in words."""

    code: int
    signal: str
    text: str


class PodHost:
    """A host process of this pod.

    Args:
        launched: the process, which this one has just started.
        selector: the selector of this process.
        group: the control group of the pod.
        scratch: the files that attempts leave.
        passed: called with each message of the host, encoded.
        printed: called with output of the host itself, and with nothing at the end of an import and of the host.
    """

    def __init__(
        self,
        launched: Launched,
        selector: selectors.BaseSelector,
        group: ControlGroup,
        scratch: Scratch,
        passed: Callable[[bytes], None],
        printed: Callable[[bytes], None],
    ) -> None:
        self.pid = launched.pid
        self.peak = 0
        self.ended: HostEnd | None = None
        self.out_of_memory = False
        self._launched = launched
        self._selector = selector
        self._group = group
        self._scratch = scratch
        self._kills = group.kills()
        self._passed = passed
        self._printed = printed
        self._splitter = Splitter()
        self._out = bytearray()
        self._open = True
        self._paused = False
        self._dead: tuple[int, str] | None = None
        self._kill_at = self._measure_at = 0.0
        self._groups: dict[tuple[str, int], int] = {}
        self._told: dict[tuple[str, int], None] = {}
        self._description: list[bytes] = []
        self._kept: dict[tuple[str, int], list[bytes]] = {}
        """By attempt, the message with its record and that of its end, as far as there are any."""
        launched.connection.setblocking(False)
        self._watch()

    @property
    def kept(self) -> list[bytes]:
        """The messages that a control plane needs that takes this host over: its description, records and ends of attempts."""
        return [*self._description, *(content for contents in self._kept.values() for content in contents)]

    @property
    def running(self) -> tuple[tuple[str, int], ...]:
        """The attempts that the host was told to start and that have not ended."""
        return tuple(self._told)

    @property
    def finished(self) -> tuple[tuple[str, int], ...]:
        """The last attempts that have ended."""
        found: list[tuple[str, int]] = []
        named = 0
        for key in reversed(self._kept):
            named += len(key[0].encode()) + _NUMBER
            if named > _MOST_NAMED:
                break
            if key not in self._told:
                found.append(key)
        return tuple(reversed(found))

    @property
    def is_idle(self) -> bool:
        """True when no attempt runs."""
        return not self._groups

    def send(self, message: ToHost) -> None:
        """Send a message to the host."""
        self.write(_encode(message))

    def write(self, content: bytes) -> None:
        """Send an encoded message to the host, as soon as the host takes it."""
        order = decode_to_host(content)
        if isinstance(order, Start):
            self._told[order.step, order.attempt] = None
        if self.ended is None:
            self._out += len(content).to_bytes(4, "big") + content
            self._flush()

    def stop_all(self, grace: float) -> None:
        """Ask every running attempt to end."""
        for step, attempt in self._groups:
            self.send(Stop(step=step, attempt=attempt, grace=grace))

    def quit(self) -> None:
        """Ask the host to end. A host that does not end is killed by `look` after some seconds."""
        if not self._kill_at:
            self._kill_at = time.monotonic() + _QUIT_SECONDS
            self.send(Quit())

    def pause(self, *, paused: bool) -> None:
        """Stop reading from the host, so that the host waits, or go on. Nothing is lost meanwhile."""
        if self.ended is None and paused != self._paused:
            self._paused = paused
            self._watch()

    def died(self, code: int, name: str) -> None:
        """Note how the process of the host has ended."""
        self._dead = (code, name)

    def look(self) -> None:
        """Measure the memory of the pod. End the host if it has died or did not quit in time."""
        if self.ended is None:
            now = time.monotonic()
            if now >= self._measure_at:
                self._measure_at = now + _MEASURE_SECONDS
                self.peak = max(self.peak, self._group.used())
            if self._dead is not None or (self._kill_at and now > self._kill_at):
                self.end()

    def end(self) -> None:
        """End the host with everything that it started. Pass on first what it has sent."""
        if self.ended is not None:
            return
        text = end(self._launched, self._groups.values())
        # Nobody is left who could write, so this ends.
        while self._open and self._read():
            pass
        while self._read_output():
            pass
        self._printed(b"")
        for file in (self._launched.connection, self._launched.output):
            self._ignore(file)
        self._launched.connection.close()
        os.close(self._launched.output)
        self.out_of_memory = self._group.kills() > self._kills
        code, name = self._dead or (0, _KILLED)
        self.ended = HostEnd(code, name, text)

    def _watch(self) -> None:
        """Wait for what the pod is interested in: messages and output unless paused, and room for what is to be written."""
        reading = 0 if self._paused or not self._open else selectors.EVENT_READ
        writing = selectors.EVENT_WRITE if self._out and self._open else 0
        self._register(self._launched.connection, reading | writing, self._serve)
        self._register(self._launched.output, 0 if self._paused else selectors.EVENT_READ, self._serve_output)

    def _register(self, file: object, events: int, serve: Callable[[], object]) -> None:
        self._ignore(file)
        if events:
            self._selector.register(file, events, serve)  # type: ignore[arg-type]

    def _ignore(self, file: object) -> None:
        if file in self._selector.get_map():  # type: ignore[operator]
            self._selector.unregister(file)  # type: ignore[arg-type]

    def _serve(self) -> None:
        if self.ended is not None:
            return  # It ended after the selector had found that it has something to say.
        if self._out:
            self._flush()
        if not self._paused:
            self._read()

    def _flush(self) -> None:
        waited = bool(self._out)
        try:
            while self._out:
                del self._out[: self._launched.connection.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()  # The host is gone, which is noticed by its end.
        if waited:
            self._watch()

    def _read(self) -> bool:
        """Read messages. Return False if there is nothing to read now."""
        try:
            data = self._launched.connection.recv(_READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            with contextlib.suppress(msgspec.MsgspecError, FrameTooLarge):
                for content in self._splitter.feed(data):
                    self._receive(content)
                return True
        # The socket of a host closes only with its process, and code of the user may have written into it.
        self._open = False
        self._watch()
        self._kill_at = self._kill_at or time.monotonic() + _LAST_SECONDS
        return False

    def _receive(self, content: bytes) -> None:
        message = decode_from_host(content)
        if isinstance(message, Started):
            self._groups[message.step, message.attempt] = message.pid
        elif isinstance(message, Described):
            # What the import printed stays in front of its end.
            while self._read_output():
                pass
            self._printed(b"")
            self._scratch.remember()
            self._description = [content]
        elif isinstance(message, Exited):
            self._groups.pop((message.step, message.attempt), None)
            self._told.pop((message.step, message.attempt), None)
            content = self._with_cause(message)
            self._keep(message, content)
            if not self._told:
                # Before the engine hears that there is room, because it sends the next attempt then.
                self._scratch.clean()
                self.peak = 0
        elif isinstance(message, Said) and is_kept(message):
            self._keep(message, content)
        self._passed(content)

    def _keep(self, message: Said | Exited, content: bytes) -> None:
        """Keep a message for a control plane that takes this host over."""
        self._kept.setdefault((message.step, message.attempt), []).append(content)
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def _with_cause(self, message: Exited) -> bytes:
        """Name memory as the cause of an end by SIGKILL if the system has killed a process for that since the last end."""
        kills = self._group.kills()
        if kills > self._kills and message.ended.signal == _KILLED and message.ended.cause is Cause.NONE:
            ended = msgspec.structs.replace(message.ended, cause=Cause.MEMORY)
            message = msgspec.structs.replace(message, ended=ended)
        self._kills = kills
        return frame(message)[4:]

    def _serve_output(self) -> None:
        if self.ended is None:
            self._read_output()

    def _read_output(self) -> bool:
        """Read output of the host itself. Return False if there is nothing to read now."""
        try:
            data = os.read(self._launched.output, _READ)
        except BlockingIOError:
            return False
        if data:
            self._printed(data)
        else:
            self._ignore(self._launched.output)
        return bool(data)

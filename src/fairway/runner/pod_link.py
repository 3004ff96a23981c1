"""The pod's end of the link to the control plane. It makes connections for ever and keeps one session over all of them."""

import queue
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fairway.spec import link
from fairway.spec.link import (
    Ack,
    BrokenLink,
    Data,
    Facts,
    Hello,
    Message,
    Ping,
    Pong,
    Refused,
    Session,
    Welcome,
)
from fairway.spec.wire import FrameTooLarge, Splitter

_READ = 1 << 18
_CONNECT_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_MOST_AT_ONCE = 64

Attempts = tuple[tuple[str, int], ...]


class PodLink:
    """A link to the control plane at an address.

    Args:
        address: host and port of the control plane.
        name: the name of this host.
        token: the file with the token of the pod. It is read at each hello, because it is renewed.
        facts: the facts that the pod knows of itself.
        selector: the selector of this process.

    Attributes:
        receive: called with each message of the control plane.
        welcome: called with each welcome. Returns the messages that a control plane needs that has forgotten the session.
        refuse: called with a final refusal.
        attempts: returns the attempts that the pod was told to start, those that run and those that have ended.
    """

    def __init__(
        self,
        address: tuple[str, int],
        name: str,
        token: Path,
        facts: Facts,
        selector: selectors.BaseSelector,
    ) -> None:
        self.receive: Callable[[Message], None] = lambda message: None
        self.welcome: Callable[[Welcome], list[Message]] = lambda welcome: []
        self.refuse: Callable[[Refused], None] = lambda refused: None
        self.attempts: Callable[[], tuple[Attempts, Attempts]] = lambda: ((), ())
        self.session = Session()
        self._address = address
        self._name = name
        self._token = token
        self._facts = facts
        self._selector = selector
        self._session = self._credential = ""
        self._socket: socket.socket | None = None
        self._welcomed = False
        self._splitter = Splitter(link.MAX_LINK_FRAME)
        self._out: deque[bytes] = deque()
        self._pause = _FIRST_PAUSE
        self._next = 0.0
        self._read_at = self._asked_at = self._owed_since = 0.0
        self._dialing = False
        self._dialed: queue.SimpleQueue[socket.socket | None] = queue.SimpleQueue()
        self._wake, wake = socket.socketpair()
        self._wake.setblocking(False)
        self._wakes = wake
        selector.register(self._wake, selectors.EVENT_READ, self._connect)

    def send(self, message: Message) -> None:
        """Send a message, now or when there is a connection again."""
        framed = self.session.send(message)
        if self._welcomed:
            self._queue(framed)

    def look(self) -> None:
        """Connect if it is time to, and close a connection that has been silent for too long."""
        now = time.monotonic()
        if self._socket is None:
            if not self._dialing and now >= self._next:
                self._dialing = True
                threading.Thread(target=self._dial, daemon=True).start()
        elif now - self._read_at > link.SILENCE_SECONDS:
            self._close()
        else:
            self._acknowledge()
            if self._welcomed and now - max(self._read_at, self._asked_at) > link.PING_SECONDS:
                self._asked_at = now
                self._queue(link.frame(Ping()))

    def _dial(self) -> None:
        """Connect in a thread, because the search for an address may take long."""
        connection = None
        with suppress(OSError):
            connection = socket.create_connection(self._address, timeout=_CONNECT_SECONDS)
        self._dialed.put(connection)
        self._wakes.send(b"x")

    def _connect(self) -> None:
        """Take over the connection that the thread has made, and say hello."""
        self._wake.recv(64)
        self._dialing = False
        connection = self._dialed.get()
        if connection is None:
            self._wait()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._splitter = Splitter(link.MAX_LINK_FRAME)
        self._read_at = time.monotonic()
        self._selector.register(connection, selectors.EVENT_READ, self._serve)
        running, ended = self.attempts()
        token = ""
        with suppress(OSError):
            token = self._token.read_text().strip()
        self._queue(
            link.frame(
                Hello(
                    host=self._name,
                    token=token,
                    session=self._session,
                    credential=self._credential,
                    received=self.session.received,
                    running=running,
                    ended=ended,
                    facts=self._facts,
                )
            )
        )

    def _wait(self) -> None:
        """Wait before the next connection: longer each time, and not as long as others wait."""
        self._next = time.monotonic() + self._pause * random.uniform(0.5, 1.0)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    def _close(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None
            self._welcomed = False
            self._owed_since = 0.0
            self._out.clear()
            self._wait()

    def _queue(self, framed: bytes) -> None:
        self._out.append(framed)
        self._flush()

    def _flush(self) -> None:
        connection = self._socket
        if connection is None:
            return
        try:
            while self._out:
                some = b"".join(self._out.popleft() for _ in range(min(len(self._out), _MOST_AT_ONCE)))
                sent = 0
                try:
                    sent = connection.send(some)
                finally:
                    if sent < len(some):
                        self._out.appendleft(some[sent:])
        except BlockingIOError:
            pass
        except OSError:
            self._close()
            return
        writing = selectors.EVENT_WRITE if self._out else 0
        if self._selector.get_key(connection).events != selectors.EVENT_READ | writing:
            self._selector.modify(connection, selectors.EVENT_READ | writing, self._serve)

    def _serve(self) -> None:
        self._flush()
        connection = self._socket
        if connection is None:
            return
        try:
            data = connection.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._read_at = time.monotonic()
        try:
            for content in self._splitter.feed(data):
                self._handle(link.decode(content))
        except (BrokenLink, FrameTooLarge):
            self._close()
        if self._welcomed and self.session.owes and not self._owed_since:
            self._owed_since = self._read_at
        self._acknowledge()

    def _acknowledge(self) -> None:
        """Send an acknowledgement, once much was received or some time has passed."""
        waited = time.monotonic() - self._owed_since if self._owed_since else 0.0
        if self._welcomed and (self.session.owes_much or waited > link.ACK_SECONDS):
            self._owed_since = 0.0
            self._queue(self.session.acknowledge())

    def _handle(self, frame: object) -> None:
        if isinstance(frame, Welcome):
            self._begin(frame)
        elif isinstance(frame, Refused):
            self._close()
            if frame.final:
                self.refuse(frame)
        elif isinstance(frame, Ping):
            self._queue(link.frame(Pong()))
        elif not self._welcomed:
            return
        elif isinstance(frame, Data):
            message = self.session.accept(frame)
            if message is not None:
                self.receive(message)
        elif isinstance(frame, Ack):
            self.session.acknowledged(frame.seq)

    def _begin(self, welcome: Welcome) -> None:
        again = self.welcome(welcome)
        if welcome.session != self._session:
            self.session.renew(*again)
            self._session = welcome.session
        self._credential = welcome.credential
        self._pause = _FIRST_PAUSE
        frames = self.session.resume(welcome.received)
        self._welcomed = True
        self._out.extend(frames)
        self._flush()

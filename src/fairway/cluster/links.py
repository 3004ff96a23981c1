"""The control plane's end of the links to hosts in pods.

A pod connects and says hello with a token that proves which pod it is. If somebody waits for a host of that name, the pod
gets its orders, and messages pass in both directions. A broken connection is never a verdict: the session waits for the
next one. This module knows nothing of Kubernetes.
"""

import asyncio
import hmac
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from fairway.spec import link
from fairway.spec.link import (
    Ack,
    BrokenLink,
    Data,
    Facts,
    Hello,
    Message,
    Orders,
    Ping,
    Pong,
    Refused,
    Session,
    Welcome,
)
from fairway.spec.wire import FrameTooLarge, Splitter

_HELLO_SECONDS = 10.0
_HOLD_SECONDS = 20.0
"""Seconds that a pod waits for somebody who wants its host, before it is sent away to try again."""
_MOST_STRANGERS = 512
"""The most connections that have not been welcomed. More are closed at once."""
_MOST_FENCED = 10_000
_LOOK_SECONDS = 5.0


class PodIdentity(NamedTuple):
    """The pod that a token belongs to."""

    pod: str
    uid: str


Identify = Callable[[str], Awaitable[PodIdentity | None]]
"""The function that returns the pod of a token, or None if it is no pod's. Any error means that nobody knows for now."""


class HostLink:
    """The session with one host, over any number of connections.

    Attributes:
        name: the name of the host.
        facts: what the pod said of itself. It is empty before its first hello.
        running: the attempts that the pod was told to start, by this control plane or an earlier one, and that have not ended.
        ended: the last attempts of the pod that have ended.
        hear: called with each message of the pod.
        connected: called with True when a connection begins and with False when it breaks.
    """

    def __init__(self, name: str, orders: Orders) -> None:
        self.name = name
        self.facts = Facts()
        self.running: tuple[tuple[str, int], ...] = ()
        self.ended: tuple[tuple[str, int], ...] = ()
        self.hear: Callable[[Message], None] = lambda message: None
        self.connected: Callable[[bool], None] = lambda is_connected: None
        self._orders = orders
        self._id = secrets.token_urlsafe(9)
        self._credential = secrets.token_urlsafe(32)
        self._uid = ""
        self._session = Session()
        self._connection: _Connection | None = None
        self._telling: asyncio.TimerHandle | None = None

    @property
    def is_connected(self) -> bool:
        """True while there is a connection."""
        return self._connection is not None

    def send(self, message: Message) -> None:
        """Send a message, now or when the pod has connected again."""
        framed = self._session.send(message)
        if self._connection is not None:
            self._connection.write(framed)

    def continues(self, hello: Hello) -> bool:
        """Tell whether a hello proves that it continues this session."""
        same = hello.session == self._id
        return same and hmac.compare_digest(hello.credential.encode(), self._credential.encode())

    def belongs_to(self, uid: str) -> bool:
        """Tell whether a pod may be this host. Another pod never takes the place of the first one."""
        return self._uid in ("", uid)

    def attach(self, connection: "_Connection", hello: Hello, uid: str) -> None:
        """Resume over a new connection. Raises BrokenLink if the two sides cannot go on."""
        received = hello.received if hello.session == self._id else 0
        # A pod that does not know the session has lost nothing only if nothing of it was accepted here.
        if hello.session != self._id and self._session.received:
            raise BrokenLink("the pod has forgotten its session")
        frames = self._session.resume(received)
        if self._connection is not None:
            self._connection.drop()
        self._uid = uid or self._uid
        self.facts = hello.facts
        self.running, self.ended = hello.running, hello.ended
        self._connection = connection
        welcome = Welcome(
            session=self._id,
            credential=self._credential,
            orders=self._orders,
            received=self._session.received,
        )
        connection.write(link.frame(welcome), *frames)
        self.connected(True)

    def accept(self, data: Data) -> None:
        """Pass a message on, if it is new. Raises BrokenLink."""
        message = self._session.accept(data)
        if message is not None:
            self.hear(message)

    def acknowledge(self) -> None:
        """Tell the pod what has been received: at once if it is much, and otherwise soon."""
        if self._session.owes_much:
            self._acknowledge()
        elif self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(link.ACK_SECONDS, self._acknowledge)

    def _acknowledge(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._connection is not None and self._session.owes:
            self._connection.write(self._session.acknowledge())

    def acknowledged(self, seq: int) -> None:
        """Forget the messages that the pod has. Raises BrokenLink."""
        self._session.acknowledged(seq)

    def detach(self, connection: "_Connection") -> None:
        """Note that a connection is over."""
        if self._connection is connection:
            self._connection = None
            self.connected(False)

    def close(self) -> None:
        """Close the connection, after what was written to it."""
        self._acknowledge()
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


class Links:
    """The server of links. Each host that somebody expects gets its session."""

    def __init__(self, identify: Identify, *, hold: float = _HOLD_SECONDS) -> None:
        self._identify = identify
        self._hold = hold
        self._links: dict[str, HostLink] = {}
        self._fenced: dict[str, str] = {}
        self._expected: dict[str, list[asyncio.Future[None]]] = {}
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._looking: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int) -> int:
        """Begin to accept connections. Return the port, which the system chooses if it is 0."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=512)
        self._look()
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close every connection. The pods keep their hosts and look for the next control plane."""
        if self._looking is not None:
            self._looking.cancel()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self._connections):
            connection.drop()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def expect(self, name: str, orders: Orders) -> HostLink:
        """Make the session of a host. Its pod may come later, or it may wait already."""
        assert name not in self._links, f"two wait for {name}"
        made = self._links[name] = HostLink(name, orders)
        self._fenced.pop(name, None)
        self._settle(name)
        return made

    def forget(self, name: str, why: str = "its run does not need it any more") -> None:
        """Give up a host. If its pod still lives, it is told to end at once when it connects again."""
        known = self._links.pop(name, None)
        if known is not None:
            known.close()
        self._fenced.setdefault(name, why)
        while len(self._fenced) > _MOST_FENCED:
            del self._fenced[next(iter(self._fenced))]
        self._settle(name)

    def release(self, name: str) -> None:
        """End the session of a host without giving the host up. Its pod is welcomed by whoever expects it next."""
        known = self._links.pop(name, None)
        if known is not None:
            known.close()

    def add(self, connection: "_Connection") -> bool:
        """Count a new connection. Return False if there are too many that nobody knows."""
        strangers = sum(one.link is None for one in self._connections)
        if strangers >= _MOST_STRANGERS:
            return False
        self._connections.add(connection)
        return True

    def remove(self, connection: "_Connection") -> None:
        """Forget a connection that is over."""
        self._connections.discard(connection)

    def greet(self, connection: "_Connection", hello: Hello) -> None:
        """Answer a hello."""
        task = asyncio.get_running_loop().create_task(self._greet(connection, hello))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, connection: "_Connection", hello: Hello) -> None:
        try:
            refused = await self._admit(connection, hello)
        except BrokenLink as error:
            refused = Refused(message=str(error), final=True)
        except Exception as error:
            # The API server may be out of reach. That says nothing about the pod.
            refused = Refused(message=f"nobody can say now which pod this is: {error}")
        if refused is not None:
            connection.write(link.frame(refused))
            connection.close()

    async def _admit(self, connection: "_Connection", hello: Hello) -> Refused | None:
        """Join a pod with its session. Return the refusal otherwise."""
        if hello.link != link.LINK:
            return Refused(
                message=f"the pod speaks version {hello.link} of the link, the control plane {link.LINK}",
                final=True,
            )
        known = self._links.get(hello.host)
        if known is not None and known.continues(hello):
            connection.admit(known)
            known.attach(connection, hello, "")
            return None
        identity = await self._identify(hello.token)
        if identity is None:
            return Refused(message="the token does not prove that this is a pod of a run")
        if identity.pod != hello.host and not identity.pod.startswith(f"{hello.host}-"):
            return Refused(message=f"pod {identity.pod} is not host {hello.host}", final=True)
        known = await self._expecting(hello.host)
        if hello.host in self._fenced:
            return Refused(message=f"host {hello.host} was given up: {self._fenced[hello.host]}", final=True)
        if known is None:
            return Refused(message=f"nobody waits for host {hello.host}")
        if not known.belongs_to(identity.uid):
            return Refused(message=f"another pod is host {hello.host}", final=True)
        if not connection.is_closing:
            connection.admit(known)
            known.attach(connection, hello, identity.uid)
        return None

    async def _expecting(self, name: str) -> HostLink | None:
        """Return the session of a host. Wait for a while until somebody wants it."""
        if name not in self._links and name not in self._fenced:
            coming = asyncio.get_running_loop().create_future()
            self._expected.setdefault(name, []).append(coming)
            with suppress(TimeoutError):
                await asyncio.wait_for(coming, self._hold)
        return self._links.get(name)

    def _settle(self, name: str) -> None:
        for future in self._expected.pop(name, ()):
            if not future.done():
                future.set_result(None)

    def _look(self) -> None:
        """Ask silent pods whether they are there, and close the connections of those that do not answer."""
        loop = asyncio.get_running_loop()
        for connection in list(self._connections):
            connection.look(loop.time())
        self._looking = loop.call_later(_LOOK_SECONDS, self._look)


class _Connection(asyncio.Protocol):
    """A connection of a pod. It has no `link` until the pod is welcomed."""

    def __init__(self, links: Links) -> None:
        self.link: HostLink | None = None
        self._links = links
        self._splitter = Splitter(link.MAX_HELLO)
        self._transport: asyncio.Transport | None = None
        self._hello = False
        self._read_at = self._begun_at = asyncio.get_running_loop().time()

    @property
    def is_closing(self) -> bool:
        """True when the connection is over."""
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._links.add(self):
            self.drop()

    def data_received(self, data: bytes) -> None:
        """Read frames, or parts of them."""
        self._read_at = asyncio.get_running_loop().time()
        try:
            any_data = False
            for content in self._splitter.feed(data):
                frame = link.decode(content)
                any_data |= isinstance(frame, Data)
                self._handle(frame)
        except (BrokenLink, FrameTooLarge):
            self.drop()
            return
        if any_data and self.link is not None and not self.is_closing:
            self.link.acknowledge()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is over. The session goes on."""
        self._links.remove(self)
        if self.link is not None:
            self.link.detach(self)

    def admit(self, known: HostLink) -> None:
        """Take frames of a session from here on."""
        self.link = known
        self._splitter.most = link.MAX_LINK_FRAME

    def write(self, *frames: bytes) -> None:
        """Write frames."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(frames))

    def close(self) -> None:
        """Close the connection after what was written."""
        if self._transport is not None:
            self._transport.close()

    def drop(self) -> None:
        """Close the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def look(self, now: float) -> None:
        """Close a connection without a hello or with a silent pod, and ping one that has been silent for a while."""
        silent = now - self._read_at
        if silent > link.SILENCE_SECONDS or (not self._hello and now - self._begun_at > _HELLO_SECONDS):
            self.drop()
        elif self._hello and silent > link.PING_SECONDS / 2:
            self.write(link.frame(Ping()))

    def _handle(self, frame: object) -> None:
        if isinstance(frame, Ping):
            self.write(link.frame(Pong()))
        elif isinstance(frame, Hello) and not self._hello:
            self._hello = True
            self._links.greet(self, frame)
        elif isinstance(frame, Data) and self.link is not None:
            self.link.accept(frame)
        elif isinstance(frame, Ack) and self.link is not None:
            self.link.acknowledged(frame.seq)
        elif not isinstance(frame, Pong):
            raise BrokenLink("a frame came out of turn")

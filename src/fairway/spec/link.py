"""The link between the control plane and a host in a pod: its frames, and the session that survives broken connections.

A frame has the same form as in `spec.wire`: a four-byte big-endian length and a MessagePack message. A connection
begins with `Hello` and `Welcome`. After that, both sides send numbered messages in `Data` and acknowledge those of the
other side. A message is kept until it is acknowledged and sent again after a reconnect, so a session delivers every
message exactly once and in order. This module must not know sockets or clocks.
"""

from collections import deque

import msgspec

from fairway.spec.wire import MAX_FRAME

LINK = 1
"""Version of the link. The control plane refuses another one."""
MAX_LINK_FRAME = MAX_FRAME + 1024
"""The largest frame of a link. A frame of `spec.wire` fits into it."""
MAX_HELLO = 64 * 2**10
"""The largest frame before the other side is known."""
MOST_UNACKED = 8 * 2**20
"""Bytes of unacknowledged messages from which on a session counts as full."""
ACK_SECONDS = 0.05
"""Seconds after which a message is acknowledged, together with those that came meanwhile."""
_MOST_UNTOLD = 16
_MOST_UNTOLD_BYTES = 64 * 2**10
"""Messages and bytes that are acknowledged at once."""
PING_SECONDS = 10.0
"""Seconds of silence after which a side sends a ping."""
SILENCE_SECONDS = 30.0
"""Seconds of silence after which a side closes the connection and makes another. Silence is no verdict about the host."""


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts that a pod knows of itself.

    Attributes:
        version: the version of Fairway in the pod.
        python: the version of Python in the pod.
        address: the IP address of the pod.
        node: the node of the pod.
        memory: the most bytes that the container may use. 0 is no limit.
        cpu: the number of cores that the container may use. 0 is no limit.
    """

    version: str = ""
    python: str = ""
    address: str = ""
    node: str = ""
    memory: int = 0
    cpu: float = 0.0


class Orders(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The orders for a pod: the host to start.

    Attributes:
        store: the address of the store, as `StorePlace` takes it.
        credential: the credential with which the pod reaches what belongs to its run.
        bundle: the digest of the folder with the project's code. If it is empty, `file` is a path of the pod.
        file: the project file, relative to the bundle.
        module: the name under which the file is imported.
        foreign: True when the host runs under another environment than the project's own.
    """

    store: str
    file: str
    credential: str = ""
    bundle: str = ""
    module: str = ""
    foreign: bool = False


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag="hello", omit_defaults=True):
    """The first frame of a connection, from the pod.

    Attributes:
        link: the version of the link that the pod speaks.
        host: the name of the host.
        token: the token that proves which pod this is.
        session: the session that the pod wants to continue. It is empty at the first connection.
        credential: the proof that the session belongs to this pod, once the pod has it. It stands in for the token.
        received: the number of the last message that the pod has received in the session.
        running: the attempts, by step and number, that the pod was told to start and that have not ended.
        ended: the last attempts that have ended.
        facts: the facts that the pod knows of itself.
    """

    link: int = LINK
    host: str
    token: str = ""
    session: str = ""
    credential: str = ""
    received: int = 0
    running: tuple[tuple[str, int], ...] = ()
    ended: tuple[tuple[str, int], ...] = ()
    facts: Facts = Facts()


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag="welcome", omit_defaults=True):
    """The answer to a hello.

    Attributes:
        session: the session that the connection carries. If it is another one than in the hello, the control plane knows
            nothing of the old one: both sides count from one again.
        credential: the proof of the session for later hellos.
        received: the number of the last message that the control plane has received in the session.
        orders: the orders for the pod.
    """

    session: str
    credential: str
    orders: Orders
    received: int = 0


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused", omit_defaults=True):
    """The refusal of a hello. If it is final, the pod ends its host at once. Otherwise the pod tries again later."""

    message: str
    final: bool = False


class Data(msgspec.Struct, frozen=True, array_like=True, tag="data"):
    """A numbered message of a session. Numbers begin at one, for each direction apart."""

    seq: int
    message: msgspec.Raw


class Ack(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """The acknowledgement of every message up to a number."""

    seq: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag="ping"):
    """The question whether the other side is there."""


class Pong(msgspec.Struct, frozen=True, array_like=True, tag="pong"):
    """The answer to a ping."""


class Passed(msgspec.Struct, frozen=True, tag="passed"):
    """A message of `spec.wire` between the engine and the host, encoded."""

    content: bytes


class Note(msgspec.Struct, frozen=True, tag="note"):
    """Output of the host itself, such as what the project prints when it is imported."""

    data: bytes


class Draining(msgspec.Struct, frozen=True, tag="draining"):
    """A message from the pod: it was asked to end, so it stops its attempts and takes no more."""


class HostEnded(msgspec.Struct, frozen=True, kw_only=True, tag="ended", omit_defaults=True):
    """A message from the pod: the host and everything that it started has ended. It is the last message of a session.

    Attributes:
        code: the exit status. It is 0 if a signal ended the host.
        signal: the name of the signal that ended the host, or empty.
        text: how the host ended, for people.
        out_of_memory: True when the system has ended a process of the pod because the pod was out of memory.
        peak: the most bytes of memory that the pod was seen to use.
        limit: the most bytes of memory that the pod may use. 0 is no limit.
        drained: True when the pod was asked to end from outside.
        dismissed: True when the control plane has told the pod to end.
    """

    code: int = 0
    signal: str = ""
    text: str = ""
    out_of_memory: bool = False
    peak: int = 0
    limit: int = 0
    drained: bool = False
    dismissed: bool = False


class Dismiss(msgspec.Struct, frozen=True, tag="dismiss"):
    """A message to the pod: end the host, and exit with status 0."""


Message = Passed | Note | Draining | HostEnded | Dismiss
"""A message of a session."""
FromPod = Hello | Data | Ack | Ping | Pong
FromPlane = Welcome | Refused | Data | Ack | Ping | Pong
_OfSession = Data | Ack | Ping | Pong

_encode = msgspec.msgpack.Encoder().encode
# Objects with and without `array_like` cannot stand in one union, so the first byte of a frame tells the two kinds apart.
_greetings = msgspec.msgpack.Decoder(Hello | Welcome | Refused)
_of_session = msgspec.msgpack.Decoder(_OfSession)
_message = msgspec.msgpack.Decoder(Message)
_ARRAYS = range(0x90, 0xA0)


class BrokenLink(ValueError):
    """The error for a frame that does not belong here. The connection is closed, and the session goes on with another."""


def frame(message: Hello | Welcome | Refused | Data | Ack | Ping | Pong) -> bytes:
    """Encode a message of a link as a frame."""
    data = _encode(message)
    return len(data).to_bytes(4, "big") + data


def decode(content: bytes) -> Hello | Welcome | Refused | Data | Ack | Ping | Pong:
    """Decode the content of a frame. Raises BrokenLink."""
    try:
        if content and content[0] in _ARRAYS:
            return _of_session.decode(content)
        return _greetings.decode(content)
    except msgspec.MsgspecError as error:
        raise BrokenLink(str(error)) from None


class Session:
    """A side of a session. It numbers messages, keeps them until they are acknowledged, and drops duplicates.

    Attributes:
        received: the number of the last message that was accepted from the other side.
        size: the bytes of the messages that are kept.
    """

    __slots__ = ("_first", "_kept", "_most", "_told", "_untold", "received", "size")

    def __init__(self, most: int = MOST_UNACKED) -> None:
        self.received = 0
        self.size = 0
        self._told = self._untold = 0  # The last number that was acknowledged, and the bytes received since.
        self._first = 1  # The number of the oldest kept message, or of the next one if none is kept.
        self._kept: deque[bytes] = deque()
        self._most = most

    @property
    def full(self) -> bool:
        """True when so much is unacknowledged that no more should be sent for now. A message is taken all the same."""
        return self.size >= self._most

    @property
    def settled(self) -> bool:
        """True when the other side has acknowledged everything."""
        return not self._kept

    @property
    def owes(self) -> bool:
        """True when messages were received that are not acknowledged yet."""
        return self.received != self._told

    @property
    def owes_much(self) -> bool:
        """True when so much was received that it should be acknowledged at once."""
        return self.received - self._told >= _MOST_UNTOLD or self._untold >= _MOST_UNTOLD_BYTES

    def acknowledge(self) -> bytes:
        """Return the frame that acknowledges all that was received."""
        self._told, self._untold = self.received, 0
        return frame(Ack(self.received))

    def send(self, message: Message) -> bytes:
        """Number and keep a message. Return its frame, for the connection if there is one."""
        data = _encode(message)
        self._kept.append(data)
        self.size += len(data)
        return self._frame(self._first + len(self._kept) - 1, data)

    def accept(self, data: Data) -> Message | None:
        """Return the message of a frame, or None if it was accepted before. Raises BrokenLink."""
        if data.seq <= self.received:
            return None
        if data.seq != self.received + 1:
            raise BrokenLink(f"message {data.seq} came after message {self.received}")
        try:
            message = _message.decode(data.message)
        except msgspec.MsgspecError as error:
            raise BrokenLink(str(error)) from None
        self.received = data.seq
        self._untold += memoryview(data.message).nbytes
        return message

    def acknowledged(self, seq: int) -> None:
        """Forget the messages up to a number. Raises BrokenLink for a number that was never sent."""
        if seq >= self._first + len(self._kept):
            raise BrokenLink(f"message {seq} was acknowledged and never sent")
        while self._first <= seq:
            self.size -= len(self._kept.popleft())
            self._first += 1

    def resume(self, received: int) -> list[bytes]:
        """Return the frames that the other side lacks on a new connection. Raises BrokenLink if they are not kept."""
        if received < self._first - 1:
            raise BrokenLink(f"message {received + 1} was acknowledged before and is not kept")
        self.acknowledged(received)
        return [self._frame(self._first + number, data) for number, data in enumerate(self._kept)]

    def renew(self, *again: Message) -> None:
        """Begin a new session with `again` and the messages that are kept, because the other side has forgotten the old one.

        What is kept has its place: the end of an attempt, for example, comes after the output that is kept as well.
        """
        kept = set(self._kept)
        before = [data for message in again if (data := _encode(message)) not in kept]
        self._kept.extendleft(reversed(before))
        self.size += sum(map(len, before))
        self._first = 1
        self.received = self._told = self._untold = 0

    def _frame(self, seq: int, data: bytes) -> bytes:
        return frame(Data(seq, msgspec.Raw(data)))

"""The session of a link under losses, cuts and reconnects of any order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairway.spec.link import (
    Ack,
    BrokenLink,
    Data,
    Dismiss,
    Draining,
    Facts,
    Hello,
    HostEnded,
    Note,
    Orders,
    Passed,
    Ping,
    Pong,
    Refused,
    Session,
    Welcome,
    decode,
    frame,
)

LENGTH = 4


def content(framed: bytes) -> bytes:
    assert int.from_bytes(framed[:LENGTH], "big") == len(framed) - LENGTH
    return framed[LENGTH:]


class Side:
    """A side of a session: what it sent, what it got, and what is on its way to the other side."""

    def __init__(self) -> None:
        self.session = Session()
        self.sent: list[int] = []
        self.got: list[int] = []
        self.wire: list[bytes] = []

    def send(self, number: int, *, connected: bool) -> None:
        self.sent.append(number)
        framed = self.session.send(Passed(str(number).encode()))
        if connected:
            self.wire.append(framed)

    def take(self, framed: bytes) -> None:
        """Take a frame and acknowledge what is received."""
        frame_ = decode(content(framed))
        if isinstance(frame_, Ack):
            self.session.acknowledged(frame_.seq)
            return
        assert isinstance(frame_, Data)
        message = self.session.accept(frame_)
        if message is not None:
            assert isinstance(message, Passed)
            self.got.append(int(message.content))
        self.wire.append(frame(Ack(self.session.received)))


STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "deliver", "cut", "connect", "again"]), st.integers(0, 1)),
    max_size=120,
)


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_every_message_arrives_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    sides = [Side(), Side()]
    connected = False
    for count, (what, who) in enumerate(steps):
        side, other = sides[who], sides[1 - who]
        if what == "send":
            side.send(count, connected=connected)
        elif what == "deliver" and side.wire:
            other.take(side.wire.pop(0))
        elif what == "again" and side.wire:
            side.wire.insert(0, side.wire[0])
        elif what == "cut":
            connected = False
            for one in sides:
                one.wire.clear()
        elif what == "connect" and not connected:
            connected = True
            connect(*sides)
        assert all(b.got == a.sent[: len(b.got)] for a, b in (sides, reversed(sides)))
    for one in sides:
        one.wire.clear()
    connect(*sides)
    while any(one.wire for one in sides):
        for side, other in (sides, reversed(sides)):
            if side.wire:
                other.take(side.wire.pop(0))
    assert [one.got for one in sides] == [one.sent for one in reversed(sides)]
    assert all(one.session.settled and one.session.size == 0 for one in sides)


def connect(one: Side, other: Side) -> None:
    """Make a new connection: each side learns what the other one has, and sends the rest."""
    one.wire += one.session.resume(other.session.received)
    other.wire += other.session.resume(one.session.received)


@pytest.mark.parametrize(
    "one",
    [
        Hello(host="fw-1-d-a1", token="t", session="s", received=3, facts=Facts(memory=2**30, cpu=1.5)),
        Welcome(session="s", credential="c", received=7, orders=Orders(store="/s", file="p.py", bundle="ab")),
        Refused(message="fenced", final=True),
        Ack(3),
        Ping(),
        Pong(),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_frame_reads_as_it_was_written(one: Hello | Welcome | Refused | Ack | Ping | Pong) -> None:
    assert decode(content(frame(one))) == one


@pytest.mark.parametrize(
    "message",
    [
        Passed(b"\x00"),
        Note(b"hello"),
        Draining(),
        Dismiss(),
        HostEnded(signal="SIGKILL", text="it was ended by SIGKILL", out_of_memory=True, peak=5, limit=6),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_message_reads_as_it_was_sent(message: Passed | Note | Draining | Dismiss | HostEnded) -> None:
    data = decode(content(Session().send(message)))
    assert isinstance(data, Data)
    assert Session().accept(data) == message


def test_a_session_is_full_until_its_messages_are_acknowledged() -> None:
    session = Session(most=100)
    session.send(Note(b"x" * 60))
    assert not session.full
    session.send(Note(b"x" * 60))
    assert session.full
    session.acknowledged(1)
    assert not session.full
    assert not session.settled


def test_a_new_session_begins_with_what_nobody_has_acknowledged() -> None:
    session, other = Session(), Session()
    session.send(Note(b"one"))
    session.acknowledged(1)
    session.send(Note(b"two"))
    session.renew(Note(b"zero"))
    sent = [decode(content(framed)) for framed in session.resume(0)]
    assert [other.accept(data) for data in sent if isinstance(data, Data)] == [Note(b"zero"), Note(b"two")]


def test_what_is_told_again_keeps_its_place_among_the_messages_that_are_not_acknowledged() -> None:
    session, other = Session(), Session()
    for words in (b"one", b"output", b"end"):
        session.send(Note(words))
    session.acknowledged(1)
    session.renew(Note(b"one"), Note(b"end"))
    sent = [decode(content(framed)) for framed in session.resume(0)]
    heard = [other.accept(data) for data in sent if isinstance(data, Data)]
    assert heard == [Note(b"one"), Note(b"output"), Note(b"end")]


@pytest.mark.parametrize("odd", [b"", b"\x90", b"\xff", b"\x81\xa4type\xa3bye", b"\x93\xa4data\x01"])
def test_bytes_that_are_no_frame_break_the_link(odd: bytes) -> None:
    with pytest.raises(BrokenLink):
        decode(odd)


def test_numbers_that_cannot_be_right_break_the_link() -> None:
    session = Session()
    session.send(Draining())
    with pytest.raises(BrokenLink):
        session.acknowledged(2)
    session.acknowledged(1)
    with pytest.raises(BrokenLink):
        session.resume(0)
    later = Session()
    later.send(Draining())
    second = decode(content(later.send(Draining())))
    assert isinstance(second, Data)
    with pytest.raises(BrokenLink):
        session.accept(second)

"""The control plane's end of links: who is welcomed, who is refused, and what a reconnect costs."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fairway.cluster import links as module
from fairway.cluster.links import Links, PodIdentity
from fairway.spec import link
from fairway.spec.link import Ack, Data, Dismiss, Hello, Note, Orders, Passed, Ping, Refused, Session, Welcome
from fairway.spec.wire import Splitter

ORDERS = Orders(store="/store", file="p.py")
MINE = PodIdentity("fw-1-d-a1-x7k2p", "uid-1")


class Tokens:
    """The pods of tokens. With `broken` nobody can say whose a token is."""

    def __init__(self) -> None:
        self.known = {"mine": MINE, "other": PodIdentity("fw-2-d-a1-aaaaa", "uid-2")}
        self.known["twin"] = PodIdentity("fw-1-d-a1-zzzzz", "uid-3")
        self.broken = False
        self.asked = 0

    async def identify(self, token: str) -> PodIdentity | None:
        self.asked += 1
        if self.broken:
            raise ConnectionError("the API server does not answer")
        return self.known.get(token)


class Pod:
    """A pod that is played by hand."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.session = Session()
        self.frames: list[Any] = []

    async def connect(self, **hello: Any) -> Any:
        """Connect, say hello, and return the answer."""
        self._reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._splitter = Splitter(link.MAX_LINK_FRAME)
        self.frames.clear()
        self.writer.write(link.frame(Hello(**{"host": "fw-1-d-a1", "token": "mine", **hello})))
        return await self.next()

    async def next(self) -> Any:
        """Return the next frame, None at the end."""
        while not self.frames:
            data = await asyncio.wait_for(self._reader.read(1 << 16), 60)
            if not data:
                return None
            self.frames += [link.decode(content) for content in self._splitter.feed(data)]
        return self.frames.pop(0)


class Ground:
    def __init__(self, links: Links, tokens: Tokens, port: int) -> None:
        self.links = links
        self.tokens = tokens
        self.pod = Pod(port)
        self.port = port


def play(work: Any, hold: float = 0.05) -> None:
    async def whole() -> None:
        tokens = Tokens()
        links = Links(tokens.identify, hold=hold)
        ground = Ground(links, tokens, await links.listen("127.0.0.1", 0))
        try:
            await work(ground)
        finally:
            await links.close()

    asyncio.run(asyncio.wait_for(whole(), 60))


Work = Coroutine[Any, Any, None]


def test_a_pod_that_is_expected_gets_its_orders() -> None:
    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        welcome = await ground.pod.connect()
        assert isinstance(welcome, Welcome)
        assert welcome.orders == ORDERS

    play(work)


def test_a_pod_waits_until_somebody_expects_it() -> None:
    async def work(ground: Ground) -> None:
        coming = asyncio.ensure_future(ground.pod.connect())
        while not ground.tokens.asked:
            await asyncio.sleep(0.01)
        ground.links.expect("fw-1-d-a1", ORDERS)
        assert isinstance(await coming, Welcome)

    play(work, hold=20.0)


@pytest.mark.parametrize(
    ("hello", "final", "why"),
    [
        ({"token": "stolen"}, False, "does not prove"),
        ({"token": ""}, False, "does not prove"),
        ({"token": "other"}, True, "pod fw-2-d-a1-aaaaa is not host fw-1-d-a1"),
        ({"host": "fw-9-d-a1", "token": "mine"}, True, "is not host fw-9-d-a1"),
        ({"host": "fw-2-d-a1", "token": "other"}, False, "nobody waits"),
        ({"link": 99}, True, "version 99"),
    ],
)
def test_a_pod_is_refused_that_is_not_the_one(hello: dict[str, Any], final: bool, why: str) -> None:
    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        answer = await ground.pod.connect(**hello)
        assert isinstance(answer, Refused)
        assert (answer.final, why in answer.message) == (final, True)
        assert await ground.pod.next() is None

    play(work)


def test_a_host_that_was_given_up_is_refused_for_good() -> None:
    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        ground.links.forget("fw-1-d-a1", "its node was lost")
        answer = await ground.pod.connect()
        assert (answer.final, "its node was lost" in answer.message) == (True, True)

    play(work)


def test_another_pod_of_the_same_name_never_takes_the_place_of_the_first() -> None:
    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        await ground.pod.connect()
        answer = await Pod(ground.port).connect(token="twin")
        assert (answer.final, "another pod" in answer.message) == (True, True)

    play(work)


def test_nothing_is_final_while_nobody_can_say_whose_a_token_is() -> None:
    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        ground.tokens.broken = True
        answer = await ground.pod.connect()
        assert (answer.final, "does not answer" in answer.message) == (False, True)

    play(work)


def test_a_session_goes_on_without_asking_the_cluster_again() -> None:
    async def work(ground: Ground) -> None:
        host = ground.links.expect("fw-1-d-a1", ORDERS)
        heard: list[Any] = []
        host.hear = heard.append
        welcome = await ground.pod.connect()
        ground.pod.writer.write(ground.pod.session.send(Note(b"one")))
        assert await ground.pod.next() == Ack(1)
        ground.pod.writer.close()
        ground.pod.session.send(Note(b"two"))
        ground.tokens.broken = True
        host.send(Dismiss())
        again = await ground.pod.connect(session=welcome.session, credential=welcome.credential, token="")
        assert (again.session, again.received) == (welcome.session, 1)
        data = await ground.pod.next()
        assert isinstance(data, Data)
        assert ground.pod.session.accept(data) == Dismiss()
        ground.pod.writer.write(b"".join(ground.pod.session.resume(again.received)))
        assert await ground.pod.next() == Ack(2)
        assert heard == [Note(b"one"), Note(b"two")]

    play(work)


def test_messages_that_come_together_are_acknowledged_together_and_many_at_once() -> None:
    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        await ground.pod.connect()
        for _ in range(3):
            ground.pod.writer.write(ground.pod.session.send(Note(b"few")))
            await ground.pod.writer.drain()
        assert await ground.pod.next() == Ack(3)
        ground.pod.writer.write(ground.pod.session.send(Note(bytes(1 << 17))))
        ground.pod.writer.write(ground.pod.session.send(Note(b"after")))
        assert await ground.pod.next() in (Ack(4), Ack(5))

    play(work)


def test_the_last_message_is_acknowledged_before_the_link_is_closed() -> None:
    async def work(ground: Ground) -> None:
        host = ground.links.expect("fw-1-d-a1", ORDERS)
        host.hear = lambda message: ground.links.forget("fw-1-d-a1")
        await ground.pod.connect()
        ground.pod.writer.write(ground.pod.session.send(Note(b"last")))
        assert await ground.pod.next() == Ack(1)
        assert await ground.pod.next() is None

    play(work)


def test_an_acknowledgement_that_is_due_goes_over_the_next_connection() -> None:
    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        welcome = await ground.pod.connect()
        ground.pod.writer.write(ground.pod.session.send(Note(b"one")))
        await asyncio.sleep(0.01)
        again = await ground.pod.connect(session=welcome.session, credential=welcome.credential)
        assert again.received == 1
        ground.pod.session.resume(1)
        ground.pod.writer.write(ground.pod.session.send(Note(b"two")))
        assert await ground.pod.next() == Ack(2)

    play(work)


def test_a_wrong_credential_does_not_continue_a_session() -> None:
    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        welcome = await ground.pod.connect()
        answer = await Pod(ground.port).connect(session=welcome.session, credential="guessed", token="stolen")
        assert isinstance(answer, Refused)

    play(work)


def test_a_new_connection_of_a_pod_replaces_the_old_one() -> None:
    async def work(ground: Ground) -> None:
        host = ground.links.expect("fw-1-d-a1", ORDERS)
        seen: list[bool] = []
        host.connected = seen.append
        welcome = await ground.pod.connect()
        second = Pod(ground.port)
        await second.connect(session=welcome.session, credential=welcome.credential)
        assert await ground.pod.next() is None
        assert host.is_connected
        assert seen[-1] is True

    play(work)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        (link.MAX_HELLO + 1).to_bytes(4, "big"),
        link.frame(Ack(1)),
        Session().send(Passed(b"x")),
        b"\x00\x00\x00\x01\xc1",
    ],
)
def test_what_is_no_hello_closes_the_connection(sent: bytes) -> None:
    async def work(ground: Ground) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ground.port)
        writer.write(sent)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)

    play(work)


def test_a_ping_is_answered_before_the_welcome() -> None:
    async def work(ground: Ground) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", ground.port)
        writer.write(link.frame(Ping()))
        assert link.decode((await asyncio.wait_for(reader.read(64), 60))[4:]) == link.Pong()

    play(work)


def test_strangers_cannot_take_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_STRANGERS", 3)

    async def work(ground: Ground) -> None:
        ground.links.expect("fw-1-d-a1", ORDERS)
        assert isinstance(await ground.pod.connect(), Welcome)
        silent = [await asyncio.open_connection("127.0.0.1", ground.port) for _ in range(5)]
        ended = [asyncio.ensure_future(reader.read(1)) for reader, _ in silent]
        async with asyncio.timeout(60):
            while sum(one.done() for one in ended) < 2:
                await asyncio.sleep(0.01)
        done, _ = await asyncio.wait(ended, timeout=0.2)
        assert len(done) == 2
        for one in ended:
            one.cancel()
        assert ground.pod.frames == []
        for _, writer in silent:
            writer.close()

    play(work)

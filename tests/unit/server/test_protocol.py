"""The protocol under a real uvicorn on a real socket, with its waiting times cut short."""

import asyncio
import contextlib
import gc
import selectors
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from fairway.server import protocol, unread
from fairway.server.protocol import LEFT, WHOLE, BoundedProtocol

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"POST / HTTP/1.1\r\nhost: a\r\n"
LARGE = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n" % 2**24
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nxx\r\n0\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"


class App:
    """Answers with the number of bytes it was sent, as `how` says."""

    server: uvicorn.Server

    def __init__(self) -> None:
        self.left: list[str] = []
        self.asked = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message["body"], message["more_body"]
        scope["extensions"][LEFT](self.left.append, scope["path"])
        await self.hold.wait()
        self.headers = list(scope["headers"])
        if scope["path"] == "/large":
            await scope["extensions"][WHOLE](LARGE, b"x" * 2**24, False)
        else:
            await scope["extensions"][WHOLE](OK, b"%02d" % len(body), scope["path"] == "/close")


class Stepping(asyncio.SelectorEventLoop):
    """A loop whose time stands still while there is something to do: a busy machine makes nobody late."""

    def __init__(self) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        self._now = 0.0
        self._look = selector.select
        selector.select = self._wait  # type: ignore[method-assign]

    def time(self) -> float:
        return self._now

    def _wait(self, seconds: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = self._look(0 if seconds == 0 else 0.001)
        if not found and seconds is not None:
            self._now += seconds
        return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads and bodies must come within a moment."""
    monkeypatch.setattr(protocol, "_HEADER_SECONDS", 0.15)
    monkeypatch.setattr(protocol, "_BODY_SECONDS", 0.3)


def served(talk: Callable[[App, Talk], Awaitable[None]] | Any) -> App:
    """Serve on a free port while `talk(app, reader, writer)` runs."""

    async def work() -> App:
        app = App()
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            server_header=False,
            date_header=False,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        app.server = server
        await server.startup(sockets=[listening])
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        try:
            await talk(app, reader, writer)
        finally:
            writer.close()
            app.hold.set()
            await server.shutdown(sockets=[listening])
        return app

    with asyncio.Runner(loop_factory=Stepping) as runner:
        return runner.run(asyncio.wait_for(work(), 120))


def post(size: int, path: bytes = b"/") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size


def test_an_answer_comes_in_one_piece_and_the_connection_stays() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for size in (3, 14):
            writer.write(post(size))
            assert await reader.read(4096) == OK + b"\r\n" + b"%02d" % size

    assert served(talk).asked == 2


def test_pipelined_requests_are_answered_in_order() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(1) + post(2) + post(3)[:-2])
        await asyncio.sleep(0.05)
        writer.write(b"xx")
        got = await reader.readexactly(3 * len(OK + b"\r\n02"))
        assert [part[-2:] for part in got.split(b"HTTP/1.1")[1:]] == [b"01", b"02", b"03"]

    served(talk)


def test_an_answered_request_leaves_nothing_to_the_collector_of_cycles() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def ask(times: int) -> None:
            for _ in range(times):
                writer.write(post(1))
                await reader.read(4096)

        left = []
        await ask(5)
        gc.disable()
        try:
            # What other tests left running in this process leaves something too, but not each time.
            for _ in range(5):
                gc.collect()
                await ask(50)
                left.append(gc.collect())
        finally:
            gc.enable()
        assert min(left) < 50, left

    served(talk)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (post(1, b"/close"), b""),
        (post(1).replace(b"host", b"connection: close\r\nhost"), b"connection: close\r\n"),
        (post(1).replace(b"1.1", b"1.0"), b"connection: close\r\n"),
    ],
)
def test_a_connection_that_is_not_kept_is_closed_after_the_answer(sent: bytes, said: bytes) -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        assert await reader.read() == OK + said + b"\r\n01"

    served(talk)


def test_a_client_that_leaves_is_told_of_and_one_that_got_its_answer_is_not() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(1, b"/answered"))
        await reader.read(4096)
        app.hold.clear()
        writer.write(post(1, b"/left"))
        await asyncio.sleep(0.05)
        writer.close()
        while not app.left:
            await asyncio.sleep(0.01)

    assert served(talk).left == ["/left"]


def test_nobody_is_told_of_a_client_that_leaves_after_its_answer() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(1, b"/answered"))
        await reader.read(4096)
        writer.close()
        await asyncio.sleep(0.1)

    assert served(talk).left == []


def test_what_earlier_requests_sent_does_not_count_against_a_head() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(8):
            writer.write(post(60000))
            await reader.readexactly(len(OK) + 7)
        writer.write(HEAD)
        await asyncio.sleep(0.05)
        writer.write(b"content-length: 1\r\n\r\nx")
        assert (await reader.read(4096)).endswith(b"01")

    served(talk)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "sent",
    [b"", HEAD, HEAD + b"content-length: 5\r\n\r\nab", post(1) + HEAD],
    ids=["nothing", "half a head", "half a body", "half a second head"],
)
def test_a_request_that_does_not_come_in_time_ends_its_connection(sent: bytes) -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        got = await asyncio.wait_for(reader.read(), 60)
        assert got == (OK + b"\r\n01" if sent.startswith(post(1)) else b"")

    served(talk)


@pytest.mark.usefixtures("quick")
def test_the_time_is_for_one_request_and_a_quiet_connection_may_stay() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            writer.write(HEAD)
            await asyncio.sleep(0.08)
            writer.write(b"content-length: 1\r\n\r\n")
            await asyncio.sleep(0.08)
            writer.write(b"x")
            assert (await reader.read(4096)).endswith(b"01")
        await asyncio.sleep(0.5)
        writer.write(post(2))
        assert (await reader.read(4096)).endswith(b"02")

    served(talk)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        HEAD + b"".join(b"x-%d: %s\r\n" % (number, b"b" * 900) for number in range(80)) + b"\r\n",
        b"x" * 10,
    ],
    ids=["target", "headers", "no HTTP"],
)
def test_a_head_that_is_too_large_or_none_is_refused(sent: bytes) -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")

    assert served(talk).asked == 0


async def sent_until_cut_off(writer: asyncio.StreamWriter, piece: bytes) -> int:
    """Send a piece again and again until the server ends the connection, at most 64 MiB. Return the bytes that were sent."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 64 * 2**20:
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
    return sent


def test_a_header_that_never_ends_is_cut_off_long_before_its_time_is_over() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"x: ")
        assert await sent_until_cut_off(writer, b"a" * 2**16) < 32 * 2**20

    assert served(talk).asked == 0


def test_a_large_body_after_a_small_head_is_not_taken_for_a_large_head() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(HEAD + b"content-length: 600000\r\n\r\n" + b"x" * 600000)
            assert (await reader.readexactly(len(OK) + 4)).endswith(b"60")
            await reader.readexactly(4)

    served(talk)


def test_what_follows_a_body_never_becomes_a_header() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"authorization: Bearer x\r\norigin: y\r\n\r\n" + post(3))
        await reader.readexactly(2 * len(OK + b"\r\n02"))
        assert [name for name, _ in app.headers] == [b"host", b"content-length"]

    assert served(talk).asked == 2


@pytest.mark.parametrize(
    "piece",
    [b"x-%d: " + b"v" * 1000 + b"\r\n", b"v" * 1000],
    ids=["many trailers", "one trailer without an end"],
)
def test_trailers_without_end_are_cut_off(piece: bytes) -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        app.hold.clear()
        writer.write(CHUNKED + b"x: ")
        assert await sent_until_cut_off(writer, piece * 64) < 32 * 2**20

    served(talk)


def test_chunks_whose_extensions_never_end_are_cut_off() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n2;")
        assert await sent_until_cut_off(writer, b"a" * 2**16) < 32 * 2**20

    served(talk)


@pytest.mark.parametrize(
    "wanted", [b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /large HTTP/1.0\r\nhost: a\r\n\r\n"]
)
def test_a_client_that_does_not_read_its_answer_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, wanted: bytes
) -> None:
    monkeypatch.setattr(unread, "TAKE_SECONDS", 0.3)
    monkeypatch.setattr(unread, "_PAUSE", 0.1)

    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(wanted)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: app.asked)
        await until(lambda: not app.server.server_state.connections)

    served(talk)


def test_a_client_that_reads_slowly_gets_its_whole_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "TAKE_SECONDS", 0.5)
    monkeypatch.setattr(unread, "_PAUSE", 0.1)

    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        left = len(LARGE) + 2 + 2**24
        while left:
            await asyncio.sleep(0.1)
            left -= len(await reader.readexactly(min(left, 2**20)))

    served(talk)


def test_answers_that_nobody_reads_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "_TOGETHER", 2**25)

    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = []
        for _ in range(5):
            lines.append(await asyncio.open_connection(*writer.get_extra_info("peername")))
            lines[-1][0]._transport.pause_reading()  # type: ignore[attr-defined]
            lines[-1][1].write(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        await until(lambda: app.asked == 5)
        await until(lambda: len(app.server.server_state.connections) <= 3)
        writer.write(post(3))
        assert (await reader.read(4096)).endswith(b"03"), "who reads is not cut off"
        for _, line in lines:
            line.transport.abort()

    served(talk)


def test_requests_sent_ahead_without_end_end_the_connection() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        app.hold.clear()
        writer.write(post(1) * 1000)
        assert await reader.read() == b""

    assert served(talk).asked == 1


def test_one_connection_too_many_is_refused_and_a_quiet_one_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "most_connections", lambda: 2)

    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = writer.get_extra_info("peername")
        app.hold.clear()
        writer.write(post(1))
        await until(lambda: app.asked == 1)
        quiet, also = await asyncio.open_connection(*where)
        third, line = await asyncio.open_connection(*where)
        got = await third.read()
        assert got.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in got
        monkeypatch.setattr(protocol, "_IDLE_SECONDS", 0.0)
        fourth, other = await asyncio.open_connection(*where)
        assert await quiet.read() == b""
        app.hold.set()
        other.write(post(7))
        assert (await fourth.read(4096)).endswith(b"07")
        assert (await reader.read(4096)).endswith(b"01"), "who has a request under way stays"
        for one in (also, line, other):
            one.close()

    served(talk)


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not fact():
            await asyncio.sleep(0.01)


def test_an_old_connection_is_closed_after_its_next_answer_and_a_young_one_is_kept() -> None:
    async def talk(app: App, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def asked() -> bytes:
            writer.write(HEAD + b"content-length: 2\r\n\r\nxx")
            head = await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"02"
            return head.lower()

        def look() -> None:
            for connection in app.server.server_state.connections:
                assert isinstance(connection, BoundedProtocol)
                connection.end_if_old(60.0)

        look()
        assert b"connection: close" not in await asked()
        await asyncio.sleep(4)
        look()
        assert b"connection: close" not in await asked()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Stepping)
        loop._now += 60.0
        look()
        writer.write(HEAD + b"content-length: 2\r\n\r\nxx")
        assert b"connection: close" in (await reader.read()).lower()

    served(talk)

"""The way to a platform of this machine, against servers that answer well, badly, early, late or not at all."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fairway.remote import Direct
from fairway.spec.errors import Unreachable

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MEGABYTE = 1 << 20


async def ask(answer: Answer, body: bytes = b"", heard: asyncio.Event | None = None) -> tuple[int, bytes]:
    """Ask a server that answers as it is told. `heard` is set when there is an answer, or none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        await answer(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            return await Direct(f"http://127.0.0.1:{port}", "secret").ask("POST", "/api/v1/x?y=1", body)
        finally:
            if heard is not None:
                heard.set()


def saying(text: bytes) -> Answer:
    """Return a server that reads the head of a request and says what it is told."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)

    return answer


def test_a_request_arrives_whole() -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read a request of three megabytes and return the number of its bytes."""
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        body = await reader.readexactly(3 * MEGABYTE)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n%d" % len(body))

    assert asyncio.run(ask(answer, b"x" * 3 * MEGABYTE)) == (200, b"3145728")
    head = heard[0].decode().lower()
    assert head.startswith("post /api/v1/x?y=1 http/1.1\r\nhost: 127.0.0.1:")
    assert "\r\nauthorization: bearer secret\r\n" in head
    assert "\r\ncontent-type: application/json\r\n" in head


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            (200, b"abc"),
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", (200, b"until the end")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}", (404, b"{}")),
    ],
    ids=["nothing", "chunks", "until the end", "after 100"],
)
def test_every_form_of_an_answer_is_understood(said: bytes, understood: tuple[int, bytes]) -> None:
    assert asyncio.run(ask(saying(said))) == understood


def test_an_answer_before_the_end_of_the_request_is_heard() -> None:
    async def refused() -> tuple[int, bytes]:
        """Ask a server that reads nothing of a body, and closes only when its answer was heard."""
        heard = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Refuse."""
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\n{}")
            await heard.wait()

        return await asyncio.wait_for(ask(answer, b"x" * 64 * MEGABYTE, heard), 60)

    assert asyncio.run(refused()) == (413, b"{}")


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", b"SSH-2.0-OpenSSH_9.2\r\n"],
    ids=["nothing", "half", "another protocol"],
)
def test_a_connection_that_breaks_off_is_told(said: bytes) -> None:
    with pytest.raises(Unreachable, match=r"the platform at http://127\.0\.0\.1:\d+ broke off"):
        asyncio.run(ask(saying(said)))


def test_a_port_where_nobody_listens_is_told(free_port: Callable[[], int]) -> None:
    platform = Direct(f"http://127.0.0.1:{free_port()}", "secret")

    with pytest.raises(Unreachable, match="no platform answers"):
        asyncio.run(platform.ask("GET", "/api/v1/health"))


def test_whoever_gives_up_closes_the_connection() -> None:
    async def give_up() -> bytes:
        """Ask a server that does not answer, give up, and return what the server hears then."""
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        asked = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Wait for the end of the connection."""
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            try:
                heard.set_result(await reader.read())
            except ConnectionError:
                heard.set_result(b"")

        asking = asyncio.create_task(ask(answer))
        await asked.wait()
        asking.cancel()
        return await heard

    assert asyncio.run(give_up()) == b""

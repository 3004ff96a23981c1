"""A forwarded port speaks WebSocket as RFC 6455 and the channels of Kubernetes say."""

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from scripted import Answer, Asked, ScriptedServer, refusal

from fairway.cluster.client.access import Access
from fairway.cluster.client.api import Kubernetes
from fairway.cluster.client.errors import Forbidden, NotReached, Unknown
from fairway.cluster.client.forward import ForwardedTransport, Tunnel, forwarded, frame

Serve = Callable[..., ScriptedServer]
AccessTo = Callable[..., Access]
Talk = Callable[[Asked], Awaitable[None]]
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def test_a_frame_has_the_bytes_of_the_standard() -> None:
    # The example of section 5.7.
    assert frame(0x1, b"Hello", bytes.fromhex("37fa213d")) == bytes.fromhex("818537fa213d7f9f4d5158")
    assert frame(0x2, b"x" * 126, b"\0" * 4)[:4] == bytes.fromhex("82fe007e")
    assert frame(0x2, b"x" * (1 << 16), b"\0" * 4)[:10] == bytes.fromhex("82ff0000000000010000")
    assert frame(0x8, b"", b"\0" * 4) == bytes.fromhex("8880") + b"\0" * 4


def unmasked(code: int, content: bytes, final: bool = True) -> bytes:
    size = len(content)
    length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes((code | (0x80 if final else 0),)) + length + content


async def read_frame(asked: Asked) -> tuple[int, bytes]:
    code, size = await asked.reader.readexactly(2)
    assert size & 0x80, "a client has to mask its frames"
    size &= 0x7F
    if size == 126:
        size = int.from_bytes(await asked.reader.readexactly(2), "big")
    mask = await asked.reader.readexactly(4)
    content = await asked.reader.readexactly(size)
    return code & 0xF, bytes(byte ^ mask[at % 4] for at, byte in enumerate(content))


def pods(talk: Talk) -> Callable[[Asked], Awaitable[None]]:
    """Answer as the API server does: open the WebSocket, tell the ports, and leave the rest to `talk`."""

    async def handler(asked: Asked) -> None:
        key = asked.header("sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"]
        lines += [f"Sec-WebSocket-Accept: {accept}", "Sec-WebSocket-Protocol: v4.channel.k8s.io", "", ""]
        told = unmasked(2, b"\0" + (80).to_bytes(2, "little")) + unmasked(
            2, b"\1" + (80).to_bytes(2, "little")
        )
        asked.writer.write("\r\n".join(lines).encode() + told)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await talk(asked)

    return handler


def through(access: Access, question: Callable[[Kubernetes, Tunnel], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Kubernetes(access) as kube, asyncio.timeout(60), await forwarded(kube, "p", 80) as tunnel:
            await question(kube, tunnel)

    asyncio.run(main())


def test_bytes_go_both_ways(serve: Serve, access_to: AccessTo) -> None:
    async def echo(asked: Asked) -> None:
        while True:
            code, content = await read_frame(asked)
            if code == 2:
                # In two frames, as a server may send it.
                half = len(content) // 2
                asked.writer.write(unmasked(2, content[:half], final=False) + unmasked(0, content[half:]))

    async def question(kube: Kubernetes, tunnel: Tunnel) -> None:
        sent = bytes(range(256)) * 300
        await tunnel.write(sent)
        received = b""
        while len(received) < len(sent):
            received += await tunnel.read(1000)
        assert received == sent
        with pytest.raises(TimeoutError):
            await tunnel.read(seconds=0.1)

    server = serve(pods(echo))
    through(access_to(server), question)
    asked = server.asked[0]
    assert asked.target == "/api/v1/namespaces/team/pods/p/portforward?ports=80"
    assert asked.header("sec-websocket-protocol") == "v4.channel.k8s.io"
    assert asked.header("authorization") == "Bearer secret"


def test_a_ping_is_answered(serve: Serve, access_to: AccessTo) -> None:
    async def ping(asked: Asked) -> None:
        asked.writer.write(unmasked(9, b"there?"))
        assert await read_frame(asked) == (10, b"there?")
        asked.writer.write(unmasked(2, b"\0answered"))

    async def question(kube: Kubernetes, tunnel: Tunnel) -> None:
        assert await tunnel.read() == b"answered"

    through(access_to(serve(pods(ping))), question)


def test_the_end_of_the_pod_is_the_end_of_the_stream(serve: Serve, access_to: AccessTo) -> None:
    async def last_words(asked: Asked) -> None:
        asked.writer.write(unmasked(2, b"\0bye") + unmasked(8, b"\x03\xe8"))

    async def question(kube: Kubernetes, tunnel: Tunnel) -> None:
        assert await tunnel.read() == b"bye"
        assert await tunnel.read() == b""
        assert tunnel.ended

    through(access_to(serve(pods(last_words))), question)


def test_the_words_of_the_error_channel_are_told(serve: Serve, access_to: AccessTo) -> None:
    async def refuse(asked: Asked) -> None:
        asked.writer.write(unmasked(2, b"\1connect: connection refused\n"))

    async def question(kube: Kubernetes, tunnel: Tunnel) -> None:
        with pytest.raises(
            Unknown, match=r"the port of the pod 'p' could not be reached: connect: connection refused$"
        ):
            await tunnel.read()

    through(access_to(serve(pods(refuse))), question)


def test_a_missing_right_is_named(serve: Serve, access_to: AccessTo) -> None:
    said = 'pods "p" is forbidden: User "ann" cannot create resource "pods/portforward" in API group "" in the namespace "team"'

    async def question(kube: Kubernetes, tunnel: Tunnel) -> None: ...

    with pytest.raises(Forbidden, match="ann may not create Pod 'p' in namespace 'team'") as caught:
        through(access_to(serve(lambda asked: refusal(403, "Forbidden", said, kind="pods"))), question)
    assert "auth can-i create pods --subresource=portforward -n team" in caught.value.hint


def test_a_server_without_websockets_is_said(serve: Serve, access_to: AccessTo) -> None:
    async def question(kube: Kubernetes, tunnel: Tunnel) -> None: ...

    with pytest.raises(NotReached, match="does not open a WebSocket"):
        through(access_to(serve(lambda asked: Answer())), question)


def test_each_new_connection_asks_which_pod_it_goes_to(serve: Serve, access_to: AccessTo) -> None:
    async def http(asked: Asked) -> None:
        name = asked.path.split("/")[-2]
        for _ in range(2):
            _, content = await read_frame(asked)
            assert content.startswith(b"\0GET /x?y=1 HTTP/1.1\r\n")
            asked.writer.write(
                unmasked(2, f"\0HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode())
            )
        # The pod goes.
        asked.writer.write(unmasked(8, b"\x03\xe8"))

    async def main() -> None:
        names = iter(["one", "two"])

        async def find() -> str:
            return next(names)

        async with Kubernetes(access_to(server)) as kube, asyncio.timeout(60):
            transport = ForwardedTransport(kube, find, 80)
            async with httpx2.AsyncClient(transport=transport, base_url="http://fairway") as client:
                found = []
                for _ in range(3):
                    found.append((await client.get("/x?y=1")).text)
                    await asyncio.sleep(0.1)
                assert found == ["one", "one", "two"]

    server = serve(pods(http))
    asyncio.run(main())
    assert server.connections == 2

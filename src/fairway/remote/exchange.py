"""A request over a connection without TLS, and the answer to it.

A command pays for what it imports: h11 takes a seventh of the time of a client that can do everything.
"""

import asyncio
from contextlib import suppress

import h11

BROKEN = (OSError, h11.ProtocolError)
"""The errors of a connection that breaks off, or of an answer that is none."""

_PIECE = 1 << 18
"""Bytes that are read or written at once."""


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
) -> tuple[int, bytes]:
    """Send a request and return the status and the content of the answer. Raises one of BROKEN."""
    line = h11.Connection(h11.CLIENT)
    said = [*headers.items(), ("content-length", str(len(body))), ("connection", "close")]
    request = h11.Request(method=method, target=path, headers=said)
    # A server may answer before it has read the whole request, and read no more. Its answer says why.
    sending = asyncio.create_task(_send(line, writer, request, body))
    try:
        return await _receive(line, reader)
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def _send(
    line: h11.Connection, writer: asyncio.StreamWriter, request: h11.Request, body: bytes
) -> None:
    """Send a request. A connection that breaks is noticed by whoever waits for the answer."""
    with suppress(OSError):
        writer.write(line.send(request) or b"")
        for start in range(0, len(body), _PIECE):
            writer.write(line.send(h11.Data(body[start : start + _PIECE])) or b"")
            await writer.drain()
        writer.write(line.send(h11.EndOfMessage()) or b"")


async def _receive(line: h11.Connection, reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Receive an answer, and return its status and its content. Raises one of BROKEN."""
    status, content = 0, bytearray()
    while True:
        match line.next_event():
            case h11.NEED_DATA:
                line.receive_data(await reader.read(_PIECE))
            case h11.Response(status_code=status):
                pass
            case h11.Data(data=piece):
                content += piece
            case h11.EndOfMessage():
                return status, bytes(content)
            case _:
                # An answer before the answer, such as 100.
                pass

"""An API server that answers by a script: real sockets, real TLS, and a note of everything that was asked.

A handler gets each request and returns an answer, or writes to the connection itself.
"""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import trustme


@dataclass
class Asked:
    """One request, as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    peer: dict[str, object] | None
    server_name: str
    writer: asyncio.StreamWriter
    reader: asyncio.StreamReader

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def values(self, name: str) -> list[str]:
        return sorted(value for key, value in self.headers if key.lower() == name)

    @property
    def subject(self) -> str:
        """Common name of the client certificate."""
        parts = dict(pair[0] for pair in (self.peer or {}).get("subject", ()))  # type: ignore[attr-defined]
        return str(parts.get("commonName", ""))

    async def say(self, text: str) -> None:
        """Write to the connection as it is."""
        self.writer.write(text.encode())
        await self.writer.drain()

    async def stream(self, *events: object) -> None:
        """Write lines of JSON in one chunk."""
        text = "".join(json.dumps(event) + "\n" for event in events)
        await self.say(f"{len(text.encode()):x}\r\n{text}\r\n")

    async def head(self) -> None:
        """Write the head of an answer in chunks."""
        await self.say(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )


@dataclass
class Answer:
    """What a handler gives back."""

    body: object = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Asked], "Answer | Awaitable[Answer | None] | None"]


def refusal(status: int, reason: str, message: str, **details: str) -> Answer:
    """Return a refusal in the words of an API server."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason}
    return Answer({**body, "message": message, "details": details}, status)


class ScriptedServer:
    """The server. `handler` may be replaced at any time."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None, authority: trustme.CA) -> None:
        self.handler = handler
        self.asked: list[Asked] = []
        self.connections = 0
        self.handshakes = 0
        self.authority = authority
        self.port = 0
        self._context = context
        self._names: dict[int, str] = {}
        self._loop = asyncio.new_event_loop()
        if context is not None:
            context.sni_callback = self._note_name
        self._last_name = ""

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    @property
    def authority_pem(self) -> bytes:
        return self.authority.cert_pem.bytes()

    def _note_name(self, sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self._last_name = name or ""
        self.handshakes += 1

    @contextlib.contextmanager
    def running(self) -> Iterator["ScriptedServer"]:
        started = threading.Event()
        thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        thread.start()
        assert started.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        name = self._last_name
        try:
            while await self._answer(reader, writer, name):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in head[1:] if line]
        length = next((int(value) for key, value in headers if key.lower() == "content-length"), 0)
        tls = writer.get_extra_info("ssl_object")
        peer = tls.getpeercert() if tls is not None else None
        asked = Asked(method, target, headers, await reader.readexactly(length), peer, name, writer, reader)
        self.asked.append(asked)
        answer = self.handler(asked)
        if answer is not None and not isinstance(answer, Answer):
            answer = await answer
        if answer is None:
            return False
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        lines = [
            f"HTTP/1.1 {answer.status} X",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        lines += [f"{key}: {value}" for key, value in answer.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        return True

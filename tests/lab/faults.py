"""A proxy that stands before the API server and fails as it is told.

It ends TLS with the API server's own certificate, and passes the name of a client certificate on as the API server's
aggregation layer would. Tokens pass through. Connections that change their protocol (exec, port-forward) pass too.
"""

import asyncio
import contextlib
import json
import random
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11

from .control_plane import keys
from .places import Addresses

_PIECE = 65536
_PATIENCE = 20.0
Where = Callable[[str, str], bool]
"""Decides by the method and the path whether a rule is about a call."""


def everywhere(method: str, path: str) -> bool:
    """Tell that a rule is about every call."""
    return True


@dataclass(frozen=True)
class Rule:
    """A way to fail: `answer` a status instead of asking, stay `silent`, or `lose` the answer to a call that was made."""

    kind: str
    share: float
    where: Where
    status: int = 0


@dataclass(frozen=True)
class Call:
    """A call that the proxy has seen, and how it was made to fail."""

    method: str
    path: str
    fault: str


@dataclass
class Faults:
    """The rules of a proxy and the calls that it has seen. Any thread may change them."""

    rules: list[Rule] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(0))

    def answer(self, status: int, share: float = 1.0, where: Where = everywhere) -> None:
        """Answer a share of the calls with a status, without asking the API server."""
        self.rules = [*self.rules, Rule("answer", share, where, status)]

    def silence(self, share: float = 1.0, where: Where = everywhere) -> None:
        """Give no answer to a share of the calls, and do not ask the API server."""
        self.rules = [*self.rules, Rule("silent", share, where)]

    def lose(self, share: float = 1.0, where: Where = everywhere) -> None:
        """Let a share of the calls be done, and close the connection in place of the answer."""
        self.rules = [*self.rules, Rule("lose", share, where)]

    def heal(self) -> None:
        """Forget every rule."""
        self.rules = []

    def decide(self, method: str, path: str) -> Rule | None:
        """Return the first rule that makes a call fail, and note the call."""
        chosen = None
        for rule in self.rules:
            if rule.where(method, path) and self.chance.random() < rule.share:
                chosen = rule
                break
        self.calls.append(Call(method, path, chosen.kind if chosen else ""))
        return chosen


class FaultProxy:
    """A running proxy. `server` is its address for a kubeconfig, and `faults` says how it fails."""

    def __init__(self, addresses: Addresses, host: str = "127.0.0.1") -> None:
        self.faults = Faults()
        self._upstream = (addresses.control_plane, 6443)
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def server(self) -> str:
        """Address of the proxy, as kubeconfigs name it."""
        return f"https://{self._host}:{self._port}"

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        starting = asyncio.start_server(self._serve, self._host, 0, ssl=_serving_context())
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(_PATIENCE)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *ended: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Let nothing pass in either direction. Connections stay open and silent, as behind a broken link."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def mend(self) -> None:
        """Let everything pass again, what was held back included."""
        self._loop.call_soon_threadsafe(self._open.set)

    def hang_up(self) -> None:
        """Close every connection."""
        self._loop.call_soon_threadsafe(lambda: [one.cancel() for one in self._connections])

    def kubeconfig(self, path: Path, shown: dict[str, Any]) -> Path:
        """Write a kubeconfig that leads through the proxy, out of one that leads to the API server."""
        changed = json.loads(json.dumps(shown))
        for one in changed["clusters"]:
            one["cluster"]["server"] = self.server
        path.touch(mode=0o600)
        path.write_text(json.dumps(changed), "utf-8")
        return path

    async def _close(self) -> None:
        """Stop listening and end every connection."""
        self._server.close()
        for one in self._connections:
            one.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        person = _Side(h11.Connection(h11.SERVER), reader, writer, self._open)
        try:
            identity = _identity(writer.get_extra_info("peercert"))
            context = _asking_context(bool(identity))
            upstream = await asyncio.open_connection(*self._upstream, ssl=context)
            server = _Side(h11.Connection(h11.CLIENT), *upstream, self._open)
            try:
                while await self._exchange(person, server, identity):
                    person.state.start_next_cycle()
                    server.state.start_next_cycle()
            finally:
                server.writer.close()
        except (OSError, EOFError, h11.ProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, person: "_Side", server: "_Side", identity: list[tuple[str, str]]) -> bool:
        """Pass one call, or fail it. Return whether both connections can carry another one."""
        request = await person.event()
        if not isinstance(request, h11.Request):
            return False
        method, path = request.method.decode(), request.target.decode()
        rule = self.faults.decide(method, path)
        if rule is not None and rule.kind == "silent":
            await asyncio.Event().wait()
        if rule is not None and rule.kind == "answer":
            async for _ in person.body():
                pass
            await person.send(*_refusal(rule.status))
            return False
        headers = [(name, value) for name, value in request.headers if not name.startswith(b"x-remote-")]
        await server.send(h11.Request(method=method, target=path, headers=[*headers, *identity]))
        sending = asyncio.ensure_future(_pass_body(person, server))
        try:
            return await self._answer(person, server, lose=rule is not None)
        finally:
            sending.cancel()

    async def _answer(self, person: "_Side", server: "_Side", *, lose: bool) -> bool:
        """Pass the answer of the API server, or read and drop it."""
        answer = await server.event()
        while isinstance(answer, h11.InformationalResponse) and answer.status_code != 101:
            answer = await server.event()
        if lose:
            async for _ in server.body():
                pass
            return False
        await person.send(answer)
        if isinstance(answer, h11.InformationalResponse):
            await asyncio.gather(_pipe(person, server), _pipe(server, person))
            return False
        await _pass_body(server, person)
        return person.state.states == server.state.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}


@dataclass
class _Side:
    """Either of the two connections that a call passes."""

    state: h11.Connection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gate: asyncio.Event

    async def event(self) -> Any:
        """Return the next part of a message."""
        while (found := self.state.next_event()) is h11.NEED_DATA:
            piece = await self.reader.read(_PIECE)
            await self.gate.wait()
            self.state.receive_data(piece)
        return found

    async def body(self) -> AsyncIterator[Any]:
        """Yield the parts of a body and the end of the message."""
        while True:
            part = await self.event()
            if isinstance(part, h11.Data | h11.EndOfMessage):
                yield part
            if not isinstance(part, h11.Data):
                return

    async def send(self, *parts: Any) -> None:
        """Send parts of a message."""
        for part in parts:
            await self.write(self.state.send(part) or b"")

    async def write(self, content: bytes) -> None:
        """Send bytes."""
        await self.gate.wait()
        self.writer.write(content)
        await self.writer.drain()


async def _pass_body(source: _Side, target: _Side) -> None:
    """Pass the body of a message."""
    async for part in source.body():
        await target.send(part)


async def _pipe(source: _Side, target: _Side) -> None:
    """Pass bytes of a connection that has changed its protocol."""
    rest, _ = source.state.trailing_data
    await target.write(rest)
    while piece := await source.reader.read(_PIECE):
        await target.write(piece)
    with contextlib.suppress(OSError, NotImplementedError):
        target.writer.close()


def _refusal(status: int) -> Iterator[Any]:
    """Return an answer with a status, as the API server words it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": status,
        "message": "a planted fault",
    }
    content = json.dumps(body).encode()
    # A server that closes a connection without a word would fail the next call too, which no rule has chosen.
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(content))),
        ("Connection", "close"),
    ]
    if status in (429, 503):
        headers.append(("Retry-After", "1"))
    return iter(
        (h11.Response(status_code=status, headers=headers), h11.Data(data=content), h11.EndOfMessage())
    )


def _identity(certificate: Any) -> list[tuple[str, str]]:
    """Return the headers that name the user of a client certificate."""
    parts = [pair for group in (certificate or {}).get("subject", ()) for pair in group]
    names = {"commonName": "X-Remote-User", "organizationName": "X-Remote-Group"}
    return [(names[key], value) for key, value in parts if key in names]


def _serving_context() -> ssl.SSLContext:
    """Return the TLS settings towards clients, who may show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys() / "apiserver.crt", keys() / "apiserver.key")
    context.load_verify_locations(keys() / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _asking_context(for_another: bool) -> ssl.SSLContext:
    """Return the TLS settings towards the API server, with the certificate that may speak for others if it is needed."""
    context = ssl.create_default_context(cafile=str(keys() / "ca.crt"))
    if for_another:
        context.load_cert_chain(keys() / "front-proxy-client.crt", keys() / "front-proxy-client.key")
    return context

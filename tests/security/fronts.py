"""The front of a platform with a person of each role, without its pages, and requests to it."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fairway.control.api import Api
from fairway.control.front import front
from fairway.control.gate import Gate
from fairway.control.known import Known
from fairway.control.routes import Entry
from fairway.control.sessions import Sessions
from fairway.local.sealed_file import SealedFile
from fairway.local.tokens import Tokens
from fairway.pages.site import Site
from fairway.pages.visit import View, Visit
from fairway.spec.access import Actor, Role

T = TypeVar("T")
HOST = "127.0.0.1:7700"
TOKEN = "a1" * 32
COOKIE = "fairway-7700"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
FORM = ("content-type", "application/x-www-form-urlencoded")
LINK = (("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"))

WANTED = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Untouched:
    """A platform that nothing may be asked of."""

    place = "/somewhere"
    asked = 0

    def __getattr__(self, name: str) -> Any:
        Untouched.asked += 1
        raise AssertionError(f"{name} was asked")


class Reached(Site):
    """All pages, each of which only says that it was reached."""

    def views(self) -> list[View]:
        async def reached(visit: Visit) -> Response:
            return Response("reached", 200)

        return [msgspec.structs.replace(view, handler=reached) for view in super().views()]


async def reached(request: Request) -> object:
    """Reached."""
    return {"reached": True}


class Front:
    """The front of a platform with a person of each role."""

    def __init__(self, folder: Path, site: type[Site] = Reached) -> None:
        platform: Any = Untouched()
        self.clock = [1000.0]
        made = SealedFile(folder, "platform/tokens.json", lambda content: f"{sum(content)}")
        self.tokens = Tokens(made, "me", lambda: self.clock[0])
        self.file = SealedFile(folder, "platform/sessions.json", lambda content: f"{sum(content)}")
        self.site = site(platform, asyncio.Event())
        entries = Api(platform).entries()
        self.entries = (
            [msgspec.structs.replace(one, handler=reached) for one in entries] if site is Reached else entries
        )
        self.platform = platform
        self.start()
        self.of_role = {role: self.tokens.give(role.word, role.word).token for role in Role}

    def start(self) -> None:
        """Start the front as a platform process does."""
        sessions = Sessions(self.file, lambda: self.clock[0])
        owner = Actor(name="me", role=Role.ADMINISTRATOR)
        self.known = Known(owner, TOKEN, self.tokens, sessions)
        self.app: Gate = front(self.known, self.platform, self.entries, self.site, 7700)

    def cookie(self, role: Role) -> tuple[str, str]:
        """A session of a person with a role."""
        holder = self.known.holder(self.of_role[role].encode())
        assert holder is not None
        return "cookie", f"{COOKIE}={self.known.sessions.begin(holder)}"

    def routes(self) -> list[tuple[Entry | View, str]]:
        """Every route with a path that fits."""
        declared: list[Entry | View] = [*self.entries, *self.site.views()]
        return [(one, re.sub("{[^}]*}", "some", one.path)) for one in declared]


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    text: str


async def ask(app: Any, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    raw, _, query = target.partition("?")
    sent: list[MutableMapping[str, Any]] = []
    messages: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    host = () if any(name == "host" for name, _ in headers) else (("host", HOST),)
    scope = {
        "type": "http", "method": method, "path": unquote(raw), "raw_path": raw.encode(), "root_path": "",
        "query_string": query.encode(), "headers": [(name.encode(), value.encode()) for name, value in (*host, *headers)],
        "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 7700), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await app(scope, receive, send)
    text = b"".join(message.get("body", b"") for message in sent[1:]).decode("utf-8", "replace")
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, text)


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        return await work()

    return asyncio.run(main())


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"

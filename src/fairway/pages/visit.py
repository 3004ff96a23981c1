"""Visits: a request for a page, the person behind it, and the ways to answer. Must not know what any page shows."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fairway.pages.rendering import render
from fairway.ports.platform import Platform
from fairway.spec.access import Actor, Role
from fairway.spec.errors import NotAllowed, UsageError

ACTOR = "fairway.actor"
"""The key of the ASGI scope under which the gate leaves the person who asks."""

TOKEN = "token"
"""The field of a form that holds the proof that a page of this session made it."""

SAFE = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Headers of every page."""

HTML = "text/html; charset=utf-8"


class Visit:
    """A request for a page by somebody who has passed the gate."""

    def __init__(self, request: Request, platform: Platform) -> None:
        self.request = request
        self.platform = platform
        self.actor: Actor = request.scope[ACTOR]

    @property
    def query(self) -> dict[str, str]:
        """The values of the address behind the question mark; of several with one name the last."""
        return dict(self.request.query_params)

    def may(self, role: Role) -> bool:
        """Tell whether the person has the rights of a role."""
        return self.actor.role >= role

    async def form(self) -> dict[str, str]:
        """Return the fields of the form that was sent. Raises NotAllowed for a form that no page of this session made."""
        try:
            sent = await self.request.form(max_files=0, max_fields=1000)
        except Exception as error:
            raise UsageError(f"the form cannot be read: {type(error).__name__}") from None
        fields = {name: value for name, value in sent.multi_items() if isinstance(value, str)}
        proof = self.actor.proof
        if proof and not hmac.compare_digest(fields.pop(TOKEN, "").encode(), proof.encode()):
            raise NotAllowed(
                "this form is not from a page of this session", hint="load the page again and repeat"
            )
        return fields

    def page(
        self, template: str, *, title: str, command: str = "", status: int = 200, **values: Any
    ) -> Response:
        """Return a page.

        Args:
            template: a file of `templates`.
            title: what the page shows, for the tab of the browser.
            command: the command that gives the same on a terminal.
            status: the status of the answer.
            values: what the template needs.
        """
        values |= {
            "title": title,
            "command": command,
            "actor": self.actor,
            "proof": self.actor.proof,
            "place": self.platform.place,
            "path": self.request.url.path,
            "may_run": self.may(Role.RUNNER),
            "may_deploy": self.may(Role.DEPLOYER),
            "may_administer": self.may(Role.ADMINISTRATOR),
        }
        return Response(render(template, values), status, SAFE, HTML)

    def go(self, path: str) -> Response:
        """Return an answer that leads the browser on to another page after a form."""
        return Response("", 303, SAFE | {"location": path})


Handler = Callable[[Visit], Awaitable[Response]]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A page or the target of a form.

    Attributes:
        path: the address, with `{name}` or `{name:path}` for its variable parts.
        handler: makes the answer.
        role: the rights that the person needs. A viewer changes nothing, so a form needs a higher role.
        method: GET to look, POST to change something.

    Raises:
        ValueError: a form for viewers, or another method.
    """

    path: str
    handler: Handler
    role: Role = Role.VIEWER
    method: str = "GET"

    def __post_init__(self) -> None:
        if self.method not in ("GET", "POST") or (self.method == "POST" and self.role <= Role.VIEWER):
            raise ValueError(f"{self.method} {self.path} needs a role of those who may change something")


def address(*parts: str, **query: str) -> str:
    """Return the path of a page from its parts, quoted, with the values behind the question mark that are not empty."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    wanted = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in query.items() if value)
    return f"{path}?{wanted}" if wanted else path

"""The routes by which a browser gets in and out: a code or a token becomes a cookie, and leaving ends the session.

The cookie is for this host alone, is never shown to a script, and is not sent with a request that another site caused.
"""

import os
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairway.control.known import Known
from fairway.control.peers import is_other
from fairway.control.sessions import SESSION_SECONDS
from fairway.pages.threshold import ENTER, ask_in, is_path
from fairway.pages.visit import SAFE, Visit
from fairway.ports.platform import Platform
from fairway.spec.errors import FairwayError

LEAVE = "/leave"
_MANY = "too many wrong codes and tokens were tried: wait for a minute"


class Entering:
    """The ways in and out of one platform.

    Args:
        known: the people of the platform.
        cookie: the name of the cookie.
        platform: is named on pages.
    """

    def __init__(self, known: Known, cookie: str, platform: Platform) -> None:
        self._known = known
        self._cookie = cookie
        self._platform = platform

    def routes(self) -> list[Route]:
        """Return the routes. Those of `ENTER` are open to everybody."""
        return [
            Route(ENTER, self._with_code, methods=["GET"]),
            Route(ENTER, self._with_token, methods=["POST"]),
            Route(LEAVE, self._leave, methods=["POST"]),
        ]

    async def _with_code(self, request: Request) -> Response:
        code = request.query_params.get("code", "")
        if not code:
            return ask_in(200)
        if request.method != "GET" or "sec-purpose" in request.headers or "purpose" in request.headers:
            # A browser that looks ahead would use the code up.
            return ask_in(403, why="a code is not used for looking ahead")
        if is_other(os.geteuid() or None, self._known.peers.user(request.scope)):
            # The code stays good for its owner. Another user saw it in the list of processes.
            self._known.guesses.wrong()
            return ask_in(403, why="this code is for another user of this machine")
        return await self._enter(
            request, lambda: self._known.codes.redeem(code), "/", "this code is used already, or too old"
        )

    async def _with_token(self, request: Request) -> Response:
        try:
            sent = await request.form(max_files=0, max_fields=10)
        except Exception:
            return ask_in(400, why="the form cannot be read")
        token, to = sent.get("token", ""), sent.get("to", "/")
        if not isinstance(token, str) or not isinstance(to, str):
            return ask_in(400, why="the form cannot be read")
        shown = token.strip().encode("utf-8", "surrogateescape")
        return await self._enter(
            request, lambda: self._known.holder(shown), to, "this platform gave nobody that token"
        )

    async def _enter(
        self, request: Request, holder: Callable[[], str | None], to: str, refusal: str
    ) -> Response:
        """Begin a session for the holder of a code or token, and lead on to a path."""
        if self._known.guesses.are_many():
            return ask_in(429, why=_MANY)
        found = holder()
        if found is None or self._known.person(found) is None:
            self._known.guesses.wrong()
            return ask_in(401, why=refusal, to=to)
        self._known.note_use(found)
        user = self._known.peers.user(request.scope)
        secret = await run_in_threadpool(self._known.sessions.begin, found, user)
        answer = Response("", 303, SAFE | {"location": to if is_path(to) else "/"})
        self._set(answer, secret, SESSION_SECONDS)
        return answer

    async def _leave(self, request: Request) -> Response:
        visit = Visit(request, self._platform)
        try:
            await visit.form()
        except FairwayError as error:
            return visit.page("error.html", title="Not done", status=403, error=error)
        await run_in_threadpool(self._known.sessions.end, request.cookies.get(self._cookie, ""))
        answer = Response("", 303, SAFE | {"location": ENTER})
        self._set(answer, "", 0)
        return answer

    def _set(self, answer: Response, secret: str, seconds: int) -> None:
        answer.set_cookie(self._cookie, secret, max_age=seconds, path="/", httponly=True, samesite="strict")

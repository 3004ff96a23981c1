"""All pages of a platform as routes: each is refused to people without its role, and an error becomes a page as well.

Must not know how a person proves who they are; the gate has done that.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairway.pages.artifacts import Artifacts
from fairway.pages.changes import Changes
from fairway.pages.compare import Compare
from fairway.pages.deploying import Deploying
from fairway.pages.endpoint_changes import EndpointChanges
from fairway.pages.endpoints import Endpoints
from fairway.pages.functions import Functions
from fairway.pages.home import Home
from fairway.pages.live import Live
from fairway.pages.logs import Logs
from fairway.pages.models import Models
from fairway.pages.new import New
from fairway.pages.people import People
from fairway.pages.rendering import STATIC_FILES, static_file
from fairway.pages.run import RunPage
from fairway.pages.run_step import StepPage
from fairway.pages.run_view import RunViews
from fairway.pages.runs import Runs
from fairway.pages.system import System
from fairway.pages.trying import Trying
from fairway.pages.versions import Versions
from fairway.pages.visit import ACTOR, SAFE, View, Visit
from fairway.ports.platform import Platform
from fairway.spec.access import lacking
from fairway.spec.errors import FairwayError, NotAllowed, NotFound, UsageError

STATIC = "/static/"
"""The beginning of the addresses of the style sheet, the script and the icon."""

_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_STATUS: tuple[tuple[type[FairwayError], int], ...] = ((UsageError, 400), (NotAllowed, 403), (NotFound, 404))
_FOR_EVER = "public, max-age=31536000, immutable"


class Site:
    """The pages of one platform.

    Args:
        platform: is asked for everything.
        closing: is set when the process stops. Streams of live pages end then.
        report: takes the path of a request and an error that nobody expected.
    """

    def __init__(
        self,
        platform: Platform,
        closing: asyncio.Event,
        report: Callable[[str, Exception], None] = lambda path, error: None,
    ) -> None:
        self._platform = platform
        self._report = report
        self.live = Live(closing)
        self._changes = Changes()
        self._run_views = RunViews()

    def views(self) -> list[View]:
        """Return every page and every target of a form, with the role that it needs."""
        return [
            *Home(self.live).views(),
            *self._about_runs(),
            *Models().views(),
            *Versions().views(),
            *self._about_endpoints(),
            *System().views(),
            *People().views(),
        ]

    def _about_runs(self) -> list[View]:
        return [
            *Runs().views(),
            *RunPage(self.live, self._run_views).views(),
            *StepPage(self._run_views).views(),
            *Logs(self.live, self._run_views).views(),
            *Artifacts().views(),
            *Compare().views(),
            *New().views(),
        ]

    def _about_endpoints(self) -> list[View]:
        return [
            *Deploying(self._changes).views(),
            *Endpoints(self.live, self._changes).views(),
            *EndpointChanges(self._changes).views(),
            *Functions(self._changes).views(),
            *Trying().views(),
        ]

    def open_paths(self) -> list[str]:
        """Return the exact addresses that anybody may read: the style sheet, the script and the icon."""
        return [STATIC + name for name in STATIC_FILES]

    def routes(self) -> list[Route]:
        """Return the routes of all pages and of the static files."""
        made = [Route(view.path, self._answering(view), methods=[view.method]) for view in self.views()]
        return [*made, Route(STATIC + "{name}", _static, methods=["GET"])]

    def _answering(self, view: View) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visit = Visit(request, self._platform)
            try:
                if not visit.may(view.role):
                    message, hint = lacking(visit.actor, view.role)
                    raise NotAllowed(message, hint=hint)
                return await view.handler(visit)
            except FairwayError as error:
                return refusal(visit, error)
            except Exception as error:
                self._report(request.url.path, error)
                return broken(visit)

        return answer

    def lost(self, request: Request, status: int) -> Response | None:
        """Return the page for an address that there is nothing at; None for a program, or for somebody who is not in."""
        wants_page = "text/html" in request.headers.get("accept", "")
        if request.url.path.startswith("/api/") or not wants_page or ACTOR not in request.scope:
            return None
        error = NotFound("there is no such page", hint="go to the first page: /")
        return refusal(Visit(request, self._platform), error, status)


def broken(visit: Visit) -> Response:
    """Return the page for an error that nobody expected."""
    error = FairwayError("internal error", hint="its cause is in `.fairway/platform/log`")
    return refusal(visit, error, 500)


def refusal(visit: Visit, error: FairwayError, status: int = 0) -> Response:
    """Return the page that tells an error. Its status follows from the error, if none is given."""
    status = status or next((number for kind, number in _STATUS if isinstance(error, kind)), 409)
    return visit.page("error.html", title="Not done", status=status, error=error)


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    try:
        content = static_file(name)
    except KeyError:
        return Response("", 404, SAFE)
    headers = {"cache-control": _FOR_EVER, "x-content-type-options": "nosniff"}
    return Response(content, 200, headers, _KINDS[name.rpartition(".")[2]])


__all__ = ["ACTOR", "STATIC", "Site", "refusal"]

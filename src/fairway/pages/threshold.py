"""The pages for people who are not in: they say how to get in, and hold nothing of the store.

Must not know how a person proves who they are.
"""

from typing import Any

from starlette.responses import Response

from fairway.pages.rendering import render
from fairway.pages.visit import HTML, SAFE

ENTER = "/enter"
"""The address at which a person gets in."""


def ask_in(status: int = 401, *, why: str = "", to: str = "/") -> Response:
    """Return the page that says how to get in.

    Args:
        status: the status of the answer.
        why: the reason why the person is not in, if it is not simply the first visit.
        to: the path of the page that the person wanted.
    """
    return _page("enter.html", status, why=why, to=to if is_path(to) else "/", enter=ENTER)


def onward(address: str) -> Response:
    """Return a page that leads the browser on to an address of this site.

    A browser keeps the cookie of a session back when a link on another site leads here. It sends the cookie with the request
    that this page makes.
    """
    return _page("onward.html", 200, address=address)


def is_path(to: str) -> bool:
    """Tell whether a text is the path of a page of this site. A browser takes some paths for addresses of other sites."""
    return to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable()


def _page(template: str, status: int, **values: Any) -> Response:
    return Response(render(template, values), status, SAFE, HTML)

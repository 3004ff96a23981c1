"""The front of a platform on this machine: its API and its pages behind one gate.

Must not know which process it is part of.
"""

from typing import cast

from fairway.control.entering import Entering
from fairway.control.gate import Application, Gate
from fairway.control.known import Known
from fairway.control.routes import Entry, application, public_paths
from fairway.pages.site import Site
from fairway.pages.threshold import ENTER
from fairway.ports.platform import Platform

HOST = "127.0.0.1"


def front(known: Known, platform: Platform, entries: list[Entry], site: Site, port: int) -> Gate:
    """Return the application that answers on a port of this machine.

    Args:
        known: the people who may ask.
        platform: is named on pages.
        entries: the routes of the API.
        site: the pages.
        port: the port. It is part of the name of the cookie, because a browser sends cookies to every port of a host.
    """
    cookie = f"fairway-{port}"
    entering = Entering(known, cookie, platform)
    inner = application(entries, [*entering.routes(), *site.routes()], lost=site.lost)
    hosts = (f"{HOST}:{port}", f"localhost:{port}")
    return Gate(
        cast("Application", inner), hosts, known, public_paths(entries) | {ENTER, *site.open_paths()}, cookie
    )

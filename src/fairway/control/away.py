"""The pages of a platform on a cluster, served on this machine for the user of this process alone (decision 0031).

All that is asked goes through the user's own way to the cluster, with the rights that the user has there. It ends with this
process. Must not know how the cluster is reached.
"""

import asyncio
import contextlib
import secrets
import signal
from collections.abc import Callable

from fairway.control.front import HOST, front
from fairway.control.known import Known
from fairway.control.routes import report
from fairway.control.sessions import OWNER
from fairway.local.listening import bind
from fairway.pages.site import Site
from fairway.remote import RemotePlatform
from fairway.server.listening import started
from fairway.spec.access import Actor, Role

_CLOSE_SECONDS = 5


async def serve(platform: RemotePlatform, said: Callable[[str], None]) -> None:
    """Serve the pages of a platform until this process is asked to end.

    Args:
        platform: the platform on the cluster.
        said: takes the address that lets a browser in.

    Raises:
        FairwayError: the cluster cannot be reached, or the user has no role there.
    """
    me = await platform.people.me()
    closing = asyncio.Event()
    listening = bind(0)
    port = int(listening.getsockname()[1])
    # Nobody knows the token, so there is no way in but the code.
    known = Known(Actor(name=me.name, role=Role.of(me.role)), secrets.token_urlsafe(32))
    site = Site(platform, closing, report)
    gate = front(known, platform, [], site, port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, closing.set)
    server = await started(gate, listening, close_seconds=_CLOSE_SECONDS)
    said(address(f"http://{HOST}:{port}", known.codes.make(OWNER)))
    try:
        await closing.wait()
    finally:
        await server.shutdown(sockets=[listening])
        with contextlib.suppress(Exception):
            await platform.close()


def address(url: str, code: str) -> str:
    """Return the address that lets a browser in with a code."""
    return f"{url}/enter?code={code}"

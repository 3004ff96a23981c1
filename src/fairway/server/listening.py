"""Starts the HTTP server of an ASGI application on a listening socket, with the settings that all our servers share."""

import socket
from collections.abc import Callable
from typing import cast

import uvicorn

from fairway.server.protocol import BoundedProtocol

KEEP_ALIVE = 75
"""Seconds for which a connection stays open without a request.

Clients close theirs sooner. If the server were the first, it could lose a request that is just being sent.
"""


async def started(application: object, listening: socket.socket, *, close_seconds: int) -> uvicorn.Server:
    """Accept connections for an application from here on.

    Args:
        application: the ASGI callable.
        listening: the socket; the server closes it when it is shut down.
        close_seconds: seconds that requests under way get when the server is shut down.
    """
    config = uvicorn.Config(
        cast("Callable[..., object]", application),  # type: ignore[arg-type]
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # anybody may send what is no HTTP, as often as they like
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # whoever asks may write these headers, so they prove nothing
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=close_seconds,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    return server

import asyncio
import socket

import httpx2

from fairway.server.listening import started


def test_a_client_gives_an_idle_connection_up_long_before_the_server_does() -> None:
    async def work() -> float:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = await started(object(), listening, close_seconds=1)
            await server.shutdown(sockets=[listening])
            return server.config.timeout_keep_alive

    kept = httpx2.Limits().keepalive_expiry
    assert kept is not None
    assert asyncio.run(work()) > 10 * kept

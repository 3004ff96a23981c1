"""The life of the platform process: lock the store, take over what serves, answer, and stop.

Endpoints go on answering after a stop, unless it ends them too. SIGTERM leaves them. Ctrl-C and the API's
shutdown with `endpoints` end them after their open requests. Must not know what a request means.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop

from fairway.author import redaction
from fairway.control.api import Api
from fairway.control.front import front
from fairway.control.known import Known
from fairway.control.routes import report
from fairway.control.sessions import Sessions
from fairway.local import arenas, descent
from fairway.local import owner as owner_of_process
from fairway.local.listening import bind
from fairway.local.platforms import PlatformLock
from fairway.pages.site import Site
from fairway.server.listening import started
from fairway.spec.access import Actor, Role
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.text import one_line
from fairway.wiring import endpoint_records, hooks, machine, settings, target

_PORTS = 100
_CLOSE_SECONDS = 5


class PlatformProcess:
    """The platform process of one store, from its start to its end."""

    def __init__(self, root: Path, said: Callable[[str], None]) -> None:
        self._stores = machine.LocalStores(root).prepare()
        self._engine, self._deployer = machine.endpoint_engine(self._stores)
        self._stopping = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._traffic = endpoint_records.keeper(self._stores)
        self._said = said

    async def run(self, lock: PlatformLock, token: str) -> None:
        """Answer requests until stopped."""
        listening = _bind(settings.first_port())
        port = int(listening.getsockname()[1])
        platform = target.attended(self._stores, self._engine, self.stop, self._traffic)
        known = self._known(token)
        api = Api(platform, known.codes)
        site = Site(platform, api.closing, report)
        gate = front(known, platform, api.entries(), site, port)
        # Recover before watching: the watch would start again what serves already.
        await self._deployer.recover()
        self._watching = asyncio.get_running_loop().create_task(self._engine.watch())
        counting = asyncio.get_running_loop().create_task(self._traffic.watch())
        scheduling = asyncio.get_running_loop().create_task(target.scheduler(self._stores, print).keep())
        posting = asyncio.get_running_loop().create_task(
            hooks.postman(self._stores).keep(hooks.alone(self._stores), print)
        )
        self._on_signals()
        server = await started(gate, listening, close_seconds=_CLOSE_SECONDS)
        api.ready = True
        record = lock.announce(port, time.time())
        self._said(record.url)
        try:
            await self._stopping.wait()
        finally:
            # Answer the waiting followers first, because the server's shutdown waits for open requests.
            api.closing.set()
            counting.cancel()
            await server.shutdown(sockets=[listening])
            self._traffic.close()
            scheduling.cancel()
            posting.cancel()
            await self._engine.close()
            self._deployer.let_go()
            self._stores.close()

    def _known(self, token: str) -> Known:
        """Return the people who may ask this platform."""
        sessions = Sessions(machine.sessions(self._stores))
        owner = Actor(name=owner_of_process.name(), role=Role.ADMINISTRATOR)
        return Known(owner, token, machine.tokens(self._stores), sessions)

    async def stop(self, endpoints: bool) -> None:
        """Stop watching, then with `endpoints` all that serves, then the process."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        try:
            if endpoints:
                await self._engine.stop_all()
        finally:
            self._stopping.set()

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()

        def asked(endpoints: bool) -> None:
            if tasks:
                self._stopping.set()
                return
            tasks.add(loop.create_task(self.stop(endpoints)))

        loop.add_signal_handler(signal.SIGTERM, asked, False)
        loop.add_signal_handler(signal.SIGINT, asked, True)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)


def _bind(first: int) -> socket.socket:
    """Open a socket that listens on port `first`, or on the next free one below, which no endpoint takes by itself.

    It listens at once. Otherwise another process could bind the same port, and uvloop does not report which came too late.
    """
    lowest = max(1, first - _PORTS + 1)
    for port in range(first, lowest - 1, -1):
        with contextlib.suppress(UsageError):
            return bind(port)
    raise FairwayError(
        f"no port from {lowest} to {first} is free on this machine",
        hint="give the platform another: `FAIRWAY_FIRST_PORT=9000 fairway up`",
    )


def main(arguments: list[str]) -> int:
    """Run the platform of a store in this process."""
    parser = argparse.ArgumentParser(prog="fairway.control")
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--say", action="store_true", help="print the address once requests are taken")
    options = parser.parse_args(arguments)
    root = cast("Path", options.root).absolute()
    try:
        descent.refuse_at_import("the platform")
        serve(root, _print_address if options.say else _print_nothing)
    except FairwayError as error:
        hint = f"\nhint: {one_line(error.hint)}" if options.say and error.hint else ""
        print(f"error: {one_line(error.message)}{hint}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


def _print_address(url: str) -> None:
    print(url, flush=True)


def _print_nothing(url: str) -> None:
    return


def serve(root: Path, said: Callable[[str], None]) -> None:
    """Run the platform of a store until it is stopped, and pass its address to `said`. Raises FairwayError."""
    # Before any thread: a reader of a large store would leave memory behind in each of them.
    arenas.share_one()
    machine.LocalStores(root).prepare().close()
    with PlatformLock(root) as lock:
        token = machine.token_of(root)
        redaction.know("platform token", token)
        sys.stderr = redaction.RedactedText(sys.stderr)
        uvloop.run(_main(root, lock, token, said))


async def _main(root: Path, lock: PlatformLock, token: str, said: Callable[[str], None]) -> None:
    await PlatformProcess(root, said).run(lock, token)

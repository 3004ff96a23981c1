"""Entry point `python -m fairway.control.carrying STORE`, which carries out one run for the platform of a store.

It reads the request from standard input. It writes to standard output, once, the run's name or why there is none. From
then on it belongs to nobody: the run goes on when the platform stops (decision 0019). Must not know how a run is carried
out.
"""

import gc

if __name__ == "__main__":
    gc.disable()  # what the imports below make stays, and looking through it finds nothing to free

import asyncio
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from fairway.local import descent
from fairway.local.engines import Report
from fairway.local.exiting import leave
from fairway.ports.platform import Platform
from fairway.spec.access import acting
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, FairwayError, StorageError
from fairway.spec.run import RunRequest
from fairway.spec.update import NOTES, Noted
from fairway.wiring import machine, target


async def _carry_out(platform: Platform, request: RunRequest, note: Callable[[str, str], None]) -> None:
    try:
        await platform.describe(request)
        run = await platform.submit(request)
        _report(Report(run=run))
        async for update in platform.follow(run):
            # Whoever follows the run elsewhere reads its record, and a note is on none.
            if isinstance(update.news, Noted):
                note(run, update.news.text)
    finally:
        await platform.close()


def _report(report: Report) -> None:
    """Write the report and close standard output, because the starter of this process reads it to its end."""
    os.write(1, msgspec.json.encode(report))
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def main(arguments: list[str]) -> int:
    """Carry out the run that is asked for on standard input.

    Args:
        arguments: the folder of the store, and the name of the person who asks.
    """
    root, who = arguments
    acting.set(who)
    try:
        descent.refuse_at_import("a run")
        request = msgspec.json.decode(sys.stdin.buffer.read(), type=RunRequest)
        logs = machine.LocalStores(Path(root)).logs

        def note(run: str, text: str) -> None:
            with suppress(StorageError):  # a run does not end because a line about it was not kept
                logs.append(run, NOTES, 1, time.time(), f"{text}\n".encode())

        asyncio.run(_carry_out(target.here(Path(root)), request, note))
    except FairwayError as error:
        _report(Report.of(error))
        print(f"error: {error.message}", file=sys.stderr, flush=True)
        return EXIT_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    leave(main(sys.argv[1:]))

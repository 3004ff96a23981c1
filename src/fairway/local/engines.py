"""Starts the process that carries out one run, in a session of its own, and waits until the run is on record.

The process outlives whoever started it. Must not know what an engine does.
"""

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from fairway.local.launching import TOKEN
from fairway.spec.access import acting
from fairway.spec.errors import FairwayError, NotAllowed, NotFound, StorageError, UsageError
from fairway.spec.run import RunRequest

_MOST = 2**20
"""Bytes of a report at most."""

_KINDS: dict[str, type[FairwayError]] = {
    kind.__name__: kind for kind in (FairwayError, NotAllowed, NotFound, StorageError, UsageError)
}


class Report(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first and only thing that such a process says: the run's name, or why there is none."""

    run: str = ""
    kind: str = ""
    message: str = ""
    hint: str = ""
    details: str = ""

    @classmethod
    def of(cls, error: FairwayError) -> "Report":
        """Report why a run could not be started."""
        kind = next((one.__name__ for one in type(error).__mro__ if one.__name__ in _KINDS), "FairwayError")
        return cls(kind=kind, message=error.message, hint=error.hint, details=error.details)


async def start(root: Path, request: RunRequest) -> str:
    """Start the process of a run of this store and return the run's name, once that is on record.

    It prints to where this process prints. Raises FairwayError when the run could not be started.
    """
    return await asyncio.to_thread(_start, root, request)


def _start(root: Path, request: RunRequest) -> str:
    # Not by asyncio: what it starts, it kills when it is closed.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "fairway.control.carrying", str(root), acting.get()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=request.folder or root.parent,
        env={name: value for name, value in os.environ.items() if name != TOKEN},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        with suppress(BrokenPipeError), process.stdin as asked:
            asked.write(msgspec.json.encode(request))
        said = process.stdout.read(_MOST)
    threading.Thread(target=process.wait, name="reaper", daemon=True).start()
    try:
        report = msgspec.json.decode(said, type=Report)
    except msgspec.DecodeError:
        raise FairwayError(
            "the process of the run ended before the run was on record",
            hint=f"see {root / 'platform' / 'log'}",
        ) from None
    if report.run:
        return report.run
    raise _KINDS.get(report.kind, FairwayError)(report.message, hint=report.hint, details=report.details)

"""Starts the process that carries out one run, in a session of its own, and waits until the run is on record.

The process outlives whoever started it. Must not know what an engine does.
"""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from fairway.local.launching import TOKEN
from fairway.spec.errors import FairwayError, NotAllowed, NotFound, StorageError, UsageError
from fairway.spec.run import RunRequest

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
        """Say why a run could not be started."""
        kind = next((one.__name__ for one in type(error).__mro__ if one.__name__ in _KINDS), "FairwayError")
        return cls(kind=kind, message=error.message, hint=error.hint, details=error.details)


async def start(root: Path, request: RunRequest) -> str:
    """Start the process of a run of this store and return the run's name, once that is on record.

    It prints to where this process prints. Raises FairwayError when the run could not be started.
    """
    environment = {name: value for name, value in os.environ.items() if name != TOKEN}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "fairway.control.carrying", str(root),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        cwd=request.folder or root.parent, env=environment,
    )  # fmt: skip
    said, _ = await process.communicate(msgspec.json.encode(request))
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

"""uv, the program that lays out packages for nodes: that of this machine, or one that pip fetched once into the user's cache."""

import contextlib
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from fairway.cluster.images.programs import run_program
from fairway.cluster.images.workshop import Workshop
from fairway.spec.errors import FairwayError

_WANTED = "uv>=0.5"


async def program(workshop: Workshop) -> str:
    """Return the path of uv, which is on the search path, beside this Python, or fetched now. Raises FairwayError."""
    kept = workshop.cache / "tools" / "uv"
    beside = Path(sys.executable).parent / "uv"
    found = shutil.which("uv", path=workshop.environment.get("PATH"))
    if found is None:
        found = next((str(path) for path in (beside, kept / "bin" / "uv") if os.access(path, os.X_OK)), None)
    return found or await _fetch(kept, workshop)


async def _fetch(kept: Path, workshop: Workshop) -> str:
    if find_spec("pip") is None:
        raise _lacking("")
    workshop.note("fetches uv, which lays out packages for the nodes; this is done once")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        made = Path(folder, "uv")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--no-input", "--no-deps", "--only-binary", ":all:", "--target", str(made), _WANTED]
        ended = await run_program(command, environment=workshop.environment)
        if ended.code:
            raise _lacking(ended.errors.strip())
        # If this fails, another process was faster, and its uv is as good.
        with contextlib.suppress(OSError):
            made.rename(kept)
    if not os.access(kept / "bin" / "uv", os.X_OK):
        raise _lacking(f"{kept} holds something else")
    return str(kept / "bin" / "uv")


def _lacking(said: str) -> FairwayError:
    more = f", and pip could not fetch it:\n{said}" if said else ""
    return FairwayError(
        f"uv, which fetches packages for the platform of the nodes, is not installed{more}",
        hint="`pip install uv`",
    )

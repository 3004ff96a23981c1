"""The programs of this machine that an image is made with. Their output is bounded and their errors are kept."""

import asyncio
import contextlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from fairway.spec.errors import FairwayError

_MOST = 2**20
_READ = 2**16
_TRY_SECONDS = 20.0


class Ended(msgspec.Struct, frozen=True):
    """The end of a program: its exit code, and what it printed."""

    code: int
    output: bytes
    errors: str


def find_python(version: str, environment: Mapping[str, str]) -> str:
    """Return a CPython of a version such as "3.11" on this machine; empty if there is none that works."""
    if version == ".".join(map(str, sys.version_info[:2])) and sys.implementation.name == "cpython":
        return sys.executable
    found = shutil.which(f"python{version}", path=environment.get("PATH"))
    if not found:
        return ""
    # A program of this name may be a stand-in of a version manager that has no such version.
    command = [found, "-S", "-c", "import sys; print(sys.implementation.cache_tag)"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_TRY_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found if told.stdout.strip() == f"cpython-{version.replace('.', '')}" else ""


async def run_program(
    command: Sequence[str], *, environment: Mapping[str, str], given: bytes = b"", folder: Path | None = None
) -> Ended:
    """Run a program to its end. Kill it if the caller is cancelled.

    Args:
        command: the program and its arguments.
        environment: its variables.
        given: its standard input.
        folder: its working directory.

    Raises:
        FairwayError: it cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
        )
    except OSError as error:
        raise FairwayError(f"cannot start {command[0]}: {error.strerror}") from None
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        output, errors, _ = await asyncio.gather(
            _read(process.stdout, 64 * _MOST), _read(process.stderr, _MOST), _write(process.stdin, given)
        )
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Ended(code, output, errors.decode(errors="replace"))


async def _write(stream: asyncio.StreamWriter, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(content)
        await stream.drain()
    stream.close()


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    """Return the first bytes of a stream, and read the rest so that its writer does not wait."""
    content = bytearray()
    while part := await stream.read(_READ):
        content += part[: max(most - len(content), 0)]
    return bytes(content)

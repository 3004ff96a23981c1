"""Looks into values, made by a process of their own where they need a large library. Must not know what a look shows."""

import asyncio
import sys
from contextlib import suppress

import msgspec

from fairway.formats.looking import LENGTH, LENGTHS
from fairway.formats.looks import Look, look
from fairway.formats.previews import named
from fairway.spec.artifact import Artifact

_HEAVY = ("npy", "arrow")
"""The formats whose libraries are large."""

_SECONDS = 15.0
"""The seconds that a look may take."""

_LARGEST_ANSWER = 4 << 20


class Looker:
    """The process that looks into tables and arrays. It is started by the first look, and ends by itself when nobody looks."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._lock: asyncio.Lock | None = None

    async def look(self, artifact: Artifact, content: bytes) -> Look:
        """Return a look at a value. One that takes too long, or that ends the process, is only named."""
        if artifact.format not in _HEAVY or artifact.files:
            return await asyncio.to_thread(look, artifact, content)
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            # The process may have ended by itself just when it was asked, so it is asked a second time.
            for _ in range(2):
                with suppress(OSError, EOFError, TimeoutError):
                    return await asyncio.wait_for(self._ask(artifact, content), _SECONDS)
                self._end()
            return Look(named=named(artifact), more="not looked into: it ended the process that looked")

    async def _ask(self, artifact: Artifact, content: bytes) -> Look:
        try:
            process = await self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            header = msgspec.json.encode(msgspec.structs.replace(artifact, inline=None))
            process.stdin.write(LENGTHS.pack(len(header), len(content)) + header + content)
            await process.stdin.drain()
            size = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))[0]
            if size > _LARGEST_ANSWER:
                raise EOFError
            return msgspec.json.decode(await process.stdout.readexactly(size), type=Look)
        except BaseException:
            # An answer that was not read would be taken for that to the next question.
            self._end()
            raise

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                # Without -P, a file of the project named like a library would be imported in its place.
                sys.executable, "-P", "-m", "fairway.formats.looking",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process = None


LOOKER = Looker()
"""The process that all pages share."""

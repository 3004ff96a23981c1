"""Backups of a target: the parts of its store are fetched piece by piece, several at a time.

Every request is small and may be repeated, so a broken connection costs a piece and not the backup.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.spec.errors import StorageError
from fairway.spec.upkeep import DATABASE, Part

if TYPE_CHECKING:
    from fairway.ports.platform import Platform
    from fairway.stores.received import ReceivedBackup

_AT_ONCE = 8


async def fetch(platform: "Platform", folder: Path, count: Callable[[int, int], object]) -> int:
    """Write a backup of a platform's store to a new folder, and return its size in bytes.

    Args:
        count: called with the bytes that are here and those of the whole.

    Raises:
        FairwayError: the platform could not be asked, or the folder not be written. Nothing is left behind.
    """
    from fairway.stores.received import ReceivedBackup

    made = ReceivedBackup(folder)
    try:
        snapshot = await platform.snapshot()
        if not snapshot.parts or snapshot.parts[0].path != DATABASE:
            raise StorageError("the platform sent a list without the log", hint="ask again")
        whole, here = sum(part.size for part in snapshot.parts), 0
        room = asyncio.Semaphore(_AT_ONCE)

        async def bring(part: Part) -> None:
            nonlocal here
            async with room:
                await _bring(platform, snapshot.name, part, made)
            here += part.size
            count(here, whole)

        await bring(snapshot.parts[0])
        async with asyncio.TaskGroup() as bringing:
            for part in snapshot.parts[1:]:
                bringing.create_task(bring(part))
        await asyncio.to_thread(made.complete)
        return whole
    except ExceptionGroup as several:
        made.remove()
        raise several.exceptions[0] from None
    except BaseException:
        made.remove()
        raise


async def _bring(platform: "Platform", name: str, part: Part, made: "ReceivedBackup") -> None:
    with made.part(part.path) as file:
        # A log of a run at work grows meanwhile. Its beginning is what the snapshot had.
        while file.size < part.size:
            piece = (await platform.snapshot_piece(name, part.path, file.size))[: part.size - file.size]
            if not piece:
                raise StorageError(f"{part.path} has become shorter", hint="begin the backup again")
            await asyncio.to_thread(file.write, piece)

"""The last lines that the workers of an endpoint printed, from their files."""

import os
from contextlib import suppress
from pathlib import Path

from fairway import confined
from fairway.local import listening
from fairway.spec.errors import StorageError
from fairway.spec.serving import ServerOutput

_BYTES = 64 * 1024
_LINES = 400
_WORKERS = 16


def worker_output(root: Path, endpoint: str) -> list[ServerOutput]:
    """Return the last lines that the newest workers of an endpoint printed, newest revision first."""
    found = [
        (int(path.parent.name[1:]), int(path.stem[1:]), path)
        for path in listening.folder(root, endpoint).glob("r*/w*.log")
        if path.parent.name[1:].isdigit() and path.stem[1:].isdigit()
    ]
    shown = list[ServerOutput]()
    for revision, worker, path in sorted(found, reverse=True)[:_WORKERS]:
        with suppress(OSError, StorageError):
            lines, cut = _tail(root, path)
            shown.append(ServerOutput(revision=revision, server=str(worker), lines=tuple(lines), cut=cut))
    return shown


def _tail(root: Path, path: Path) -> tuple[list[str], bool]:
    """Return the last lines of a file, and true if there are lines before them. Raises OSError, StorageError."""
    with open(confined.open_below(str(root), str(path)), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - _BYTES))
        lines = file.read(_BYTES).decode("utf-8", "replace").split("\n")
    cut = size > _BYTES
    if cut:
        lines = lines[1:]
    if lines and not lines[-1]:
        lines.pop()
    return lines[-_LINES:], cut or len(lines) > _LINES

"""The project's own source files as they are when the project was imported: the code of a run, by digest.

This module reads files and stores nothing. A host calls it right after the import, so that the digests are those of
the code that it runs.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from fairway.author import describe, redaction
from fairway.spec.project import SourceFile

_MOST_BYTES = 64 * 2**20
"""The number of bytes beyond which files are left out, because no project has so much source code."""


def source_files(module: ModuleType, held: Callable[[str], bool]) -> tuple[SourceFile, ...]:
    """Return the files in and below the project's folder, and those that it imported from elsewhere, by path.

    A file that contains the value of a secret is marked, because it must not be stored.

    Args:
        module: the project file as a module.
        held: tells whether a store has content with a digest. Such content was searched for secrets before.
    """
    found: list[SourceFile] = []
    total = 0
    for path, place in sorted(describe.own_files(module).items()):
        file = _described(path, place, held)
        if file is None:
            continue
        total += file.size
        if total > _MOST_BYTES:
            break
        found.append(file)
    return tuple(found)


def _described(path: str, place: Path, held: Callable[[str], bool]) -> SourceFile | None:
    """Describe a file, or return None when it cannot be read or its name is not valid text."""
    try:
        path.encode()
        with open(place, "rb") as stream:
            content = stream.read()
            executable = bool(os.fstat(stream.fileno()).st_mode & 0o100)
    except (OSError, UnicodeEncodeError):
        return None
    digest = hashlib.sha256(content).hexdigest()
    return SourceFile(
        path=path,
        place=str(place),
        digest=digest,
        size=len(content),
        executable=executable,
        secret="" if held(digest) else redaction.live().found(content),
    )

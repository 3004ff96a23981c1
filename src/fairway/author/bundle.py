"""The code of a run: the source files of the project with their digests, as they were imported.

Reads files and stores nothing. A host calls this right after the import, so that the digests belong to the code that it runs.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from fairway.author import describe, redaction
from fairway.spec.project import SourceFile

_MOST_BYTES = 64 * 2**20
"""Maximum number of bytes of a project's source. Files beyond it are left out."""


def source_files(module: ModuleType, held: Callable[[str], bool]) -> tuple[SourceFile, ...]:
    """Return the files below the project's folder, and the files that it imported from the rest of the project.

    A file that contains the value of a secret is marked, because it must not be stored.

    Args:
        module: the project file as a module.
        held: tells whether a store has the content of a digest. Such content was searched for secrets before.
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
    """Describe a file; return None if it cannot be read or its name is not text."""
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

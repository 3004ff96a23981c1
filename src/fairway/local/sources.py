"""A copy of the Python files of a project in their present state, to be stored as one folder.

Must not know what the files declare or where the copy is stored.
"""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from fairway.spec.errors import UsageError

_MOST_BYTES = 64 * 2**20


@contextmanager
def snapshot(folder: Path, files: Iterable[Path]) -> Generator[Path, None, None]:
    """Yield a temporary folder with copies of files at the same relative paths. It is removed when the block ends.

    Raises:
        UsageError: the files together are too large to be the source of a project.
    """
    with tempfile.TemporaryDirectory(prefix="fairway-source-") as name:
        total = 0
        for path in files:
            target = Path(name) / path.relative_to(folder)
            total += os.path.getsize(path)
            if total > _MOST_BYTES:
                raise UsageError(
                    f"{folder} holds more than {_MOST_BYTES >> 20} MiB of Python files",
                    hint="put the project into a folder of its own",
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield Path(name)

"""A copy of a project's own Python files, as they are now, to be stored as one folder.

Must not know what the files declare or where the copy goes.
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
    """A temporary folder with copies of these files at the same places; gone when the block ends.

    Raises:
        UsageError: there is more source than a project has.
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

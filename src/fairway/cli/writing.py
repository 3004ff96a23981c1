"""Files that a command writes for the user in a folder that the user named. This module must not know their content."""

import os
from pathlib import Path


def write_anew(target: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it. So no link is followed, and no half a file is left."""
    temporary = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise

"""A second user for tests of files: a command that runs as nobody, where these tests may become one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

UID = 65534
SETPRIV = shutil.which("setpriv")
needs_one = pytest.mark.skipif(
    SETPRIV is None or os.geteuid() != 0,
    reason="no second user: these tests need root and setpriv of util-linux",
)


def as_stranger(*command: str, home: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as another user."""
    assert SETPRIV is not None
    words = [SETPRIV, f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *command]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FAIRWAY_", "XDG_"))}
    return subprocess.run(
        words,
        cwd=folder,
        env={**kept, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def readable(folder: Path) -> list[str]:
    """Files and folders below one, itself left out, that the other user can read, whatever the folders above let through."""
    found: list[str] = []
    for path in folder.rglob("*"):
        if not path.is_symlink() and path.stat().st_mode & 0o077:
            found.append(str(path.relative_to(folder)))
    return found

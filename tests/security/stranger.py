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


def as_stranger(*command: str, home: Path, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
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
        input=given,
        timeout=240,
        check=False,
    )


def given_away(path: Path) -> None:
    """Make a file, link or whole folder the other user's, as if they had put it there."""
    for one in [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())]:
        os.chown(one, UID, UID, follow_symlinks=False)


_TRIES = """
while read -r path; do
  if [ -d "$path" ]; then
    ls "$path" >/dev/null 2>&1 && echo "listed $path"
    (: >"$path/planted") 2>/dev/null && echo "planted in $path"
  else
    cat "$path" >/dev/null 2>&1 && echo "read $path"
    (: >>"$path") 2>/dev/null && echo "wrote $path"
  fi
  [ -w "$path" ] && echo "may write $path"
  mv "$path" "$path.moved" 2>/dev/null && echo "moved $path"
  chmod 777 "$path" 2>/dev/null && echo "changed $path"
done
"""


def reached(paths: list[Path], *, home: Path) -> list[str]:
    """Let the other user read, write, move and change each of these files, folders, pipes and sockets; what succeeded."""
    done = as_stranger(
        "sh", "-c", _TRIES, home=home, folder=home, given="".join(f"{path}\n" for path in paths)
    )
    assert done.returncode in (0, 1), done.stderr  # that of the last try
    return done.stdout.splitlines()


def readable(folder: Path) -> list[str]:
    """Files and folders below one, itself left out, that the other user can read, whatever the folders above let through."""
    found: list[str] = []
    for path in folder.rglob("*"):
        if not path.is_symlink() and path.stat().st_mode & 0o077:
            found.append(str(path.relative_to(folder)))
    return found

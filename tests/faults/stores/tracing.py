"""The diary's program under strace: which system calls it makes, and what happens when one of them goes wrong."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DIARY = Path(__file__).with_name("diary.py")
_CALL = re.compile(r"^(\d+) +(\w+)\(")

STRACE = shutil.which("strace")


def needs_strace() -> None:
    """Skip where there is none, or where it may not trace."""
    if STRACE is None:
        pytest.skip("strace is missing: install it (`apt install strace`)")
    tried = subprocess.run([STRACE, "-o", "/dev/null", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip("strace may not trace here: allow ptrace")


def diary(root: Path, kinds: str, first: int, last: int, planted: str = "") -> list[str]:
    """The program's command line."""
    words = [sys.executable, "-P", str(DIARY), str(root), kinds, str(first), str(last)]
    return [*words, planted] if planted else words


def play(command: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, under strace when there are options for it."""
    traced = [STRACE or "strace", "-f", "-qq", *options] if options else []
    return subprocess.run(
        [*traced, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )


def window(command: list[str], log: Path) -> list[tuple[str, int]]:
    """Every system call between "begin" and "end", with its count among those of its name in its thread."""
    done = subprocess.run(
        [STRACE or "strace", "-f", "-qq", "-s", "16", "-o", str(log), *command],
        capture_output=True,
        check=True,
        timeout=240,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stdout.endswith(b"end\n")
    counts: Counter[tuple[str, str]] = Counter()
    points: dict[tuple[str, int], None] = {}
    begun = False
    for line in log.read_text(errors="replace").splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        counts[found[1], found[2]] += 1
        if '"end\\n"' in line:
            break
        if begun:
            points[found[2], counts[found[1], found[2]]] = None
        begun = begun or '"begin\\n"' in line
    return list(points)

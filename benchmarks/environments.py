"""Peers, each in a virtual environment of its own, made once from a lock with hashes and kept in a cache folder."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LOCKS = HERE / "requirements"
ROOT = HERE.parent
_SECONDS = 900


@dataclass(frozen=True)
class Made:
    """An environment, or why there is none."""

    python: Path
    problem: str = ""

    def version(self, package: str) -> str:
        """The installed version of a package; empty when there is none of that name."""
        code = f"from importlib.metadata import version; print(version({package.lower()!r}))"
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=False)
        return done.stdout.strip()


class Environments:
    """Makes environments below a folder; one made from the same lock by the same Python is taken as it is."""

    def __init__(self, folder: Path | None = None) -> None:
        cache = os.environ.get("XDG_CACHE_HOME")
        self.folder = folder or (Path(cache) / "fairway-bench" if cache else ROOT / ".bench")

    def make(self, name: str) -> Made:
        """The environment of `requirements/<name>.txt`."""
        lock = LOCKS / f"{name}.txt"
        place = self.folder / name
        python, mark = place / "bin" / "python", place / "made.json"
        wanted = {"lock": hashlib.sha256(lock.read_bytes()).hexdigest(), "python": sys.version}
        if mark.exists() and python.exists() and json.loads(mark.read_bytes()) == wanted:
            return Made(python)
        shutil.rmtree(place, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        for command in (
            [uv(), "venv", "--quiet", "--python", sys.executable, place],
            [uv(), "pip", "install", "--quiet", "--python", python, "--require-hashes", "--compile-bytecode",
             "-r", lock],
        ):  # fmt: skip
            problem = _run([str(word) for word in command])
            if problem:
                return Made(python, problem)
        mark.write_text(json.dumps(wanted))
        return Made(python)


def uv() -> str:
    """The installer that `make setup` brought."""
    return str(Path(sys.executable).parent / "uv")


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    said = " ".join(done.stderr.split())
    return "" if done.returncode == 0 else said[:200] or f"status {done.returncode}"

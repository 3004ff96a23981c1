"""Environments with the standard clients of the Open Inference Protocol, and the scripts that ask with them."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def environment(name: str) -> Path:
    """Return the Python of `requirements/NAME.txt`. It is made once and kept until the lock changes."""
    lock = HERE / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    place = HERE.parents[1] / ".bench" / f"client-{name}-{digest}"
    python = place / "bin" / "python"
    if not (place / "made").exists():
        uv = Path(sys.executable).parent / "uv"
        for old in place.parent.glob(f"client-{name}-*"):
            shutil.rmtree(old)
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, place],
            [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", lock],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                pytest.skip(f"the environment of the clients cannot be built: {done.stderr[-300:]}")
        (place / "made").touch()
    return python


def asked(name: str, script: str, *words: str) -> Any:
    """Return what a script of `clients` saw, in the environment with a name."""
    command = [environment(name), HERE / "clients" / f"{script}.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])

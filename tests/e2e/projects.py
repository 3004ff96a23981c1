"""A folder with a project file and the command line in it, as the tests of this folder use it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HEAD = "import os, sys, time\nimport fairway as fw\n"


class Project:
    """A folder with a project file, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = dict(os.environ)
        self.environment = {**kept, "HOME": str(folder / "home"), "CI": "1"}

    def write(self, text: str, name: str = "project.py") -> None:
        """Write a project file."""
        (self.folder / name).write_text(HEAD + text, encoding="utf-8")

    def command(self, *words: str) -> list[str]:
        """The command line as a list."""
        return [sys.executable, "-m", "fairway", *words]

    def fairway(self, *words: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit code."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert expect is None or done.returncode == expect, done.stdout + done.stderr
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command in a session of its own."""
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.environment, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def newest(self) -> str:
        """Name of the newest run."""
        return json.loads(self.fairway("runs", "--json").stdout)[0]["name"]


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> bool:
    """Whether the condition came true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def told(project: Project, *words: str, expect: int | None = 0) -> list[str]:
    """What the pipeline's own function prints, line by line."""
    return _printed(project, project.fairway("run", "project.py", *words, expect=expect))


def steps(project: Project) -> dict[str, dict[str, object]]:
    """The newest run's steps by name."""
    return {
        step["spec"]["name"]: step for step in json.loads(project.fairway("show", "--json").stdout)["steps"]
    }


def told_of(project: Project, pipeline: str, *words: str) -> list[str]:
    """As `told`, of one pipeline of several."""
    return _printed(project, project.fairway("run", f"project.py:{pipeline}", *words))


def _printed(project: Project, run: subprocess.CompletedProcess[str]) -> list[str]:
    """What the pipeline of a run printed that a command has just carried out, whose first line names it."""
    named = re.match(r"\S+  run (\w+)  ", run.stderr)
    assert named, run.stderr
    return project.fairway("logs", f"{named[1]}/pipeline").stdout.splitlines()

"""A folder with a project, its real command line, and what is needed to attack it: its processes, notes and record.

Every process started here carries a mark in its environment, and hands it on to whatever it starts, so that no
process escapes a count by leaving its group or its session.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from fairway.spec.run import RunStatus
from fairway.stores.metadata import Verified
from fairway.wiring.machine import LocalStores

HEAD = '''
import ctypes, os, random, signal, subprocess, sys, threading, time
import fairway as fw

def note(name, text):
    """Append a line to a file in one write, so that a kill leaves it whole or not there."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(fd, f"{text}\\n".encode())
    os.close(fd)
'''


class Place:
    """A project, its store, and the processes that work for it. `planted` is a bug: code that every process runs first."""

    def __init__(self, folder: Path, text: str, *, planted: str = "") -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        folder.mkdir(parents=True)
        (folder / "project.py").write_text(HEAD + text, "utf-8")
        kept = dict(os.environ)
        self.environment = {**kept, "HOME": str(folder / "home"), "CI": "1", "PLACE_MARK": self.mark}
        if planted:
            (folder / "planted").mkdir()
            (folder / "planted" / "sitecustomize.py").write_text(planted, "utf-8")
            self.environment["PYTHONPATH"] = str(folder / "planted")

    @cached_property
    def stores(self) -> LocalStores:
        """The store, for reading."""
        return LocalStores(self.folder / ".fairway")

    def start(self, *words: str, quiet: bool = True) -> subprocess.Popen[str]:
        """Start a command in a session of its own; its words to people go to the file `said` when it is quiet."""
        with open(self.folder / "said", "ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "fairway", *words],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said if quiet else subprocess.PIPE,
                stderr=said if quiet else subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def fairway(
        self, *words: str, expect: int | None = 0, seconds: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit code."""
        process = self.start(*words, quiet=False)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{words} took longer than {seconds:.0f} s\n{out}{err}") from None
        assert expect is None or process.returncode == expect, f"{process.returncode}\n{out}{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def runs(self) -> list[str]:
        """Names of the runs on record."""
        return sorted(self.stores.metadata.run_names())

    def status(self, run: str = "") -> RunStatus:
        """What is on record of a run; of the only one without a name."""
        return self.stores.metadata.run(run or self.runs()[0])

    def verified(self) -> Verified:
        """The hash chain and the database's own check."""
        return self.stores.metadata.verify()

    def notes(self, name: str) -> list[str]:
        """Lines that the project's code has left in a file."""
        try:
            return (self.folder / name).read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []

    def alive(self) -> set[int]:
        """Every living process that came from here, wherever it hides."""
        found: set[int] = set()
        mark = f"PLACE_MARK={self.mark}".encode()
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    if mark in Path(f"/proc/{entry}/environ").read_bytes():
                        found.add(int(entry))
        return found

    def host(self, engine: int) -> int:
        """The host that works for an engine now; 0 when there is none."""
        for child in children(engine):
            with contextlib.suppress(OSError):
                if b"fairway.runner" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return child
        return 0

    def end(self) -> None:
        """End whatever is left."""
        until = time.monotonic() + 60
        while (left := self.alive()) and time.monotonic() < until:
            for pid in left:
                kill(pid)
            time.sleep(0.01)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    if pid > 1:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def children(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += [int(one) for one in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
    return found


def descendants(pid: int) -> set[int]:
    """A process and all below it."""
    found, todo = {pid}, [pid]
    while todo:
        below = children(todo.pop())
        found.update(below)
        todo += below
    return found


def wait_for(condition: Callable[[], object], seconds: float = 120.0, pause: float = 0.01) -> bool:
    """Whether the condition came true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(pause)
    return True

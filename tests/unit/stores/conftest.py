"""A store to break, and ways to break it: failing, or being killed, at the nth call that changes a file."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from fairway.spec.errors import StorageError
from fairway.stores import Layout

sys.path.insert(0, str(Path(__file__).parent))

CALLS = (
    "open",
    "write",
    "fsync",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "chmod",
    "fchmod",
    "utime",
    "close",
)
"""Every function of `os` through which the stores change files."""


@contextlib.contextmanager
def at_call(number: int, then: Callable[[str], None], names: tuple[str, ...] = CALLS) -> Iterator[list[str]]:
    """Counts calls of `os` functions and does `then` before the nth. Gives the names of all calls."""
    seen: list[str] = []

    def wrapped(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            seen.append(name)
            if len(seen) == number:
                then(name)
            return original(*args, **kwargs)

        return call

    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(mock.patch.object(os, name, wrapped(name, getattr(os, name))))
        yield seen


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Does `work` in a child that is killed before its nth call; False once the work ends before that."""
    pid = os.fork()
    if not pid:
        try:
            with at_call(number, lambda _: os.kill(os.getpid(), signal.SIGKILL)):
                work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def failing_with(code: int) -> Callable[[str], None]:
    """What raises OSError with an errno."""

    def fail(name: str) -> None:
        raise OSError(code, os.strerror(code), name)

    return fail


def refusal(work: Callable[[], object]) -> StorageError | None:
    """The StorageError that `work` ends with, if it does."""
    try:
        work()
    except StorageError as error:
        return error
    return None


@pytest.fixture
def faulty() -> SimpleNamespace:
    """The ways to break a store."""
    return SimpleNamespace(at_call=at_call, killed_at=killed_at, failing_with=failing_with, refusal=refusal)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prepared store."""
    Layout(tmp_path / "store").prepare()
    return tmp_path / "store"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a file system of a given size; skipped where that is not allowed."""
    mounted: list[Path] = []

    def mount(size: str, *, options: str = "") -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "fairway-test", folder],
            capture_output=True,
        )
        if done.returncode:
            pytest.skip("mounting a file system is not allowed here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)

"""A lock on an open file, between processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairway.local import locking


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "lock").touch()
    return tmp_path / "lock"


@pytest.fixture
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


class Holder:
    """Another process that holds the lock until it is let go."""

    def __init__(self, path: Path, kind: str = "EX") -> None:
        read, self._end = os.pipe()
        code = (
            f"import fcntl, os\nfd = os.open({str(path)!r}, os.O_RDWR)\nfcntl.flock(fd, fcntl.LOCK_{kind})\n"
        )
        code += f"print('held', flush=True)\nos.read({read}, 1)"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], pass_fds=[read], stdout=subprocess.PIPE, text=True
        )
        os.close(read)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "held\n"

    def let_go(self) -> None:
        os.close(self._end)
        assert self._process.wait(timeout=30) == 0


def test_what_nobody_holds_is_taken(opened: int) -> None:
    assert locking.take(opened)


def test_what_another_holds_is_not_taken(path: Path, opened: int) -> None:
    holder = Holder(path)
    assert not locking.take(opened)
    assert not locking.take(opened, shared=True)
    holder.let_go()
    assert locking.take(opened)


def test_two_that_only_ask_are_in_nobody_s_way(path: Path, opened: int) -> None:
    holder = Holder(path, "SH")
    assert locking.take(opened, shared=True)
    assert not locking.take(opened)
    holder.let_go()


def test_a_wait_ends_when_the_other_ends(path: Path, opened: int) -> None:
    holder = Holder(path)
    begun = time.monotonic()
    assert not locking.take_within(opened, 0.05)
    assert time.monotonic() - begun >= 0.05
    holder.let_go()
    assert locking.take_within(opened, 30.0)

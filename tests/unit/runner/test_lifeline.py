"""A process ends with the one that has the other end of its line, in the middle of whatever it does."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

WAITS = """
import os, sys, time
from fairway.runner import lifeline
{tie}
print("tied", flush=True)
until = time.monotonic() + 240
while time.monotonic() < until:
    sum(range(1000))
"""

BY_THE_LINE = "lifeline.end_with_line(int(sys.argv[1]))"


@contextmanager
def tied(tie: str) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    near, far = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-c", WAITS.format(tie=tie), str(far.fileno()), str(os.getpid())],
        pass_fds=(far.fileno(),), stdout=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip
    far.close()
    try:
        yield child, near
    finally:
        near.close()
        child.kill()
        child.communicate()


def test_where_no_signal_comes_from_a_dying_parent_the_closed_line_ends_a_process() -> None:
    with tied(BY_THE_LINE) as (child, near):
        assert child.stdout is not None
        assert child.stdout.readline() == "tied\n"
        near.sendall(b"an order")
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)
        near.close()
        assert child.wait(120) == -signal.SIGKILL


def test_a_line_that_was_closed_before_ends_a_process_at_once() -> None:
    with tied(f"time.sleep(0.5); {BY_THE_LINE}") as (child, near):
        near.close()
        assert child.wait(120) == -signal.SIGKILL
        assert child.stdout is not None
        assert child.stdout.read() == ""


def test_a_process_whose_parent_is_another_by_now_ends_at_once() -> None:
    with tied("lifeline.hold(1, int(sys.argv[1]))") as (child, _):
        assert child.wait(120) == -signal.SIGKILL


def test_a_process_lives_on_with_its_parent() -> None:
    with tied("lifeline.hold(int(sys.argv[2]), int(sys.argv[1]))") as (child, _):
        assert child.stdout is not None
        assert child.stdout.readline() == "tied\n"
        assert child.poll() is None

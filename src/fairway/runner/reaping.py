"""Ends of child processes: they are collected here, and translated into a form that does not depend on the system."""

import os
import signal
from collections.abc import Iterator
from typing import NamedTuple

from fairway.runner import processes
from fairway.runner.children import Child
from fairway.spec.run import Usage
from fairway.spec.wire import Cause, Ended


class Reaped(NamedTuple):
    """A process that has ended, as the system reports it: its wait status, CPU seconds and peak of memory."""

    pid: int
    status: int
    cpu: float
    peak: int


def reap() -> Iterator[Reaped]:
    """Collect every child that has ended by now."""
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield Reaped(pid, status, used.ru_utime + used.ru_stime, used.ru_maxrss * processes.PEAK_UNIT)


def ended(reaped: Reaped, child: Child) -> Ended:
    """Return how a child ended, and whether its host ended it."""
    code = os.waitstatus_to_exitcode(reaped.status)
    if code < 0:
        return Ended(signal=_name(-code), cause=_cause(child))
    return Ended(code=code, cause=_cause(child))


def usage(reaped: Reaped, child: Child) -> Usage:
    """Return the time and memory that a child and the children it waited for have used."""
    return Usage(wall=child.age(), cpu=reaped.cpu, memory=max(reaped.peak, child.peak))


def _cause(child: Child) -> Cause:
    # Memory comes first: a child over its memory is killed at once, even while a timeout or a stop is under way.
    if child.over_memory:
        return Cause.MEMORY
    if child.timed_out:
        return Cause.TIMEOUT
    return Cause.STOP if child.stopped else Cause.NONE


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # A real-time signal has no name of its own.
        return f"signal {number}"
